"""A tree as spans: parents first, IDs unique, times valid, everything left out said, links that lead to other trees."""

from __future__ import annotations

import dataclasses
import weakref

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.display.answering.addressing import Addresses
from kubeweft.display.answering.contract import DisplayedSpan
from kubeweft.display.answering.displayed_ids import read_displayed_id
from kubeweft.display.answering.flattening import LAST_TIME, count_spans, flatten
from kubeweft.display.reading.assembling import assemble
from kubeweft.display.tree.made import LEFT_HINT, LEFT_MORE, LEFT_SHOWN
from kubeweft.display.tree.trees import Label, Node, Tree, Truncation, each_node, link_target, shown_nodes
from kubeweft.display.views.loading import builtin_views
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import AttributeValue, Span
from kubeweft.model.windows import DEFAULT_WINDOW, window_start
from memory_reader import MemoryReader, story_of
from span_builders import at, change, event, gap, key, owner, related, request, to, uid, weave
from story_answers import DEPLOYMENT, NODE, POD, REPLICA_SET, story

END = at("11:00:00")
ADDRESSES = Addresses(view=3, selection=2, since=at("10:00:00"), until=END - 1)


def flat(tree: Tree, *, most: int = 10_000) -> list[DisplayedSpan]:
    return list(flatten(tree, ADDRESSES, most=most))


def named(spans: list[DisplayedSpan], start: str) -> DisplayedSpan:
    (found,) = [span for span in spans if span.operation.startswith(start)]
    return found


def test_parents_come_first_and_ids_are_unique() -> None:
    spans = flat(story_of(DEPLOYMENT, story()))
    met: set[bytes] = set()
    for number, span in enumerate(spans):
        assert span.span_id not in met
        assert (span.parent_span_id in met) == (number > 0)
        met.add(span.span_id)
    assert [span.service for span in spans if span.service[0].isupper()] == [
        "Deployment",
        "ReplicaSet",
        "Pod",
    ]


def test_counting_is_what_flattening_gives() -> None:
    tree = story_of(NODE, story(), linked="full")
    cut = Truncation(what="objects", of=str(NODE), shown=1, more=7, hint="look elsewhere")
    tree = dataclasses.replace(tree, truncated=(cut,))
    assert tree.linked
    assert count_spans(tree) == len(flat(tree))


class Held(dict[str, AttributeValue]):
    """Attributes of which one can know whether anybody still has them."""


def test_objects_are_let_go_as_they_are_written() -> None:
    held: dict[ObjectKey, weakref.ref[Held]] = {}

    def watched(node: Node) -> Node:
        attributes = Held(node.span.attributes)
        held[node.key] = weakref.ref(attributes)
        return msgspec.structs.replace(node, span=msgspec.structs.replace(node.span, attributes=attributes))

    spans = flatten(each_node(story_of(DEPLOYMENT, story()), watched), ADDRESSES)
    assert all(attributes() is not None for attributes in held.values())
    pod = next(span for span in spans if span.service == "Pod")
    assert {of for of, attributes in held.items() if attributes() is not None} == {POD}
    assert any(span.parent_span_id == pod.span_id for span in spans)
    assert sum(1 for _ in spans) > 0
    assert not any(attributes() for attributes in held.values())


def test_every_span_says_whose_it_is() -> None:
    spans = flat(story_of(DEPLOYMENT, story()))
    pod = next(span for span in spans if span.service == "Pod")
    below = [span for span in spans if span.parent_span_id == pod.span_id]
    assert len(below) > 2
    for span in (pod, *below):
        names = (v.CLUSTER, v.GROUP, v.RESOURCE, v.NAMESPACE, v.NAME)
        assert tuple(span.attributes.get(name, "") for name in names) == tuple(POD)
        assert v.GROUP not in span.attributes  # what is empty is not written
    assert pod.attributes[v.KIND] == "Pod"
    assert pod.attributes[v.UID] == uid(3)


def test_what_happened_is_the_operation_and_words_are_in_it() -> None:
    spans = flat(story_of(DEPLOYMENT, story()))
    refused = named(spans, "update by jane")
    assert refused.service == "request"
    assert refused.error
    assert refused.attributes[v.CODE] == 409
    changed = named(spans, "changed")
    assert (changed.service, changed.operation) == ("change", "changed: status.phase Pending → Running")
    assert changed.attributes[v.WORDS] == "status.phase Pending → Running"
    assert named(spans, "Normal Scheduled").service == "event"


def test_a_link_leads_to_the_tree_of_the_other_object() -> None:
    spans = flat(story_of(POD, story()))
    link = next(span for span in spans if span.service == "link" and "RunsOn" in span.operation)
    (leads,) = link.links
    shown = read_displayed_id(leads.trace_id)
    last = identity.trace_id(NODE, window_start(at("10:00:00"), DEFAULT_WINDOW), DEFAULT_WINDOW)
    assert shown == (last, 3, 2, 1, 1)
    root = next(flatten(story_of(NODE, story()), ADDRESSES, stored=last))
    assert root.span_id == leads.span_id  # so the viewer finds the span there, too


