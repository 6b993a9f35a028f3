"""Spans for tests of the way out: plain ones by number, and any that the model allows (also hostile ones)."""

from __future__ import annotations

from hypothesis import strategies as st

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import SOURCES, Attributes, AttributeValue, Span, SpanLink
from kubeweft.model.windows import DEFAULT_WINDOW

START = 1_000 * DEFAULT_WINDOW
DEPLOYMENT = ObjectKey("local", "apps", "deployments", "default", "demo")


def pod(number: int, *, namespace: str = "default") -> ObjectKey:
    """The key of a Pod."""
    return ObjectKey("local", "", "pods", namespace, f"demo-{number}")


def change_span(number: int, *, key: ObjectKey | None = None, attributes: Attributes | None = None) -> Span:
    """The ``number``-th change of a Pod, of which each has twenty."""
    key = key or pod(number // 20)
    trace = identity.trace_id(key, START, DEFAULT_WINDOW)
    version = str(1000 + number)
    return Span(
        trace_id=trace,
        span_id=identity.change_span_id(
            cluster=key.cluster, uid=key.name, old_version="", new_version=version
        ),
        parent_span_id=identity.object_span_id(trace),
        source="change",
        key=key,
        name="modified",
        start=START + number,
        end=START + number,
        attributes=attributes
        or {v.KIND: "Pod", v.RESOURCE_VERSION: version, v.WORDS: f"spec.replicas {number} → {number + 1}"},
    )


def change_spans(count: int, *, first: int = 0) -> list[Span]:
    """Changes in order of arrival."""
    return [change_span(number) for number in range(first, first + count)]


def object_span(key: ObjectKey = DEPLOYMENT, *, body: bytes = b"") -> Span:
    """The root of an object's trace, with a link to another object."""
    trace = identity.trace_id(key, START, DEFAULT_WINDOW)
    other = identity.trace_id(pod(0), START, DEFAULT_WINDOW)
    return Span(
        trace_id=trace,
        span_id=identity.object_span_id(trace),
        parent_span_id=b"",
        source="object",
        key=key,
        name=str(key),
        start=START,
        end=START + DEFAULT_WINDOW,
        attributes={v.KIND: "Deployment", v.WINDOW_SECONDS: 1800},
        links=(SpanLink(other, identity.object_span_id(other), {v.LINK_ROLE: "Child"}),),
        body=body,
    )


anything = st.text(
    st.characters(codec=None, exclude_categories=()), max_size=40
)  # surrogates and NUL as well
attribute_values: st.SearchStrategy[AttributeValue] = st.one_of(
    anything,
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, 0.0, -0.0, 1.0, True, False, "", 2**63 - 1, -(2**63), 2**63]),
    st.floats(),
)
attribute_maps: st.SearchStrategy[Attributes] = st.dictionaries(anything, attribute_values, max_size=8)
keys = st.builds(
    ObjectKey, anything, anything, st.sampled_from(["pods", "deployments", "ünïts"]), anything, anything
)
links = st.builds(
    SpanLink, st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), attribute_maps
)
times = st.one_of(st.integers(0, 2**62), st.integers(-(2**65), 2**65))
any_spans = st.builds(
    Span,
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent_span_id=st.one_of(st.just(b""), st.binary(min_size=8, max_size=8)),
    source=st.sampled_from(SOURCES),
    key=keys,
    name=anything,
    start=times,
    end=times,
    attributes=attribute_maps,
    links=st.lists(links, max_size=3).map(tuple),
    error=anything,
    body=st.one_of(st.just(b""), st.binary(max_size=50)),
)
