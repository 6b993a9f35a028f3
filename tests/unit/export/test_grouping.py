"""SameTrace: one tree at the receiver, a signpost where a child would be by itself, and links that lead there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_intake import Outlet
from grouped_trees import deployment, life, pod, release, replica_set, same_trace, warning, woven
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.plan import Exporter, Sampling
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span, SpanLink
from kubeweft.model.windows import DEFAULT_WINDOW, window_start
from kubeweft.otlp.encoding import EncodedSpan, encode_span
from memory_spool import MemorySpool
from span_builders import at, change, key, request, uid

WINDOW = window_start(at("10:00:00"), DEFAULT_WINDOW)
GROUPS = (
    same_trace(deployment(), release()),
    same_trace(replica_set(), deployment()),
    same_trace(pod(0), replica_set()),
    same_trace(pod(1), replica_set()),
)
TREE = woven(*GROUPS, *life())


def trace(of: ObjectKey) -> bytes:
    return identity.trace_id(of, WINDOW, DEFAULT_WINDOW)


def root(of: ObjectKey) -> bytes:
    return identity.object_span_id(trace(of))


def outlet(*, percent: int = 100, grouped: bool = True) -> Outlet:
    exporter = Exporter("e", "e:4317", sampling=Sampling(percent=percent))
    return Outlet(MemorySpool(step=3), exporter, grouped=grouped)


def sent(spans: list[Span], *, percent: int = 100, grouped: bool = True) -> Outlet:
    out = outlet(percent=percent, grouped=grouped)
    out.arrive(spans)
    out.settle()
    return out


def everything(out: Outlet) -> set[EncodedSpan]:
    """Each span at the receiver as its bytes, resource and own."""
    return {encode_span(span) for forms in out.forms.values() for span in forms}


def test_a_child_is_a_branch_in_the_trace_of_its_topmost_parent() -> None:
    out = sent(TREE)
    home = trace(release())
    below = {release(): b"", deployment(): root(release()), replica_set(): root(deployment())}
    below |= {pod(0): root(replica_set()), pod(1): root(replica_set())}
    for child, parent in below.items():
        (moved,) = out.forms[home, root(child)]
        assert (moved.parent_span_id, moved.key, moved.source) == (parent, child, "object")
    facts = [span for span in TREE if span.source != "object"]
    for fact in facts:
        (moved,) = out.forms[home, fact.span_id]
        assert (moved.parent_span_id, moved.start, moved.attributes) == (
            fact.parent_span_id,
            fact.start,
            fact.attributes,
        )
    assert len(out.received) == len({(span.trace_id, span.span_id) for span in TREE}) + 4  # signposts


def test_at_its_own_trace_a_child_leaves_a_signpost_and_nothing_else() -> None:
    out = sent(TREE)
    own = [span for span in out.received if span.trace_id == trace(pod(0))]
    assert [(span.source, span.span_id, span.parent_span_id) for span in own] == [
        ("object", root(pod(0)), b"")
    ]
    assert own[0].links == (SpanLink(trace(release()), root(pod(0)), {v.LINK_GROUPING: "SameTrace"}),)


def test_the_moved_object_is_found_by_name_in_stores_that_search_spans_only() -> None:
    (moved,) = sent(TREE).forms[trace(release()), root(pod(0))]
    assert b"web-1-0" in encode_span(moved).span


def test_links_lead_to_where_the_object_is_now() -> None:
    node = key("nodes", "one")
    busy = [
        link for span in sent(TREE).received for link in span.links if v.LINK_GROUPING not in link.attributes
    ]
    assert busy
    assert {link.trace_id for link in busy} == {trace(release())}
    assert trace(node) not in {link.trace_id for link in busy}


def test_links_to_other_tracing_systems_and_to_unmoved_objects_stay() -> None:
    foreign = SpanLink(b"\x01" * 16, b"\x02" * 8, {v.LINK_ANNOTATION: "a"})
    node = SpanLink(trace(key("nodes", "one")), root(key("nodes", "one")), {})
    moved = SpanLink(trace(pod(0)), root(pod(0)), {v.LINK_ROLE: "Peer"})
    other = key("configmaps", "other")
    spans = woven(change(other, "Added", "10:00:03", uid=uid(9), version="9"))
    with_links = Span(*[*(getattr(spans[-1], f) for f in Span.__struct_fields__[:9]), (foreign, node, moved)])
    out = sent([*TREE, *spans[:-1], with_links])
    (got,) = out.forms[trace(other), with_links.span_id]
    assert got.links == (foreign, node, SpanLink(trace(release()), root(pod(0)), {v.LINK_ROLE: "Peer"}))


def test_objects_that_no_rule_groups_leave_as_they_are() -> None:
    spans = woven(*life())
    assert sent(spans).received == spans


def test_nothing_moves_into_another_window() -> None:
    later = woven(*GROUPS, *life(), warning(pod(0), "10:45:00"))
    out = sent(later)
    homes = {span.trace_id for span in out.received if span.source == "event" and span.start > at("10:30:00")}
    assert homes == {identity.trace_id(release(), WINDOW + DEFAULT_WINDOW, DEFAULT_WINDOW)}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_has_the_smallest_key_on_top(length: int) -> None:
    ring = [key("configmaps", f"ring-{number}") for number in range(length)]
    links = [same_trace(one, ring[(place + 1) % length]) for place, one in enumerate(ring)]
    spans = woven(*links, *[change(one, "Added", "10:00:03", uid=uid(1), version="1") for one in ring])
    out = sent(spans)
    facts = [span for span in out.received if span.source == "change"]
    assert {span.trace_id for span in facts} == {trace(ring[0])}
    (top,) = out.forms[trace(ring[0]), root(ring[0])]
    assert top.parent_span_id == b""


def test_a_chain_without_end_moves_what_is_near_the_top_only() -> None:
    chain = [key("configmaps", f"link-{number:03}") for number in range(80)]
    links = [same_trace(one, chain[place + 1]) for place, one in enumerate(chain[:-1])]
    spans = woven(*links, *[change(one, "Added", "10:00:03", uid=uid(1), version="1") for one in chain])
    homes = {span.key: span.trace_id for span in sent(spans).received if span.source == "change"}
    assert homes[chain[79]] == homes[chain[78]] == homes[chain[40]] == trace(chain[79])
    assert homes[chain[0]] == trace(chain[0])


def test_a_link_that_comes_late_moves_what_comes_after_it_and_the_object() -> None:
    early = woven(change(pod(0), "Added", "10:00:03", uid=uid(2), version="3"))
    late = woven(*life(), *GROUPS, request(pod(0), "patch", "10:09:00", uid=uid(2), version="9"))
    out = outlet()
    out.arrive(early)
    out.settle()
    assert {span.trace_id for span in out.received} == {trace(pod(0))}
    out.arrive(late)
    out.settle()
    assert (trace(pod(0)), early[-1].span_id) in out.forms
    patch = next(span for span in late if span.name == "patch")
    assert (trace(release()), patch.span_id) in out.forms
    assert (trace(release()), root(pod(0))) in out.forms
    signposts = [span for span in out.forms[trace(pod(0)), root(pod(0))] if span.links]
    assert [link.trace_id for link in signposts[0].links] == [trace(release())]


def test_a_link_further_up_that_comes_late_moves_the_branch() -> None:
    out = outlet()
    out.arrive(woven(*life(), *GROUPS[1:]))
    out.settle()
    assert {span.trace_id for span in out.received if span.source == "event"} == {trace(deployment())}
    out.arrive(woven(*life(), *GROUPS, request(pod(0), "patch", "10:09:00", uid=uid(2), version="9")))
    out.settle()
    (moved,) = out.forms[trace(release()), root(pod(0))]
    assert moved.parent_span_id == root(replica_set())
    patched = [span.trace_id for span in out.received if span.name == "patch"]
    assert patched == [trace(release())]


def test_what_is_too_young_waits_though_older_spans_leave() -> None:
    out = outlet()
    out.arrive(TREE[:5])
    out.time += 1.0
    out.arrive(TREE[5:])
    out.settle(seconds=1.5)
    assert {span.span_id for span in out.received} <= {span.span_id for span in TREE[:5]}
    assert len(out.received) >= 5
    out.settle(seconds=0.5)
    assert everything(out) == everything(sent(TREE))


def test_links_in_the_spool_are_enough_where_no_plan_tells_of_rules() -> None:
    out = sent(TREE, grouped=False)
    assert (trace(release()), root(pod(1))) in out.forms


def test_a_grouped_tree_is_sampled_as_one() -> None:
    """The widget is no owner of anything; what it groups is kept for an error in one of the pods."""
    spans = woven(*GROUPS, *life(), warning(pod(1)))
    out = outlet(percent=0)
    for span in spans:
        out.arrive([span])
        out.settle()
    assert {span.span_id for span in out.received} == {span.span_id for span in spans}
    assert (trace(release()), root(pod(0))) in out.forms
    assert not sent(TREE, percent=0).received


@given(st.permutations(woven(*GROUPS, *life(), warning(pod(1)))), st.data())
@settings(max_examples=60)
def test_any_order_of_arrival_gives_the_receiver_the_same_spans(
    spans: list[Span], data: st.DataObject
) -> None:
    """Byte by byte, whatever arrives first and however it is cut, as long as all has arrived before any is old."""
    percent = data.draw(st.sampled_from([0, 100]))
    out = outlet(percent=percent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(spans)), max_size=4)))
    for begin, end in zip([0, *cuts], [*cuts, len(spans)], strict=True):
        out.arrive(spans[begin:end])
        out.time += 0.3
        out.turn()
    assert not out.received
    out.settle()
    in_order = outlet(percent=percent)
    in_order.arrive(woven(*GROUPS, *life(), warning(pod(1))))
    in_order.settle()
    assert everything(out) == everything(in_order)
    assert len(out.received) == len(in_order.received)


@given(st.permutations(TREE), st.lists(st.integers(1, 9), max_size=12))
@settings(max_examples=60)
def test_after_crashes_the_same_bytes_come_again(spans: list[Span], crashes: list[int]) -> None:
    out = outlet()
    out.arrive(spans)
    for taken in crashes:
        out.time += 5
        out.turn(accepts=taken)
        out.restart()
    out.settle()
    assert all(len(forms) == 1 for forms in out.forms.values())
    assert everything(out) == everything(sent(TREE))
