"""The gRPC server that Jaeger v2 takes for its storage: listening, stopping, and how many it serves at once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import grpc
from grpc import aio

from kubeweft.display.serving.storage_v2.service import AnswersFor, StorageService
from kubeweft.display.serving.working import Workshop
from kubeweft.model.errors import UserError


class Certificate(NamedTuple):
    """A certificate with its chain and its private key, both PEM."""

    key: bytes
    chain: bytes


MOST_CALLS: Final = 64  # at once, those included that wait for their turn
GRACE: Final = 2.0  # seconds for answers under way when the server ends
LARGEST_QUESTION: Final = 1024**2  # bytes


@contextlib.asynccontextmanager
async def storage_server(
    answers_for: AnswersFor, address: str, workshop: Workshop, *, certificate: Certificate | None = None
) -> AsyncIterator[int]:
    """Serve at ``HOST:PORT`` within the block; gives the port. Raises ``UserError`` if nobody can listen there."""
    server = aio.server(
        maximum_concurrent_rpcs=MOST_CALLS,
        options=[("grpc.max_receive_message_length", LARGEST_QUESTION), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers(_handlers(StorageService(answers_for, workshop)))
    port = _listen(server, address, certificate)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(GRACE)


def _listen(server: Any, address: str, certificate: Certificate | None) -> int:
    try:
        if certificate is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, grpc.ssl_server_credentials([certificate])))
    except RuntimeError:
        raise UserError(
            f"cannot serve Jaeger's storage API on {address}: it cannot be had, perhaps another program is there"
        ) from None


def _handlers(service: StorageService) -> tuple[Any, ...]:
    by_service: dict[str, dict[str, Any]] = {}
    for method, handler in service.handlers().items():
        if method.streams:  # their answers are encoded already
            made = grpc.unary_stream_rpc_method_handler(handler, method.request.FromString)
        else:
            made = grpc.unary_unary_rpc_method_handler(
                handler, method.request.FromString, method.response.SerializeToString
            )
        by_service.setdefault(method.service, {})[method.name] = made
    return tuple(
        [grpc.method_handlers_generic_handler(name, methods) for name, methods in by_service.items()]
    )