def test_each_object_below_leads_to_its_own_tree_but_the_root_does_not() -> None:
    spans = flat(story_of(DEPLOYMENT, story()))
    links = {
        span.service: span.links for span in spans if span.service in ("Deployment", "ReplicaSet", "Pod")
    }
    assert links["Deployment"] == ()
    window = window_start(at("10:40:02"), DEFAULT_WINDOW)
    for service, target in (("ReplicaSet", REPLICA_SET), ("Pod", POD)):
        last = identity.trace_id(target, window, DEFAULT_WINDOW)
        shown = read_displayed_id(links[service][0].trace_id)
        assert shown is not None
        assert shown.stored == last
        assert links[service][0].span_id == identity.object_span_id(last)


def test_the_object_asked_for_has_the_id_that_links_to_its_trace_tell() -> None:
    last = identity.trace_id(POD, window_start(at("10:40:02"), DEFAULT_WINDOW), DEFAULT_WINDOW)
    pod = next(flatten(story_of(POD, story()), ADDRESSES, stored=last))
    assert pod.span_id == identity.object_span_id(last)


def test_a_link_to_an_object_that_is_shown_leads_to_its_last_window() -> None:
    later = weave(event(NODE, "NotReady", "10:50:00"))
    spans = flat(story_of(POD, [*story(), *later], linked="full"))
    link = next(span for span in spans if span.service == "link" and "RunsOn" in span.operation)
    shown = read_displayed_id(link.links[0].trace_id)
    assert shown is not None
    assert shown.stored == identity.trace_id(
        NODE, window_start(at("10:50:00"), DEFAULT_WINDOW), DEFAULT_WINDOW
    )


def test_no_link_leads_to_the_object_that_the_trace_is_about() -> None:
    tree = assemble(MemoryReader(story()), DEPLOYMENT)
    back = [link for node in shown_nodes(tree) for link in node.links if link_target(link.span) == DEPLOYMENT]
    shown = {span.span_id: span for span in flat(tree)}
    assert back
    assert all(shown[link.span.span_id].links == () for link in back)


def test_objects_beside_the_tree_stand_under_a_span_of_their_own() -> None:
    spans = flat(story_of(POD, story(), linked="full"))
    beside = named(spans, "1 linked object")
    node = next(span for span in spans if span.service == "Node")
    assert node.parent_span_id == beside.span_id
    assert beside.parent_span_id == spans[0].span_id
    assert spans[0].start <= beside.start <= beside.end <= spans[0].end


def test_the_lives_of_a_name_are_spans() -> None:
    target = key("configmaps", "reborn")
    spans = flat(
        story_of(
            target,
            weave(
                change(target, "Added", "10:00:00", uid=uid(1), version="1"),
                change(target, "Deleted", "10:00:05", uid=uid(1), version="4", old="1"),
                change(target, "Added", "10:00:10", uid=uid(2), version="5"),
            ),
        )
    )
    first, second = named(spans, "life 1"), named(spans, "life 2")
    assert (first.attributes[v.UID], second.attributes[v.UID]) == (uid(1), uid(2))
    under = {span.operation: span.parent_span_id for span in spans}
    assert under["deleted"] == first.span_id
    assert [span.parent_span_id for span in spans if span.operation == "created"] == [
        first.span_id,
        second.span_id,
    ]
    assert v.UID not in spans[0].attributes


def test_what_was_left_out_is_told_where_it_is_missing() -> None:
    tree = story_of(DEPLOYMENT, story())
    cuts = (
        Truncation(
            what="objects", of=str(REPLICA_SET), shown=1, more=312, hint="narrow", kinds=(("Pod", 312),)
        ),
        Truncation(what="windows", of="something/else/where", shown=3, more=2, hint="move the time"),
    )
    spans = flat(dataclasses.replace(tree, truncated=cuts))
    pods, windows = named(spans, "312 more Pods"), named(spans, "2 more older windows")
    replica_set = next(span for span in spans if span.service == "ReplicaSet")
    assert (pods.parent_span_id, windows.parent_span_id) == (replica_set.span_id, spans[0].span_id)
    told = (LEFT_SHOWN, LEFT_MORE, LEFT_HINT)
    assert [pods.attributes[name] for name in told] == [1, 312, "narrow"]


def test_a_limit_of_spans_says_how_many_are_missing_and_leaves_no_orphans() -> None:
    tree = story_of(DEPLOYMENT, story())
    everything = flat(tree)
    spans = flat(tree, most=4)
    assert spans[:4] == everything[:4]
    assert spans[4].operation == f"{len(everything) - 4} more spans: open this trace to see all of them"
    assert {span.parent_span_id for span in spans} <= {b""} | {span.span_id for span in spans}
    assert flat(tree, most=len(everything)) == everything


