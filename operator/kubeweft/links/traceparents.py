"""Spans of other tracing systems that annotations of an object name, by the W3C trace context.

Read are ``tracing.k8s.io/traceparent`` (KEP-5915) and every other annotation whose name ends in ``traceparent``
(Keptn's ``keptn.sh/traceparent``; Flux itself writes none), and Tekton's ``tekton.dev/pipelinerunSpanContext`` and
``tekton.dev/taskrunSpanContext``: a JSON map with ``traceparent`` in it. What is malformed names nothing: anybody may
write annotations, so nothing here ever raises.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from kubeweft.model.observations import TraceContext

MOST_CONTEXTS: Final = 16
_LONGEST: Final = 4096
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)


def contexts_in(body: bytes) -> tuple[TraceContext, ...]:
    """The spans that the annotations of an object name, sorted by annotation; at most 16. ``body`` is JSON."""
    if b"traceparent" not in body and b"SpanContext" not in body:
        return ()
    try:
        obj: Any = orjson.loads(body)
    except ValueError:
        return ()
    metadata = obj.get("metadata") if type(obj) is dict else None
    annotations = metadata.get("annotations") if type(metadata) is dict else None
    if type(annotations) is not dict:
        return ()
    found = [_context(name, annotations[name]) for name in sorted(annotations) if _is_carrier(name)]
    return tuple(context for context in found if context is not None)[:MOST_CONTEXTS]


def parse_traceparent(text: str) -> tuple[bytes, bytes] | None:
    """Trace ID and span ID of a ``traceparent``, or None where it is none, or one of all zeros."""
    match = _FORM.fullmatch(text.strip())
    if match is None or match[1] == "ff" or (match[1] == "00" and match[4] is not None):
        return None  # version 00 has exactly four parts, later ones may have more, ff is forbidden
    trace_id, span_id = bytes.fromhex(match[2]), bytes.fromhex(match[3])
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return trace_id, span_id


def _is_carrier(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last == "traceparent" or last.endswith((".traceparent", "-traceparent", "SpanContext"))


def _context(name: str, value: Any) -> TraceContext | None:
    if type(value) is not str or len(value) > _LONGEST:
        return None
    if name.endswith("SpanContext") or value.lstrip().startswith("{"):
        value = _in_carrier(value)
    ids = parse_traceparent(value)
    return TraceContext(*ids, name) if ids else None


def _in_carrier(text: str) -> str:
    """The ``traceparent`` of a carrier written as JSON, in which its name may have another case."""
    try:
        carrier: Any = orjson.loads(text)
    except ValueError:
        return ""
    if type(carrier) is not dict:
        return ""
    values = [carrier[key] for key in sorted(carrier) if key.lower() == "traceparent"]
    return values[0] if values and type(values[0]) is str else ""
