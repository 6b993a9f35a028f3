"""Which linked objects are shown with what happened to them, and what of it."""

from __future__ import annotations

from typing import Any

import pytest

from kubeweft.display.reading.assembling import assemble
from kubeweft.display.reading.following import Limits
from kubeweft.display.stories import read_story
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import Tree
from kubeweft.display.views.loading import builtin_views
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Observation
from kubeweft.model.spans import Span
from memory_reader import MemoryReader, story_of
from span_builders import at, change, event, key, owner, related, request, to, uid, weave

IT, PEER = key("configmaps", "it"), key("nodes", "peer")
ME = uid(1)


def with_peer(*observations: Observation) -> list[Span]:
    """An object that does something, and a peer with these facts."""
    return weave(request(IT, "patch", "10:00:00.000"), related(IT, to(PEER, "Peer", "Uses")), *observations)


def modified(*words: str) -> Observation:
    return change(PEER, "Modified", "10:05:00", uid=ME, old="1", version="2", words=words)


OF_INTEREST: dict[str, Observation] = {
    "a Warning": event(PEER, "NotReady", "10:05:00", type="Warning"),
    "a failure": request(PEER, "get", "10:05:00.000", code=404),
    "a delete": request(PEER, "delete", "10:05:00.000"),
    "a creation": change(PEER, "Added", "10:05:00", uid=ME, version="1"),
    "a deletion": change(PEER, "Deleted", "10:05:00", uid=ME, old="1", version="2"),
    "a condition": modified("status.conditions[Ready].status True → False"),
    "a new condition": modified("+ status.conditions[DiskPressure] = {6 fields}"),
    "a condition of a route": modified("status.parents[0].conditions[Accepted].reason Accepted → Pending"),
    "the specification": modified("spec.unschedulable false → true"),
    "content": modified("- data['a b'] (was 1)"),
    "its end": modified("+ metadata.deletionTimestamp = 2026-11-21T10:05:00Z"),
}
NOT_OF_INTEREST: dict[str, Observation] = {
    "a normal Event": event(PEER, "Starting", "10:05:00"),
    "a read": request(PEER, "get", "10:05:00.000"),
    "a sighting": change(PEER, "Sighting", "10:05:00", uid=ME, version="1"),
    "a heartbeat": modified("status.conditions[Ready].lastHeartbeatTime 10:00 → 10:05", "… 3 more"),
    "a condition moved": modified("status.conditions[Ready] moved 1 → 0"),
    "a label": modified("+ metadata.labels[a] = b", "metadata.generation 1 → 2"),
    "other status": modified("status.observedGeneration 1 → 2", "+ status.images[1] = x"),
}


@pytest.mark.parametrize("what", OF_INTEREST)
def test_what_may_matter_is_shown(what: str) -> None:
    (peer,) = story_of(IT, with_peer(OF_INTEREST[what])).linked
    assert peer.key == PEER
    assert len(peer.facts) == 1


@pytest.mark.parametrize("what", NOT_OF_INTEREST)
def test_what_does_not_leaves_a_name(what: str) -> None:
    tree = story_of(IT, with_peer(NOT_OF_INTEREST[what]))
    assert tree.linked == ()
    assert names(tree) == ["peer nodes//peer"]
    assert tree.truncated == (), "that is no limit"


@pytest.mark.parametrize("what", [*OF_INTEREST, *NOT_OF_INTEREST])
def test_full_shows_everything(what: str) -> None:
    (peer,) = story_of(IT, with_peer((OF_INTEREST | NOT_OF_INTEREST)[what]), linked="full").linked
    assert len(peer.facts) == 1


def test_full_shows_also_those_of_which_nothing_is_known() -> None:
    (peer,) = story_of(IT, with_peer(), linked="full").linked
    assert (peer.key, peer.facts, peer.start) == (PEER, (), at("10:00:00.000"))


@pytest.mark.parametrize(("mode", "left"), [("names", ["peer nodes//peer"]), ("none", [])])
def test_names_only_and_not_even_names(mode: Any, left: list[str]) -> None:
    reader = MemoryReader(with_peer(OF_INTEREST["a Warning"]))
    tree = read_story(reader, IT, selection=Selection(name="owned", linked=mode))
    assert (tree.linked, names(tree)) == ((), left)
    assert reader.questions == 3, "the object, and twice its type: the peer is not read"


def test_owners_outside_the_tree_keep_their_line_and_are_no_linked_objects() -> None:
    top = key("deployments", "top")
    spans = weave(
        change(IT, "Added", "10:00:00", uid=ME, version="1", owners=(owner(top, uid(2)),)),
        event(top, "Bad", "10:00:01", type="Warning"),
    )
    for mode in ("auto", "none", "names", "full"):
        tree = story_of(IT, spans, linked=mode)
        assert (tree.linked, names(tree)) == ((), ["parent deployments.apps/default/top"])


def test_a_parent_that_a_rule_made_is_a_linked_object() -> None:
    top = key("deployments", "top")
    spans = weave(
        request(IT, "patch", "10:00:00.000"),
        event(top, "Bad", "10:00:01", type="Warning"),
        related(IT, to(top, "Parent", "Federates")),
    )
    (parent,) = story_of(IT, spans).linked
    assert parent.key == top
    assert [(link.text(v.LINK_ROLE), link.rules) for link in parent.via] == [("Parent", ("federates-rule",))]