def test_labels_of_a_view_go_before_usual_names() -> None:
    tree = story_of(DEPLOYMENT, story())
    label = Label("jane", "did it", (("team", "shop"),))

    def relabel(node):  # type: ignore[no-untyped-def]
        facts = tuple([msgspec.structs.replace(fact, label=label) for fact in node.facts])
        return msgspec.structs.replace(node, facts=facts, label=Label(service="things"))

    spans = flat(each_node(tree, relabel))
    things = [span for span in spans if span.service == "things"]
    assert len(things) == 3
    done = [span for span in spans if span.operation == "did it"]
    assert {span.service for span in done} == {"jane"}
    assert all(span.attributes["team"] == "shop" for span in done)
    assert "team" not in things[0].attributes


def test_the_same_span_twice_gets_two_ids_and_always_the_same() -> None:
    tree = story_of(POD, story())
    fact = next(fact for fact in tree.root.facts if fact.span.source == "event")
    doubled = dataclasses.replace(tree, root=msgspec.structs.replace(tree.root, facts=(fact, fact, fact)))
    ids = [span.span_id for span in flat(doubled) if span.service == "event"]
    assert len(set(ids)) == 3
    assert ids[0] == fact.span.span_id
    assert ids == [span.span_id for span in flat(doubled) if span.service == "event"]


@given(start=st.integers(-(2**64), 2**64), end=st.integers(-(2**64), 2**64))
def test_times_are_such_that_every_viewer_can_hold_them(start: int, end: int) -> None:
    target = key("pods", "p")
    tree = story_of(target, weave(request(target, "get", "10:00:00")))
    fact = msgspec.structs.replace(tree.root.facts[0], start=start, end=end)
    root = msgspec.structs.replace(tree.root, facts=(fact,), start=end, end=start)
    for span in flat(dataclasses.replace(tree, root=root)):
        assert 0 <= span.start <= span.end <= LAST_TIME


def test_a_long_message_is_cut_in_the_operation_only() -> None:
    target = key("pods", "p")
    long = "x" * 1000
    tree = story_of(target, weave(event(target, "Failed", "10:00:00", message=long, type="Warning")))
    span = next(span for span in flat(tree) if span.service == "event")
    assert len(span.operation) == 240
    assert span.attributes[v.EVENT_MESSAGE] == long


def test_links_of_several_rules_name_them() -> None:
    pod, node = key("pods", "p"), key("nodes", "n")
    spans = weave(
        event(pod, "Scheduled", "10:00:01"),
        related(pod, to(node, "Peer", "RunsOn", "one"), to(node, "Peer", "RunsOn", "two")),
    )
    link = next(span for span in flat(story_of(pod, spans)) if span.service == "link")
    assert link.attributes[v.LINK_RULE] == "one, two"


def _stories() -> dict[str, tuple[ObjectKey, list[Span]]]:
    """What views have to cope with: a rollout, a storm of conflicts, a name with two lives, gaps, several clusters."""
    target, other = key("statefulsets", "db"), key("pods", "db-0")
    far = key("configmaps", "far", cluster="other")
    storm = [
        request(target, "update", f"10:00:{n:02d}", code=409, base="7", user=f"u{n % 3}") for n in range(9)
    ]
    lives = weave(
        change(target, "Added", "10:00:00", uid=uid(1), version="1"),
        *storm,
        request(target, "update", "10:00:20", uid=uid(1), version="8", base="7"),
        change(
            target,
            "Modified",
            "10:00:20",
            uid=uid(1),
            version="8",
            old="1",
            words=("spec.a 1 → 2", "+ b = 3"),
        ),
        change(other, "Added", "10:00:30", uid=uid(2), version="9", owners=(owner(target, uid(1)),)),
        change(other, "Deleted", "10:05:00", uid=uid(2), version="12", old="9", receipt=True),
        change(other, "Added", "10:05:10", uid=uid(3), version="13", owners=(owner(target, uid(1)),)),
        event(other, "BackOff", "10:05:20", type="Warning", count=1),
        event(other, "BackOff", "10:06:20", type="Warning", count=5, first="10:05:20"),
        gap(other, "Relisted", "10:10:00", "10:11:00"),
        related(other, to(far, "Peer", "ConfiguredBy")),
        event(far, "Synced", "10:00:40"),
    )
    return {"rollout": (DEPLOYMENT, story()), "lives": (target, lives), "pod": (other, lives)}


@pytest.mark.parametrize("name", list(_stories()))
@pytest.mark.parametrize("view", list(builtin_views().views))
@pytest.mark.parametrize("selection", list(builtin_views().selections))
def test_every_view_of_every_story_is_a_sound_trace(name: str, view: str, selection: str) -> None:
    target, spans = _stories()[name]
    known = builtin_views()
    tree = story_of(target, spans, view=known.view(view), selection=known.selection(selection))
    written = flat(tree)
    assert len(written) == count_spans(tree)
    met: set[bytes] = set()
    for number, span in enumerate(written):
        assert span.span_id not in met, span
        assert (span.parent_span_id in met) if number else (span.parent_span_id == b""), span
        assert 0 <= span.start <= span.end <= LAST_TIME, span
        assert span.operation.strip(), span
        assert span.service.strip(), span
        assert v.CLUSTER in span.attributes, span
        met.add(span.span_id)
    assert flat(tree) == written
