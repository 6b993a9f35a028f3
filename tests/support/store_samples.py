"""Spans for tests of stores: small, but with all that a span may carry."""

from __future__ import annotations

from collections.abc import Mapping

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, AttributeValue, Source, Span, SpanLink
from kubeweft.model.windows import NANOSECONDS

LENGTH = 1800 * NANOSECONDS
NINE = 1_795_251_600 * NANOSECONDS  # 2026-11-21T09:00:00Z, on a border of windows
MINUTE = 60 * NANOSECONDS


def key_of(name: str = "web", **parts: str) -> ObjectKey:
    """A Deployment, unless ``parts`` say something else."""
    key = ObjectKey("prod", "apps", "deployments", "shop", name)
    return key._replace(**parts)


def trace_of(key: ObjectKey, window: int = NINE) -> bytes:
    """The trace ID of an object in the window that begins at ``window``."""
    return identity.trace_id(key, window, LENGTH)


def object_span(key: ObjectKey, window: int = NINE) -> Span:
    """The root of a window."""
    trace = trace_of(key, window)
    attributes: Attributes = {v.WINDOW_SECONDS: LENGTH // NANOSECONDS}
    root = identity.object_span_id(trace)
    return Span(trace, root, b"", "object", key, str(key), window, window + LENGTH, attributes)


def fact(
    key: ObjectKey,
    number: int,
    *,
    start: int = NINE + MINUTE,
    lasts: int = 0,
    source: Source = "request",
    name: str = "update",
    attributes: Mapping[str, AttributeValue] | None = None,
    links: tuple[SpanLink, ...] = (),
    error: str = "",
    body: bytes = b"",
) -> Span:
    """One span below the root; ``number`` makes its ID."""
    trace = trace_of(key, start - start % LENGTH)
    return Span(
        trace,
        number.to_bytes(8, "big"),
        identity.object_span_id(trace),
        source,
        key,
        name,
        start,
        start + lasts,
        dict({v.VERB: "update", v.USER: "alice"} if attributes is None else attributes),
        links,
        error,
        body,
    )
