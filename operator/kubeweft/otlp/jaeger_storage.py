"""Jaeger's storage API (``jaeger.storage.v2``): its messages and methods, for the server of ours and for our client.

The messages are described here in Python and made by protobuf itself, so nothing is generated and nothing vendored;
names and numbers are those of jaeger-idl v0.14.0. Traces travel as OpenTelemetry's ``TracesData``. Left out is what
Jaeger asks only of a storage that says it can (structured filters, searching spans): unknown fields are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

PACKAGE: Final = "jaeger.storage.v2"
NANOSECONDS: Final = 1_000_000_000
GREATEST: Final = 2**63 - 1

Message = Any
"""A protobuf message: its class is made at import, so type checkers know nothing of its fields."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "fixed64": _FIELD.TYPE_FIXED64,
    "double": _FIELD.TYPE_DOUBLE,
}
_TIMESTAMP: Final = ".google.protobuf.Timestamp"
_DURATION: Final = ".google.protobuf.Duration"
_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    # trace_storage.proto
    "GetTraceParams": {
        "trace_id": (1, "bytes"),
        "start_time": (2, _TIMESTAMP),
        "end_time": (3, _TIMESTAMP),
    },
    "GetTracesRequest": {"query": (1, "repeated GetTraceParams")},
    "GetServicesRequest": {},
    "GetServicesResponse": {"services": (1, "repeated string")},
    "GetOperationsRequest": {"service": (1, "string"), "span_kind": (2, "string")},
    "Operation": {"name": (1, "string"), "span_kind": (2, "string")},
    "GetOperationsResponse": {"operations": (1, "repeated Operation")},
    "KeyValue": {"key": (1, "string"), "value": (2, "AnyValue")},
    "AnyValue": {
        "string_value": (1, "oneof string"),
        "bool_value": (2, "oneof bool"),
        "int_value": (3, "oneof int64"),
        "double_value": (4, "oneof double"),
        "array_value": (5, "oneof ArrayValue"),
        "kvlist_value": (6, "oneof KeyValueList"),
        "bytes_value": (7, "oneof bytes"),
    },
    "KeyValueList": {"values": (1, "repeated KeyValue")},
    "ArrayValue": {"values": (1, "repeated AnyValue")},
    "TraceQueryParameters": {
        "service_name": (1, "string"),
        "operation_name": (2, "string"),
        "attributes": (3, "repeated KeyValue"),
        "start_time_min": (4, _TIMESTAMP),
        "start_time_max": (5, _TIMESTAMP),
        "duration_min": (6, _DURATION),
        "duration_max": (7, _DURATION),
        "search_depth": (8, "int32"),
        "pagination": (10, "Pagination"),
    },
    "Pagination": {"page_size": (1, "uint32"), "page_token": (2, "string")},
    "FindTracesRequest": {"query": (1, "TraceQueryParameters")},
    "FindTraceIDsRequest": {"query": (1, "TraceQueryParameters")},
    "FoundTraceID": {"trace_id": (1, "bytes"), "start": (2, _TIMESTAMP), "end": (3, _TIMESTAMP)},
    "FindTraceIDsResponse": {"trace_ids": (1, "repeated FoundTraceID"), "next_page_token": (2, "string")},
    "ServiceSummary": {"name": (1, "string"), "span_count": (2, "int32"), "error_span_count": (3, "int32")},
    "TraceSummary": {
        "trace_id": (1, "bytes"),
        "root_service_name": (2, "string"),
        "root_operation_name": (3, "string"),
        "min_start_time_unix_nano": (4, "fixed64"),
        "max_end_time_unix_nano": (5, "fixed64"),
        "span_count": (6, "int32"),
        "error_span_count": (7, "int32"),
        "orphan_span_count": (8, "int32"),
        "services": (9, "repeated ServiceSummary"),
    },
    "FindTraceSummariesRequest": {"query": (1, "TraceQueryParameters")},
    "FindTraceSummariesResponse": {
        "summaries": (1, "repeated TraceSummary"),
        "next_page_token": (2, "string"),
    },
    # dependency_storage.proto
    "GetDependenciesRequest": {"start_time": (1, _TIMESTAMP), "end_time": (2, _TIMESTAMP)},
    "Dependency": {
        "parent": (1, "string"),
        "child": (2, "string"),
        "call_count": (3, "uint64"),
        "source": (4, "string"),
    },
    "GetDependenciesResponse": {"dependencies": (1, "repeated Dependency")},
    # capabilities.proto
    "SearchCapabilities": {
        "without_service_name": (1, "bool"),
        "same_span_conjunction": (2, "bool"),
        "filter": (3, "FilterCapabilities"),
        "paginated": (4, "bool"),
        "span_search": (5, "bool"),
        "span_sorting": (6, "bool"),
    },
    "FilterCapabilities": {"levels": (1, "repeated string"), "operators": (2, "repeated string")},
    "GetCapabilitiesRequest": {},
    "GetCapabilitiesResponse": {"search": (1, "SearchCapabilities")},
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="kubeweft/jaeger_storage_v2.proto", package=PACKAGE, syntax="proto3"
    )
    file.dependency.extend([timestamp_pb2.DESCRIPTOR.name, duration_pb2.DESCRIPTOR.name])
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            _add_field(message, field_name, number, kind)
    return file


