"""What an exporter moved into other traces comes back as it was stored."""

from __future__ import annotations

import random
from collections import defaultdict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_intake import Outlet
from grouped_trees import deployment, failure, life, pod, release, replica_set, same_trace, warning, woven
from kubeweft.model import identity
from kubeweft.model.plan import Exporter
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span, SpanLink
from kubeweft.model.windows import DEFAULT_WINDOW, window_start
from kubeweft.otlp.regrouping import Part, merged, parts_of
from memory_spool import MemorySpool
from span_builders import at

WINDOW = window_start(at("10:00:00"), DEFAULT_WINDOW)
GROUPS = (
    same_trace(deployment(), release()),
    same_trace(replica_set(), deployment()),
    same_trace(pod(0), replica_set()),
    same_trace(pod(1), replica_set()),
)
OBJECTS = (release(), deployment(), replica_set(), pod(0), pod(1))


def trace(of: ObjectKey) -> bytes:
    return identity.trace_id(of, WINDOW, DEFAULT_WINDOW)


def received(*arrivals: list[Span]) -> dict[bytes, list[Span]]:
    """What an exporter that groups sends, by trace; all of one arrival is known before any of it is sent."""
    outlet = Outlet(MemorySpool(), Exporter("e", "e:4317"), grouped=True)
    for spans in arrivals:
        outlet.arrive(spans)
        outlet.settle()
    traces: dict[bytes, list[Span]] = defaultdict(list)
    for span in outlet.received:
        traces[span.trace_id].append(span)
    return traces


def gathered(traces: dict[bytes, list[Span]]) -> dict[bytes, Part]:
    """All parts, put together by the object they belong to."""
    parts: dict[bytes, list[Part]] = defaultdict(list)
    for trace_id, spans in traces.items():
        for part in parts_of(trace_id, spans, length=DEFAULT_WINDOW):
            parts[part.trace_id].append(part)
    return {trace_id: merged(some) for trace_id, some in parts.items()}


def stored(spans: list[Span]) -> dict[bytes, dict[bytes, Span]]:
    traces: dict[bytes, dict[bytes, Span]] = defaultdict(dict)
    for span in spans:
        traces[span.trace_id][span.span_id] = span
    return traces


def by_id(parts: dict[bytes, Part]) -> dict[bytes, dict[bytes, Span]]:
    return {trace_id: {span.span_id: span for span in part.spans} for trace_id, part in parts.items()}


def test_a_grouped_tree_comes_back_as_the_traces_of_its_objects() -> None:
    tree = woven(*GROUPS, *life(), warning(pod(0)), failure(deployment()))
    traces = received(tree)
    assert len(traces[trace(pod(0))]) == 1, "nothing was grouped: the test shows nothing"
    assert by_id(gathered(traces)) == stored(tree)


def test_a_signpost_tells_where_to_look() -> None:
    traces = received(woven(*GROUPS, *life()))
    (part,) = parts_of(trace(pod(0)), traces[trace(pod(0))], length=DEFAULT_WINDOW)
    assert (part.place.key, part.trace_id, part.elsewhere) == (pod(0), trace(pod(0)), {trace(release())})
    assert [(span.source, span.links) for span in part.spans] == [("object", ())]


def test_the_home_of_a_group_is_taken_apart() -> None:
    traces = received(woven(*GROUPS, *life()))
    parts = parts_of(trace(release()), traces[trace(release())], length=DEFAULT_WINDOW)
    assert {part.place.key: part.trace_id for part in parts} == {key: trace(key) for key in OBJECTS}


def test_spans_that_left_before_a_relation_was_known_are_found_as_well() -> None:
    first, groups = woven(*life()), woven(*GROUPS)
    late = woven(*GROUPS, *life(), warning(pod(0)))
    known = {span.span_id for span in [*first, *groups]}
    traces = received(first, groups, [span for span in late if span.span_id not in known])
    parts = gathered(traces)
    assert by_id(parts) == stored([*first, *groups, *late])
    assert trace(release()) in parts[trace(pod(0))].elsewhere


def test_links_lead_to_the_traces_of_objects_also_where_a_store_dropped_what_they_say() -> None:
    tree = woven(*GROUPS, *life())
    links = {span.span_id: span.links for span in tree if span.source == "link" and span.links}
    assert links
    for drops in (False, True):
        traces = received(tree)
        if drops:
            traces = {
                trace_id: [_without_link_attributes(span) for span in spans]
                for trace_id, spans in traces.items()
            }
        for part in gathered(traces).values():
            for span in part.spans:
                if span.span_id in links:
                    assert span.links == links[span.span_id]


def _without_link_attributes(span: Span) -> Span:
    links = tuple([SpanLink(link.trace_id, link.span_id, {}) for link in span.links])
    return msgspec.structs.replace(span, links=links)


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), st.sets(st.integers(0, 3), max_size=4))
def test_the_order_in_which_a_store_gives_spans_does_not_matter(
    order: random.Random, groups: set[int]
) -> None:
    tree = woven(*[GROUPS[number] for number in sorted(groups)], *life(), warning(pod(1)))
    straight = {trace_id: part.spans for trace_id, part in gathered(received(tree)).items()}
    traces = received(tree)
    for spans in traces.values():
        order.shuffle(spans)
    mixed = list(traces.items())
    order.shuffle(mixed)
    assert {trace_id: part.spans for trace_id, part in gathered(dict(mixed)).items()} == straight


def test_a_trace_without_its_object_span_is_known_by_computing_its_id() -> None:
    spans = [span for span in woven(*life()) if span.trace_id == trace(pod(0)) and span.source != "object"]
    (part,) = parts_of(trace(pod(0)), spans, length=DEFAULT_WINDOW)
    assert part.place == (pod(0), WINDOW, DEFAULT_WINDOW)


@pytest.mark.parametrize("guests", [0, 3])
def test_a_trace_whose_id_nobody_computed_keeps_what_is_in_it(guests: int) -> None:
    spans = [span for span in woven(*life()) if span.key in OBJECTS[1 : 2 + guests]]
    foreign = b"?" * 16
    moved = [msgspec.structs.replace(span, trace_id=foreign) for span in spans]
    parts = parts_of(foreign, moved, length=DEFAULT_WINDOW)
    assert {part.trace_id for part in parts} == {foreign}
    assert sorted(s.span_id for part in parts for s in part.spans) == sorted(s.span_id for s in spans)


def test_doubled_spans_are_one_and_stand_in_order_of_time() -> None:
    spans = [span for span in woven(*life(), warning(pod(0))) if span.trace_id == trace(pod(0))]
    (part,) = parts_of(trace(pod(0)), [*reversed(spans), *spans], length=DEFAULT_WINDOW)
    whole = merged([part, part])
    assert len(whole.spans) == len(spans)
    assert whole.spans[0].source == "object"
    starts = [span.start for span in whole.spans[1:]]
    assert starts == sorted(starts)
