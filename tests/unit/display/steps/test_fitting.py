"""Objects last as long as what is under them."""

from __future__ import annotations

from kubeweft.display.tree.trees import nodes_of
from memory_reader import story_of
from span_builders import at, change, key, owner, request, uid, weave

DEPLOYMENT, RS, POD = key("deployments", "d"), key("replicasets", "rs"), key("pods", "p")


def test_an_object_encloses_its_facts_and_those_of_the_objects_it_owns() -> None:
    spans = weave(
        request(RS, "patch", "10:05:00.000", took=1),
        change(POD, "Added", "10:01:00", uid=uid(1), version="1", owners=(owner(RS, uid(2)),)),
        request(POD, "patch", "10:29:59.500", took=2),
    )
    root = story_of(RS, spans).root
    assert (root.start, root.end) == (at("10:01:00"), at("10:30:01.500"))


def test_an_object_without_facts_takes_the_time_of_what_it_owns() -> None:
    spans = weave(
        change(RS, "Added", "10:00:00", uid=uid(2), version="1", owners=(owner(DEPLOYMENT, uid(3)),)),
        change(POD, "Added", "10:01:00", uid=uid(1), version="2", owners=(owner(RS, uid(2)),)),
    )
    root = story_of(DEPLOYMENT, spans).root
    assert (root.facts, root.start, root.end) == ((), at("10:00:00"), at("10:01:00"))


def test_an_object_of_which_nothing_is_known_lies_where_its_owner_begins() -> None:
    """The window of the owned object was lost: only the owner's end of the link is left."""
    spans = weave(
        request(RS, "patch", "10:05:00.000"),
        change(POD, "Added", "10:01:00", uid=uid(1), version="1", owners=(owner(RS, uid(2)),)),
    )
    root = story_of(RS, [span for span in spans if span.key != POD]).root
    pod = list(nodes_of(root))[-1]
    assert pod.key == POD
    assert (pod.start, pod.end) == (at("10:05:00.000"), at("10:05:00.000"))