def _add_field(message: Message, name: str, number: int, kind: str) -> None:
    *rule, kind = kind.split()
    label = _FIELD.LABEL_REPEATED if rule == ["repeated"] else _FIELD.LABEL_OPTIONAL
    added = message.field.add(name=name, number=number, label=label)
    if kind in _SCALARS:
        added.type = _SCALARS[kind]
    else:
        added.type = _FIELD.TYPE_MESSAGE
        added.type_name = kind if kind.startswith(".") else f".{PACKAGE}.{kind}"
    if rule == ["oneof"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        added.oneof_index = 0


_POOL: Final = descriptor_pool.Default()
_POOL.AddSerializedFile(_file().SerializeToString())


def message_class(name: str) -> type[Message]:
    """The class of one message of the package; KeyError if there is none of that name."""
    made: type[Message] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
    return made


GetTraceParams: Final = message_class("GetTraceParams")
GetTracesRequest: Final = message_class("GetTracesRequest")
GetServicesRequest: Final = message_class("GetServicesRequest")
GetServicesResponse: Final = message_class("GetServicesResponse")
GetOperationsRequest: Final = message_class("GetOperationsRequest")
GetOperationsResponse: Final = message_class("GetOperationsResponse")
TraceQueryParameters: Final = message_class("TraceQueryParameters")
FindTracesRequest: Final = message_class("FindTracesRequest")
FindTraceIDsRequest: Final = message_class("FindTraceIDsRequest")
FindTraceIDsResponse: Final = message_class("FindTraceIDsResponse")
TraceSummary: Final = message_class("TraceSummary")
FindTraceSummariesRequest: Final = message_class("FindTraceSummariesRequest")
FindTraceSummariesResponse: Final = message_class("FindTraceSummariesResponse")
GetDependenciesRequest: Final = message_class("GetDependenciesRequest")
GetDependenciesResponse: Final = message_class("GetDependenciesResponse")
GetCapabilitiesRequest: Final = message_class("GetCapabilitiesRequest")
GetCapabilitiesResponse: Final = message_class("GetCapabilitiesResponse")
TracesData: Final[type[Message]] = trace_pb2.TracesData


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One remote procedure: what goes in, what comes out, and whether that comes as a stream."""

    service: str
    name: str
    request: type[Message]
    response: type[Message]
    streams: bool = False

    @property
    def path(self) -> str:
        """As gRPC names it on the wire."""
        return f"/{self.service}/{self.name}"


TRACE_READER: Final = f"{PACKAGE}.TraceReader"
DEPENDENCY_READER: Final = f"{PACKAGE}.DependencyReader"
CAPABILITIES: Final = f"{PACKAGE}.Capabilities"


def _reading(name: str, request: type[Message], response: type[Message], *, streams: bool = False) -> Method:
    return Method(service=TRACE_READER, name=name, request=request, response=response, streams=streams)


GET_TRACES: Final = _reading("GetTraces", GetTracesRequest, TracesData, streams=True)
GET_SERVICES: Final = _reading("GetServices", GetServicesRequest, GetServicesResponse)
GET_OPERATIONS: Final = _reading("GetOperations", GetOperationsRequest, GetOperationsResponse)
FIND_TRACES: Final = _reading("FindTraces", FindTracesRequest, TracesData, streams=True)
FIND_TRACE_IDS: Final = _reading("FindTraceIDs", FindTraceIDsRequest, FindTraceIDsResponse)
FIND_TRACE_SUMMARIES: Final = _reading(
    "FindTraceSummaries", FindTraceSummariesRequest, FindTraceSummariesResponse, streams=True
)
GET_DEPENDENCIES: Final = Method(
    service=DEPENDENCY_READER,
    name="GetDependencies",
    request=GetDependenciesRequest,
    response=GetDependenciesResponse,
)
GET_CAPABILITIES: Final = Method(
    service=CAPABILITIES,
    name="GetCapabilities",
    request=GetCapabilitiesRequest,
    response=GetCapabilitiesResponse,
)
METHODS: Final = (
    GET_TRACES,
    GET_SERVICES,
    GET_OPERATIONS,
    FIND_TRACES,
    FIND_TRACE_IDS,
    FIND_TRACE_SUMMARIES,
    GET_DEPENDENCIES,
    GET_CAPABILITIES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceQuery:
    """A search as the API words it; times and durations are nanoseconds, None where they are not given.

    Attributes are text on this side, because Jaeger sends them so, whatever type they are stored with. ``depth`` is
    how many traces are wanted, 0 where that is not said.
    """

    service: str = ""
    operation: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None
    shortest: int | None = None
    longest: int | None = None
    depth: int = 0


def read_query(message: Message) -> TraceQuery:
    """The search in a ``TraceQueryParameters``."""
    return TraceQuery(
        service=message.service_name,
        operation=message.operation_name,
        attributes={pair.key: value_text(pair.value) for pair in message.attributes},
        since=read_time(message.start_time_min),
        until=read_time(message.start_time_max),
        shortest=_read_duration(message.duration_min),
        longest=_read_duration(message.duration_max),
        depth=max(message.search_depth, 0),
    )


def write_query(query: TraceQuery) -> Message:
    """A ``TraceQueryParameters`` for a search."""
    message = TraceQueryParameters(
        service_name=query.service, operation_name=query.operation, search_depth=query.depth
    )
    for key, value in query.attributes.items():
        message.attributes.add(key=key).value.string_value = value
    write_time(message.start_time_min, query.since)
    write_time(message.start_time_max, query.until)
    for duration, nanoseconds in (
        (message.duration_min, query.shortest),
        (message.duration_max, query.longest),
    ):
        if nanoseconds is not None:
            duration.seconds, duration.nanos = divmod(nanoseconds, NANOSECONDS)
    return message


def write_trace_params(trace_id: bytes, *, since: int | None = None, until: int | None = None) -> Message:
    """A ``GetTraceParams`` for one trace, if wished with the time in which it is looked for (nanoseconds)."""
    message = GetTraceParams(trace_id=trace_id)
    write_time(message.start_time, since)
    write_time(message.end_time, until)
    return message


def read_time(timestamp: Message) -> int | None:
    """Nanoseconds since the epoch; None where it is unset, for which Jaeger's Go writes the first second of year 1."""
    if not timestamp.seconds and not timestamp.nanos:
        return None
    if timestamp.seconds < 0:
        return None
    return min(int(timestamp.seconds) * NANOSECONDS + int(timestamp.nanos), GREATEST)


def write_time(timestamp: Message, nanoseconds: int | None) -> None:
    """Set a timestamp of a message, or leave it unset."""
    if nanoseconds is not None:
        timestamp.seconds, timestamp.nanos = divmod(nanoseconds, NANOSECONDS)


def _read_duration(duration: Message) -> int | None:
    """Nanoseconds; 0 means that none is given."""
    nanoseconds = min(int(duration.seconds) * NANOSECONDS + int(duration.nanos), GREATEST)
    return nanoseconds if nanoseconds > 0 else None


def value_text(value: Message) -> str:
    """An ``AnyValue``, of this package or OpenTelemetry's, as the text by which Jaeger's users write it."""
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    told = getattr(value, kind)
    if kind == "bool_value":
        return "true" if told else "false"
    if kind == "bytes_value":
        return str(told.hex())
    if kind == "array_value":
        return f"[{','.join(value_text(one) for one in told.values)}]"
    if kind == "kvlist_value":
        return f"{{{','.join(f'{one.key}:{value_text(one.value)}' for one in told.values)}}}"
    return str(told)
