"""The OTLP endpoint beside the operator's work: other components' spans into the store, where the settings want it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from kubeweft.app.extensions import join_rules
from kubeweft.display.serving.http.server import is_loopback
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

    Raises ``UserError`` where an address or the token's file cannot be used.
    """
    joins = dict.fromkeys(rule.attribute for rule in join_rules(settings.extensions))
    if not settings.otlp_listen and not settings.otlp_listen_http:
        yield Listening()
        return
    token = BearerToken(Path(settings.otlp_token_file)) if settings.otlp_token_file else None
    intake = Intake(write, hiding=hiding, joins=tuple(joins), now=clock.now, is_open=is_open)
    grpc = http = 0
    _warn_of_strangers(settings)
    async with contextlib.AsyncExitStack() as stack:
        if settings.otlp_listen:
            host, port = parse_address(settings.otlp_listen)
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            grpc = await stack.enter_async_context(grpc_endpoint(intake, address, token=token))
            logger.info("taking spans of other components by OTLP/gRPC: port=%d", grpc)
        if settings.otlp_listen_http:
            host, port = parse_address(settings.otlp_listen_http)
            http = await stack.enter_async_context(http_endpoint(intake, host, port, token=token))
            logger.info("taking spans of other components by OTLP/HTTP: port=%d", http)
        yield Listening(grpc, http)


def _warn_of_strangers(settings: Settings) -> None:
    """kube-apiserver can show no token, so that this is no error; but nobody should be surprised by it."""
    for address in (settings.otlp_listen, settings.otlp_listen_http):
        if address and not settings.otlp_token_file and not is_loopback(parse_address(address)[0]):
            logger.warning(
                "whoever reaches %s can add spans to what is shown: keep others out by a NetworkPolicy, or give "
                "--otlp-token-file",
                address,
            )
