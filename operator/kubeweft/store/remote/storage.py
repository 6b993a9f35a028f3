"""Jaeger's storage API over gRPC: ``jaeger-remote-storage`` before any database, or another ``kubeweft serve``.

grpcio's synchronous interface, because readers are called from threads. gRPC itself repeats what failed on the way;
each call has a deadline, and its answer a limit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any, Final

import grpc
import msgspec

from kubeweft.model.errors import KubeweftError, UserError
from kubeweft.model.spans import Span
from kubeweft.otlp import jaeger_storage as api
from kubeweft.otlp.decoding import decode_spans
from kubeweft.store.remote.sources import (
    MEBIBYTE,
    OBJECT_SERVICE,
    STORED_SERVICE,
    TOO_DEEP,
    FoundTraces,
    RemoteOptions,
    StoreAway,
    TooMuch,
    TooSlow,
)

IDS_AT_ONCE: Final = 100
MOST_PROBED: Final = 400

_SERVICE_CONFIG: Final = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": api.TRACE_READER}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.2s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
_Code = grpc.StatusCode
_QUESTIONS_FAULT: Final = frozenset({_Code.INVALID_ARGUMENT, _Code.OUT_OF_RANGE, _Code.NOT_FOUND})


class StorageSource:
    """A store behind ``jaeger.storage.v2`` at ``host:port``."""

    ids_at_once = IDS_AT_ONCE
    most_probed = MOST_PROBED
    finds_by_tags = True

    def __init__(self, target: str, options: RemoteOptions) -> None:
        """Nothing is connected to before the first question."""
        self.where = f"jaeger-storage at {target}"
        self._options = options
        self._channel = _channel(target, options)
        self._metadata = [("authorization", f"Bearer {options.token}")] if options.token else None
        self._calls = {method: self._callable(method) for method in api.METHODS}

    @cached_property
    def object_service(self) -> str:
        """Our own server has one service for stored traces, every other store that of the exported spans."""
        answer = self._ask(api.GET_SERVICES, api.GetServicesRequest())
        ours = STORED_SERVICE in answer.services and OBJECT_SERVICE not in answer.services
        return STORED_SERVICE if ours else OBJECT_SERVICE

    @property
    def names_are_operations(self) -> bool:
        """Our own server's operations are clusters."""
        return self.object_service == OBJECT_SERVICE

    def get(self, trace_ids: Sequence[bytes], *, since: int | None, until: int | None) -> FoundTraces:
        """Traces by ID."""
        request = api.GetTracesRequest(
            query=[api.write_trace_params(one, since=since, until=until) for one in trace_ids]
        )
        with closing(self._stream(api.GET_TRACES, request)) as chunks:
            return self._by_trace(chunks)

    def find(self, query: api.TraceQuery) -> FoundTraces:
        """Whole traces with a span that fits."""
        request = api.FindTracesRequest(query=api.write_query(query))
        with closing(self._stream(api.FIND_TRACES, request)) as chunks:
            return self._by_trace(chunks)

    def operations(self, service: str) -> list[str]:
        """The names of all spans of a service."""
        answer = self._ask(api.GET_OPERATIONS, api.GetOperationsRequest(service=service))
        return sorted({operation.name for operation in answer.operations})

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()

    def _callable(self, method: api.Method) -> Callable[..., Any]:
        make = self._channel.unary_stream if method.streams else self._channel.unary_unary
        made: Callable[..., Any] = make(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return made

    def _ask(self, method: api.Method, request: api.Message) -> api.Message:
        try:
            return self._calls[method](request, timeout=self._options.timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._told(method, error) from None

    def _stream(self, method: api.Method, request: api.Message) -> Generator[api.Message, None, None]:
        """The messages of one answer, which together may be as large as one; who stops early ends the call."""
        most, size = self._options.largest_answer, 0
        call = self._calls[method](request, timeout=self._options.timeout, metadata=self._metadata)
        try:
            for message in call:
                size += message.ByteSize()
                if size > most:
                    raise TooMuch(f"{self.where}: {_too_large('', self._options)}")
                yield message
        except grpc.RpcError as error:
            raise self._told(method, error) from None
        finally:
            call.cancel()

    def _by_trace(self, chunks: Iterator[api.Message]) -> FoundTraces:
        foreign = self.names_are_operations
        found: dict[bytes, list[Span]] = {}
        for chunk in chunks:
            for span in decode_spans(chunk.resource_spans):
                found.setdefault(span.trace_id, []).append(span if foreign else _as_long_as_stored(span))
            if not found and not foreign:
                self._raise_explained(chunk)
        return found

    def _raise_explained(self, chunk: api.Message) -> None:
        """Our own server answers what it cannot do with a span that failed, of no object."""
        for group in chunk.resource_spans:
            for span in (span for scope in group.scope_spans for span in scope.spans):
                if span.status.message:
                    raise UserError(f"{self.where}: {span.status.message}")

    def _told(self, method: api.Method, error: Any) -> KubeweftError:
        code, details = error.code(), error.details() or ""
        kind = _kind_of(code, details)
        return kind(f"{self.where}: {_reason(method, code, details, self._options)}")


def _as_long_as_stored(span: Span) -> Span:
    """Our own server lets each span end a nanosecond late, for viewers that cannot draw a span without any length."""
    return msgspec.structs.replace(span, end=span.end - 1) if span.end > span.start else span


def _channel(target: str, options: RemoteOptions) -> grpc.Channel:
    settings = (
        ("grpc.max_receive_message_length", options.largest_answer),
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.enable_retries", 1),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.primary_user_agent", "kubeweft"),
    )
    if not options.tls:
        return grpc.insecure_channel(target, options=settings)
    credentials = grpc.ssl_channel_credentials(root_certificates=options.ca or None)
    return grpc.secure_channel(target, credentials, options=settings)


def _kind_of(code: grpc.StatusCode, details: str) -> Callable[[str], KubeweftError]:
    if code is _Code.DEADLINE_EXCEEDED:
        return TooSlow
    if code is _Code.RESOURCE_EXHAUSTED or TOO_DEEP in details:
        return TooMuch
    return UserError if code in _QUESTIONS_FAULT else StoreAway


def _reason(method: api.Method, code: grpc.StatusCode, details: str, options: RemoteOptions) -> str:
    details = details[:300]
    if code is _Code.UNAVAILABLE:
        other = (
            "speaks TLS (jaeger-storage:// is without)"
            if options.tls
            else "wants TLS (jaeger-storage+tls://)"
        )
        return f"cannot be reached ({details}): check the address, and whether it {other}"
    if code is _Code.DEADLINE_EXCEEDED:
        return f"no answer within {options.timeout:g} s: narrow the time, or allow more with ?timeout=60"
    if code is _Code.UNIMPLEMENTED:
        return f"does not offer {method.path}: jaeger.storage.v2 is served by jaeger-remote-storage from v1.67 on"
    if code in (_Code.UNAUTHENTICATED, _Code.PERMISSION_DENIED):
        return f"refuses us ({details}): give a bearer token with ?token-file=FILE"
    if code is _Code.RESOURCE_EXHAUSTED:
        return _too_large(f" ({details})", options)
    return f"{method.name} failed ({code.name}: {details})"


def _too_large(why: str, options: RemoteOptions) -> str:
    most = options.largest_answer // MEBIBYTE
    return f"the answer is too large{why}: narrow the time, or allow more than ?max-mib={most}"
