"""The OTLP endpoint beside the operator's work: other components' spans into the store, where the settings want it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from kubeweft.app.extensions import join_rules
from kubeweft.app.listening import Protection
from kubeweft.otlp.foreign import Hiding
from kubeweft.runtime import clock
from kubeweft.settings import Settings, parse_address
from kubeweft.sources.audit.credentials import BearerToken
from kubeweft.sources.otlp.grpc_server import grpc_endpoint
from kubeweft.sources.otlp.http_server import http_endpoint
from kubeweft.sources.otlp.intake import Intake
from kubeweft.store.interfaces import Batch

logger = logging.getLogger(__name__)


class Listening(NamedTuple):
    """The ports that were taken, 0 where nobody listens."""

    grpc: int = 0
    http: int = 0


@contextlib.asynccontextmanager
async def receiving_foreign(
    settings: Settings,
    write: Callable[[Batch], Awaitable[object]],
    *,
    hiding: Callable[[], Hiding],
    is_open: Callable[[], bool],
) -> AsyncIterator[Listening]:
    """Take spans within the block, from the moment on in which it is known what has to be hidden.

    Raises ``UserError`` where an address, the token's file or the certificate cannot be used, or strangers could send.
    """
    joins = dict.fromkeys(rule.attribute for rule in join_rules(settings.extensions))
    if not settings.otlp_listen and not settings.otlp_listen_http:
        yield Listening()
        return
    protection = _protection(settings)
    for option, address in (
        ("--otlp-listen", settings.otlp_listen),
        ("--otlp-listen-http", settings.otlp_listen_http),
    ):
        if address:
            protection.check(option, address)
    tls, certificate = protection.context(), protection.certificate()
    token = BearerToken(Path(settings.otlp_token_file)) if settings.otlp_token_file else None
    intake = Intake(write, hiding=hiding, joins=tuple(joins), now=clock.now, is_open=is_open)
    grpc = http = 0
    async with contextlib.AsyncExitStack() as stack:
        if settings.otlp_listen:
            host, port = parse_address(settings.otlp_listen)
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            grpc = await stack.enter_async_context(
                grpc_endpoint(intake, address, token=token, certificate=certificate)
            )
            logger.info("taking spans of other components by OTLP/gRPC: port=%d", grpc)
        if settings.otlp_listen_http:
            host, port = parse_address(settings.otlp_listen_http)
            http = await stack.enter_async_context(http_endpoint(intake, host, port, token=token, tls=tls))
            logger.info("taking spans of other components by OTLP/HTTP: port=%d", http)
        yield Listening(grpc, http)


def _protection(settings: Settings) -> Protection:
    return Protection(
        options="--otlp-",
        ask="--otlp-token-file",
        everybody="may add spans to what is shown",
        secrets="the token of senders",
        asked=bool(settings.otlp_token_file),
        without_auth=settings.otlp_insecure_no_auth,
        without_tls=settings.otlp_insecure_no_tls,
        tls_cert=settings.otlp_tls_cert,
        tls_key=settings.otlp_tls_key,
    )
