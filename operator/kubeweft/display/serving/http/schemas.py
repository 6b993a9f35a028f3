"""The shapes of all answers, as JSON Schemas: for the description of the API, and for the tests that hold us to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Shape = Mapping[str, Any]


def reference(name: str) -> Shape:
    """A schema of :data:`SCHEMAS` by its name."""
    assert name in SCHEMAS, name
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Mapping[str, Shape], *, optional: Sequence[str] = (), about: str = "") -> Shape:
    required = [name for name in properties if name not in optional]
    described = {"description": about} if about else {}
    return {"type": "object", **described, "properties": dict(properties), "required": required}


def _list(items: Shape, *, at_least: int = 0) -> Shape:
    return {"type": "array", "items": items, **({"minItems": at_least} if at_least else {})}


def _here(name: str) -> Shape:
    return {"$ref": f"#/components/schemas/{name}"}


def _structured(data: Shape) -> Shape:
    """The wrapper of everything in the old dialect."""
    return _object(
        {
            "data": data,
            "total": WHOLE,
            "limit": WHOLE,
            "offset": WHOLE,
            "errors": {"anyOf": [{"type": "null"}, _list(_here("Error"))]},
        }
    )


TEXT: Final[Shape] = {"type": "string"}
WHOLE: Final[Shape] = {"type": "integer"}
TRUTH: Final[Shape] = {"type": "boolean"}
TRACE: Final[Shape] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
SPAN: Final[Shape] = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
NANOSECONDS: Final[Shape] = {"type": "string", "pattern": "^[0-9]+$", "description": "Since the epoch."}
MICROSECONDS: Final[Shape] = {"type": "integer", "minimum": 0, "description": "Microseconds."}
NO_ITEMS: Final[Shape] = {"type": "array", "maxItems": 0}

_OLD: Final[Mapping[str, Shape]] = {
    "Error": _object({"code": WHOLE, "msg": TEXT, "traceID": TEXT}, optional=("traceID",)),
    "StructuredError": _structured({"type": "null"}),
    "Names": _structured(_list(TEXT)),
    "Operations": _structured(_list(_object({"name": TEXT, "spanKind": TEXT}))),
    "Dependencies": _structured(_list(_here("Dependency"))),
    "Dependency": _object({"parent": TEXT, "child": TEXT, "callCount": WHOLE}),
    "Traces": _structured(_list(_here("Trace"))),
    "Trace": _object(
        {
            "traceID": TRACE,
            "spans": _list(_here("Span"), at_least=1),
            "processes": {"type": "object", "additionalProperties": _here("Process")},
            "warnings": _list(TEXT),
        }
    ),
    "Process": _object({"serviceName": TEXT, "tags": _list(_here("Tag"))}),
    "Span": _object(
        {
            "traceID": TRACE,
            "spanID": SPAN,
            "flags": WHOLE,
            "operationName": TEXT,
            "references": _list(_here("Reference")),
            "startTime": MICROSECONDS,
            "duration": MICROSECONDS,
            "tags": _list(_here("Tag")),
            "logs": NO_ITEMS,
            "processID": TEXT,
            "warnings": {"type": "null"},
        }
    ),
    "Reference": _object(
        {"refType": {"enum": ["CHILD_OF", "FOLLOWS_FROM"]}, "traceID": TRACE, "spanID": SPAN}
    ),
    "Tag": _object(
        {
            "key": TEXT,
            "type": {"enum": ["string", "bool", "int64", "float64"]},
            "value": {"type": ["string", "boolean", "number"]},
        }
    ),
}
_V3: Final[Mapping[str, Shape]] = {
    "GatewayError": _object(
        {"error": _object({"grpcCode": WHOLE, "httpCode": WHOLE, "message": TEXT})},
    ),
    "V3Services": _object({"services": _list(TEXT)}),
    "V3Operations": _object({"operations": _list(_object({"name": TEXT, "spanKind": TEXT}))}),
    "V3Dependencies": _object({"dependencies": _list(_here("V3Dependency"))}),
    "V3Dependency": _object(
        {"parent": TEXT, "child": TEXT, "callCount": {"type": "string", "pattern": "^[0-9]+$"}},
        about="64-bit numbers are texts in JSON of protobuf.",
    ),
    "Capabilities": _object({"search": _object({"withoutServiceName": TRUTH})}),
    "TracesData": _object({"result": _object({"resourceSpans": _list(_here("ResourceSpans"), at_least=1)})}),
    "ResourceSpans": _object(
        {
            "resource": _object({"attributes": _list(_here("KeyValue"))}),
            "scopeSpans": _list(
                _object(
                    {
                        "scope": _object({"name": TEXT, "version": TEXT}),
                        "spans": _list(_here("OtlpSpan"), at_least=1),
                    }
                ),
                at_least=1,
            ),
        },
        about="Spans of one service; a service may come more than once.",
    ),
    "OtlpSpan": _object(
        {
            "traceId": TRACE,
            "spanId": SPAN,
            "parentSpanId": SPAN,
            "name": TEXT,
            "kind": WHOLE,
            "startTimeUnixNano": NANOSECONDS,
            "endTimeUnixNano": NANOSECONDS,
            "attributes": _list(_here("KeyValue")),
            "links": _list(
                _object(
                    {"traceId": TRACE, "spanId": SPAN, "attributes": _list(_here("KeyValue"))},
                    optional=("attributes",),
                )
            ),
            "status": _object({"code": WHOLE, "message": TEXT}, optional=("code", "message")),
        },
        optional=("parentSpanId", "links"),
    ),
    "KeyValue": _object({"key": TEXT, "value": _here("AnyValue")}),
    "AnyValue": {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {
            "stringValue": TEXT,
            "boolValue": TRUTH,
            "intValue": {"type": "string", "pattern": "^-?[0-9]+$"},
            "doubleValue": {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]},
            "arrayValue": _object({"values": _list(_here("AnyValue"))}),
        },
    },
    "Summaries": _object({"summaries": _list(_here("Summary"))}),
    "Summary": _object(
        {
            "traceId": TRACE,
            "traceID": TRACE,
            "rootServiceName": TEXT,
            "rootOperationName": TEXT,
            "minStartTimeUnixNano": NANOSECONDS,
            "maxEndTimeUnixNano": NANOSECONDS,
            "spanCount": WHOLE,
            "errorSpanCount": WHOLE,
            "orphanSpanCount": WHOLE,
            "services": _list(_object({"name": TEXT, "spanCount": WHOLE, "errorSpanCount": WHOLE})),
        }
    ),
}
_OWN: Final[Mapping[str, Shape]] = {
    "Located": _object(
        {"traceID": TRACE, "url": {"type": "string", "description": "The page of the trace."}}
    ),
    "PlainError": _object({"error": TEXT}),
    "Description": {"type": "object", "description": "An OpenAPI 3.1 document."},
}
SCHEMAS: Final[Mapping[str, Shape]] = {**_OLD, **_V3, **_OWN}
