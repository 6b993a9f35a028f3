"""What an OTLP receiver got: every request and every span as the bytes that came, not as a parser saw them.

The bytes of single spans are found by parsing requests with a wire-compatible schema in which a span is ``bytes``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class ReceivedSpan:
    """One span; ``raw`` and ``raw_resource`` are its own bytes and those of its resource."""

    raw: bytes
    raw_resource: bytes

    @cached_property
    def message(self) -> Any:
        """The OTLP message."""
        return Span.FromString(self.raw)

    @property
    def span_id(self) -> bytes:
        return bytes(self.message.span_id)

    @property
    def trace_id(self) -> bytes:
        return bytes(self.message.trace_id)

    @cached_property
    def attributes(self) -> dict[str, object]:
        return values(self.message.attributes)

    @cached_property
    def resource(self) -> dict[str, object]:
        return values(Resource.FromString(self.raw_resource).attributes)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it came; ``accepted`` is what was answered, ``at`` the monotonic time in seconds."""

    protocol: str
    payload: bytes
    headers: Mapping[str, str]
    spans: tuple[ReceivedSpan, ...]
    accepted: bool
    at: float


class Recording:
    """All requests in the order of their arrival."""

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self._grown = asyncio.Condition()

    @property
    def spans(self) -> list[ReceivedSpan]:
        """The spans of accepted requests, in order, repeats included."""
        return [span for request in self.requests if request.accepted for span in request.spans]

    @property
    def span_ids(self) -> list[bytes]:
        """The IDs of accepted spans in the order of their first arrival."""
        return list(dict.fromkeys(span.span_id for span in self.spans))

    def forms(self) -> dict[bytes, set[tuple[bytes, bytes]]]:
        """Every form in which each span was ever sent, accepted or not: more than one means it changed."""
        forms: dict[bytes, set[tuple[bytes, bytes]]] = {}
        for request in self.requests:
            for span in request.spans:
                forms.setdefault(span.span_id, set()).add((span.raw_resource, span.raw))
        return forms

    async def add(
        self, protocol: str, payload: bytes, *, headers: Mapping[str, str], accepted: bool
    ) -> ReceivedRequest:
        """Record one request and wake who waits."""
        request = ReceivedRequest(
            protocol, payload, headers, tuple(split(payload)), accepted, at=time.monotonic()
        )
        async with self._grown:
            self.requests.append(request)
            self._grown.notify_all()
        return request

    async def until(self, condition: Callable[[], bool], *, seconds: float = 20) -> None:
        """Return when the condition holds, looked at after each request; TimeoutError when the time is over."""
        async with asyncio.timeout(seconds), self._grown:
            await self._grown.wait_for(condition)


def split(payload: bytes) -> Iterator[ReceivedSpan]:
    """The spans of an ``ExportTraceServiceRequest`` with the bytes they had in it; DecodeError if it is none."""
    for resource_spans in _RAW_REQUEST.FromString(payload).resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield ReceivedSpan(raw=span, raw_resource=resource_spans.resource)


def values(attributes: Iterator[KeyValue]) -> dict[str, object]:
    """Attributes as a plain dict; AssertionError if a key stands twice."""
    plain = {attribute.key: _value(attribute.value) for attribute in attributes}
    assert len(plain) == len(list(attributes)), "an attribute key stands twice"
    return plain


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    assert kind in ("string_value", "int_value", "double_value", "bool_value"), f"unexpected {kind}"
    return getattr(value, kind)


def _raw_request() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="raw_otlp.proto", package="raw_otlp", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    for message, fields in {
        "ScopeSpans": [("spans", 2, field.LABEL_REPEATED, "")],
        "ResourceSpans": [
            ("resource", 1, field.LABEL_OPTIONAL, ""),
            ("scope_spans", 2, field.LABEL_REPEATED, "ScopeSpans"),
        ],
        "Request": [("resource_spans", 1, field.LABEL_REPEATED, "ResourceSpans")],
    }.items():
        described = file.message_type.add(name=message)
        for name, number, label, type_name in fields:
            added = described.field.add(name=name, number=number, label=label, type=field.TYPE_BYTES)
            if type_name:
                added.type = field.TYPE_MESSAGE
                added.type_name = f".raw_otlp.{type_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("raw_otlp.Request"))


_RAW_REQUEST: Final = _raw_request()