def test_peers_of_peers_are_not_followed() -> None:
    far = key("nodes", "far")
    spans = with_peer(
        OF_INTEREST["a Warning"],
        event(far, "Bad", "10:00:01", type="Warning"),
        related(PEER, to(far, "Peer", "Near")),
    )
    assert [node.key for node in story_of(IT, spans, linked="full").linked] == [PEER]
    assert story_of(IT, spans, linked="full").linked[0].links == ()


def test_an_object_of_the_tree_is_no_linked_object_too() -> None:
    """Two children of one parent that are peers of each other."""
    one, two = key("pods", "one"), key("pods", "two")
    owners = (owner(key("replicasets", "rs"), uid(9)),)
    spans = weave(
        change(one, "Added", "10:00:00", uid=uid(1), version="1", owners=owners),
        change(two, "Added", "10:00:00", uid=uid(2), version="2", owners=owners),
        related(one, to(two, "Peer", "Near")),
    )
    tree = story_of(key("replicasets", "rs"), spans, linked="full")
    assert tree.linked == ()
    assert [[link.span.name for link in child.links] for child in tree.root.children] == [
        ["peer pods/default/two"],
        ["peer pods/default/one"],
    ]


def test_more_than_the_limit_are_counted_and_those_of_interest_come_first() -> None:
    peers = [key("nodes", f"n{number}") for number in range(9)]
    spans = weave(
        request(IT, "patch", "10:00:00.000"),
        related(IT, *[to(peer, "Peer", "Uses") for peer in peers]),
        *[event(peer, "Fine", "10:00:05") for peer in peers[1:]],
        event(peers[7], "Bad", "10:00:09", type="Warning"),
    )
    tree = story_of(IT, spans, linked="full", limits=Limits(linked=3))
    assert [node.key.name for node in tree.linked] == ["n1", "n2", "n7"]
    (cut,) = tree.truncated
    assert (cut.what, cut.of, cut.shown, cut.more) == ("linked", str(IT), 3, 6)
    assert cut.hint
    auto = story_of(IT, spans, limits=Limits(linked=3))
    assert [node.key.name for node in auto.linked] == ["n7"]
    assert auto.truncated == ()


def test_of_many_facts_the_latest_and_those_of_interest_are_kept() -> None:
    normal = [event(PEER, f"E{second}", f"10:00:0{second}") for second in range(8)]
    spans = with_peer(*normal, event(PEER, "Bad", "10:00:00", type="Warning"))
    tree = story_of(IT, spans, limits=Limits(linked_facts=3))
    assert [fact.span.name for fact in tree.linked[0].facts] == ["Bad", "E6", "E7"]
    assert [(cut.what, cut.of, cut.shown, cut.more) for cut in tree.truncated] == [
        ("facts", "nodes//peer", 3, 6)
    ]


def test_facts_left_out_of_several_objects_are_one_line() -> None:
    other = key("nodes", "other")
    bad = [event(n, f"E{s}", f"10:00:0{s}", type="Warning") for n in (PEER, other) for s in range(4)]
    tree = story_of(
        IT,
        weave(
            request(IT, "patch", "10:00:00.000"),
            related(IT, to(PEER, "Peer", "Uses"), to(other, "Peer", "Uses")),
            *bad,
        ),
        limits=Limits(linked_facts=3),
    )
    assert [(cut.what, cut.of, cut.more) for cut in tree.truncated] == [("linked_facts", str(IT), 2)]


def test_only_the_time_asked_for_counts() -> None:
    spans = with_peer(OF_INTEREST["a Warning"], request(IT, "patch", "10:20:00.000"))
    tree = story_of(IT, spans, since=at("10:10:00"), until=at("10:25:00"))
    assert tree.linked == ()
    assert names(tree) == ["peer nodes//peer"]


def test_a_peer_is_read_from_the_first_to_the_last_window_in_which_it_was_linked() -> None:
    spans = weave(
        event(PEER, "Before", "09:20:00", type="Warning"),
        request(IT, "patch", "10:00:00.000"),
        related(IT, to(PEER, "Peer", "Uses")),
        event(PEER, "Between", "10:40:00", type="Warning"),
        request(IT, "patch", "11:10:00.000"),
        event(PEER, "After", "12:40:00", type="Warning"),
    )
    (peer,) = story_of(IT, spans).linked
    assert [fact.span.name for fact in peer.facts] == ["Between"]


def test_a_second_time_changes_nothing() -> None:
    spans = with_peer(
        *[event(PEER, f"E{second}", f"10:00:0{second}", type="Warning") for second in range(8)],
    )
    raw = assemble(MemoryReader(spans), IT, limits=Limits(linked_facts=3))
    once = builtin_views().view("tree").arrange(raw)
    assert len(once.linked) == 1
    assert builtin_views().view("tree").arrange(once) == once


def names(tree: Tree) -> list[str]:
    return [link.span.name for link in tree.root.links]
