"""Spans of other tracing systems in annotations."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.links.traceparents import contexts_in, parse_traceparent
from kubeweft.model.observations import TraceContext

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def contexts(**annotations: Any) -> tuple[TraceContext, ...]:
    """What annotations name; in names ``__`` stands for a slash, ``_`` for a dot."""
    named = {name.replace("__", "/").replace("_", "."): text for name, text in annotations.items()}
    return contexts_in(orjson.dumps({"metadata": {"annotations": named}}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tracing_k8s_io__traceparent", PARENT),
        ("keptn_sh__traceparent", PARENT),
        ("source_toolkit_fluxcd_io__traceparent", f" {PARENT} "),
        ("traceparent", PARENT),
        ("tekton_dev__pipelinerunSpanContext", orjson.dumps({"traceparent": PARENT}).decode()),
        ("tekton_dev__taskrunSpanContext", orjson.dumps({"Traceparent": PARENT, "tracestate": ""}).decode()),
        ("any_org__traceparent", f"01-{TRACE}-{SPAN}-00-more"),
    ],
)
def test_annotations_that_name_a_span(name: str, text: str) -> None:
    (found,) = contexts(**{name: text})
    assert found.trace_id.hex() == TRACE
    assert found.span_id.hex() == SPAN
    assert found.annotation == name.replace("__", "/").replace("_", ".")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", PARENT[:-1], PARENT.upper(), f"ff-{TRACE}-{SPAN}-01", f"{PARENT}-more", f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", "{", "[]", '{"traceparent": 1}', '{"traceparent": {}}', "x" * 5000, f"{PARENT}\n1",
    ],
)  # fmt: skip
def test_what_is_malformed_names_nothing(text: str) -> None:
    assert contexts(tracing_k8s_io__traceparent=text, tekton_dev__taskrunSpanContext=text) == ()


def test_several_come_sorted_and_bounded() -> None:
    names = {f"a{number:02}_io__traceparent": PARENT for number in range(30)}
    found = contexts(**names)
    assert [each.annotation for each in found] == [f"a{number:02}.io/traceparent" for number in range(16)]


@pytest.mark.parametrize(
    "body",
    [b"", b"traceparent", b'"traceparent"', b'{"metadata": "traceparent"}', b'{"metadata": {"annotations": "traceparent"}}',
     b'{"metadata": {"annotations": {"a/traceparent": 7}}}', b'{"spec": {"a/traceparent": "x"}}'],
)  # fmt: skip
def test_odd_bodies_name_nothing(body: bytes) -> None:
    assert contexts_in(body) == ()


@given(st.text(max_size=80))
def test_nothing_raises(text: str) -> None:
    ids = parse_traceparent(text)
    assert ids is None or (len(ids[0]) == 16 and len(ids[1]) == 8)
    contexts(a__traceparent=text.encode(errors="replace").decode())
