"""Which objects are in a tree: ancestors, children, siblings and neighbours, as a selection says."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence

import pytest

from kubeweft.display.reading.levels import Limits
from kubeweft.display.stories import read_story
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import Node, Tree, nodes_of
from kubeweft.display.views.loading import builtin_views
from kubeweft.model import identity
from kubeweft.model.observations import Observation
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from memory_reader import MemoryReader
from span_builders import at, change, event, key, owner, related, request, to, uid, weave

DEPLOYMENT, OLD, NEW = (
    key("deployments", "demo"),
    key("replicasets", "demo-7c5f"),
    key("replicasets", "demo-b9d4"),
)
POD, OTHER_POD = key("pods", "demo-7c5f-aaaaa"), key("pods", "demo-7c5f-bbbbb")
NEW_POD = key("pods", "demo-b9d4-ccccc")


def select(name: str) -> Selection:
    """A selection that is shipped."""
    return builtin_views().selection(name)


def shown(spans: Sequence[Span], asked: ObjectKey, selection: str | Selection, **more: object) -> Tree:
    """The tree of an object with a selection, in the view ``tree``."""
    chosen = select(selection) if isinstance(selection, str) else selection
    return read_story(MemoryReader(spans), asked, selection=chosen, **more)  # type: ignore[arg-type]


def names(tree: Tree) -> list[str]:
    """The names of all objects in the tree proper."""
    return [node.key.name for node in nodes_of(tree.root)]


def chain(*keys: ObjectKey, clock: str = "10:00:00") -> list[Observation]:
    """Each object is owned by the one before it."""
    return [
        change(child, "Added", clock, uid=uid(n + 1), version=str(n), owners=(owner(parent, uid(n)),))
        for n, (parent, child) in enumerate(itertools.pairwise(keys), start=1)
    ]


# ------------------------------------------------------------------------------------------- Kelemetry's two scenarios


def test_a_search_by_deployment_gives_one_root_with_two_replica_sets(rollout: list[Span]) -> None:
    tree = shown(rollout, DEPLOYMENT, "full")
    assert (tree.root.key, tree.asked) == (DEPLOYMENT, None)
    assert [child.key for child in tree.root.children] == [OLD, NEW]
    assert sorted(names(tree)) == sorted(
        ["demo", "demo-7c5f", "demo-b9d4", "demo-7c5f-aaaaa", "demo-7c5f-bbbbb", "demo-b9d4-ccccc"]
    )
    assert shown(rollout, DEPLOYMENT, "ancestors") == shown(rollout, DEPLOYMENT, "owned")


def test_a_search_by_replica_set_with_ancestors_gives_the_deployment_as_root(rollout: list[Span]) -> None:
    tree = shown(rollout, NEW, "ancestors")
    assert (tree.root.key, tree.asked) == (DEPLOYMENT, NEW)
    assert names(tree) == ["demo", "demo-b9d4", "demo-b9d4-ccccc"]
    assert tree.root.facts == shown(rollout, DEPLOYMENT, "owned").root.facts


def test_with_siblings_the_tree_is_that_of_the_root(rollout: list[Span]) -> None:
    whole = shown(rollout, DEPLOYMENT, "owned")
    for asked in (OLD, NEW, POD, OTHER_POD, NEW_POD):
        assert shown(rollout, asked, "full") == dataclasses.replace(whole, asked=asked)


# --------------------------------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize(
    ("up", "down", "expected"),
    [
        (0, 0, ["c"]),
        (0, 1, ["c", "d"]),
        (1, 0, ["b", "c"]),
        (1, 8, ["b", "c", "d", "e"]),
        (2, 1, ["a", "b", "c", "d"]),
        (32, 8, ["a", "b", "c", "d", "e"]),
    ],
)
@pytest.mark.parametrize("siblings", [False, True])
def test_levels_up_and_down_count_from_what_was_asked_for(
    up: int, down: int, expected: list[str], siblings: bool
) -> None:
    keys = [key("configmaps", name) for name in "abcde"]
    tree = shown(weave(*chain(*keys)), keys[2], Selection(name="x", up=up, down=down, siblings=siblings))
    assert names(tree) == expected
    assert tree.asked == (keys[2] if up else None)


def test_what_stands_beside_the_way_is_left_out_and_told(rollout: list[Span]) -> None:
    tree = shown(rollout, POD, "ancestors")
    assert names(tree) == ["demo", "demo-7c5f", "demo-7c5f-aaaaa"]
    (cut,) = tree.truncated
    assert (cut.what, cut.of, cut.more) == ("siblings", str(DEPLOYMENT), 2)
    assert cut.kinds == (("Pod", 1), ("ReplicaSet", 1))
    assert cut.hint == "add --select full"
    assert shown(rollout, POD, "full").truncated == ()


def test_objects_beside_the_way_have_their_depth_from_what_was_asked_for() -> None:
    """One level below the object that was asked for: so deep the tree goes on the other side too, and no deeper."""
    top, middle, low, lowest = (key("configmaps", name) for name in ("top", "middle", "low", "lowest"))
    side = [key("configmaps", f"side-{n}") for n in range(5)]
    spans = weave(*chain(top, middle, low, lowest), *chain(top, *side))
    tree = shown(spans, middle, Selection(name="x", up=8, down=1, siblings=True))
    assert sorted(names(tree)) == ["low", "middle", "side-0", "side-1", "top"]


# ------------------------------------------------------------------------------------------------------- which parent


def test_owners_come_before_what_rules_made_and_the_controller_before_other_owners() -> None:
    release, first, second = (
        key("widgets", "a-release"),
        key("configmaps", "a-owner"),
        key("configmaps", "z-controller"),
    )
    owners = (owner(first, uid(1), controller=False), owner(second, uid(2)))
    spans = weave(
        related(POD, to(release, "Parent", "InstalledBy"), clock="10:00:00"),
        change(POD, "Added", "10:00:00", uid=uid(3), version="1", owners=owners),
    )
    one_up = Selection(name="x", up=1)
    assert shown(spans, POD, one_up).root.key == second
    without = [s for s in spans if "z-controller" not in s.name and s.key != second]
    assert shown(without, POD, one_up).root.key == first
    neither = [s for s in without if "a-owner" not in s.name and s.key != first]
    assert shown(neither, POD, one_up).root.key == release


def test_the_parent_named_last_is_the_one() -> None:
    """A Pod that was adopted: the ReplicaSet that owns it now is where one looks for it."""
    spans = weave(
        change(POD, "Added", "10:00:00", uid=uid(3), version="1", owners=(owner(NEW, uid(2)),)),
    ) + weave(
        change(POD, "Modified", "10:40:00", uid=uid(3), old="1", version="2", owners=(owner(OLD, uid(1)),)),
    )
    assert shown(spans, POD, "ancestors").root.key == OLD
    assert shown(spans, POD, "ancestors", until=at("10:20:00")).root.key == NEW


def test_the_same_way_whatever_the_order_of_spans() -> None:
    tops = [key("configmaps", f"top-{n}") for n in range(3)]
    middles = [key("configmaps", f"middle-{n}") for n in range(3)]
    spans = weave(
        *[c for top, middle in zip(tops, middles, strict=True) for c in chain(top, middle)],
        *[c for middle in middles for c in chain(middle, POD)],
    )
    orders = [random.Random(seed).sample(spans, len(spans)) for seed in range(40)]
    trees = [shown(order, POD, "ancestors") for order in orders]
    assert all(tree == trees[0] for tree in trees)
    assert names(trees[0]) == ["top-0", "middle-0", POD.name]


@pytest.mark.parametrize("name", ["ancestors", "full"])
def test_parents_that_go_round_end_somewhere(name: str) -> None:
    a, b, c = (key("configmaps", name) for name in "abc")
    spans = weave(*chain(a, b, c, a))
    for asked, expected in ((a, ["b", "c", "a"]), (b, ["c", "a", "b"]), (c, ["a", "b", "c"])):
        assert names(shown(spans, asked, name)) == expected
    itself = weave(change(a, "Added", "10:00:00", uid=uid(1), version="1", owners=(owner(a, uid(1)),)))
    assert names(shown(itself, a, name)) == ["a"]


def test_ways_lead_over_clusters() -> None:
    hub, member = key("deployments", "web"), key("deployments", "web", cluster="member-1")
    spans = weave(
        request(hub, "patch", "10:00:00.000"),
        related(hub, to(member, "Child", "Federates")),
        change(member, "Added", "10:00:01", uid=uid(1), version="1"),
        *chain(member, key("pods", "web-1", cluster="member-1"), clock="10:00:02"),
    )
    tree = shown(spans, key("pods", "web-1", cluster="member-1"), "ancestors")
    assert [node.key.cluster for node in nodes_of(tree.root)] == ["demo", "member-1", "member-1"]
    assert [[link.rules for link in node.via] for node in nodes_of(tree.root)] == [
        [],
        [("federates-rule",)],
        [],
    ]


# ------------------------------------------------------------------------------------- other windows, quiet and missing


def test_a_parent_that_is_busy_in_another_window_tells_its_own_story_too() -> None:
    spans = weave(*chain(OLD, POD, clock="10:05:00"), request(OLD, "patch", "11:40:00.000"))
    tree = shown(spans, POD, "ancestors")
    assert [fact.start for fact in tree.root.facts] == [at("11:40:00.000")]
    assert len(tree.root.windows) == 2
    assert shown(spans, POD, "ancestors", until=at("11:00:00")).root.facts == ()


def test_quiet_parents_are_on_the_way() -> None:
    spans = weave(*chain(DEPLOYMENT, OLD, POD), request(POD, "patch", "11:10:00.000"))
    tree = shown(spans, POD, "ancestors", since=at("11:00:00"), until=at("11:30:00"))
    assert names(tree) == ["demo", "demo-7c5f", POD.name]
    assert [len(node.facts) for node in nodes_of(tree.root)] == [0, 0, 1]


@pytest.mark.parametrize("name", ["ancestors", "full"])
@pytest.mark.parametrize("missing", [{DEPLOYMENT}, {OLD, DEPLOYMENT}])
def test_a_parent_without_any_trace_is_made_anew(missing: set[ObjectKey], name: str) -> None:
    spans = [s for s in weave(*chain(DEPLOYMENT, OLD, POD)) if s.key not in missing]
    root = shown(spans, POD, name).root
    expected = OLD if OLD in missing else DEPLOYMENT
    trace = identity.trace_id(expected, at("10:00:00"), DEFAULT_WINDOW)
    assert (root.key, root.windows, root.facts) == (expected, (), ())
    assert (root.span.trace_id, root.span.span_id) == (trace, identity.object_span_id(trace))
    assert (root.start, root.end) == (at("10:00:00"), at("10:00:00"))
    assert root.children[-1].key == (POD if OLD in missing else OLD)


def test_where_only_late_events_tell_of_an_object_its_parents_are_those_known_last() -> None:
    late = weave(event(POD, "Killing", "15:00:00"))
    spans = weave(*chain(OLD, POD)) + late
    tree = shown(spans, POD, "ancestors", since=at("14:00:00"))
    assert (tree.root.key, tree.root.facts) == (OLD, ())
    assert [fact.span.name for fact in tree.root.children[0].facts] == ["Killing"]


def test_an_object_that_was_seen_without_parents_has_none_although_an_earlier_one_of_its_name_had() -> None:
    alone = weave(change(POD, "Added", "15:00:00", uid=uid(9), version="9"))
    spans = weave(*chain(OLD, POD)) + alone
    assert shown(spans, POD, "ancestors", since=at("14:00:00")).root.key == POD


# -------------------------------------------------------------------------------------------------------------- limits


def test_what_was_asked_for_is_there_before_what_stands_beside_it() -> None:
    """The oldest of many Pods, under a ReplicaSet that is not the newest either: no limit may cut it off."""
    pods = [key("pods", f"p-{n:03d}") for n in range(40)]
    spans = weave(
        *chain(DEPLOYMENT, OLD),
        *chain(DEPLOYMENT, NEW),
        *[c for pod in pods for c in chain(OLD, pod)],
        *[request(pod, "patch", "10:40:00.000") for pod in pods[:-1]],
        *chain(pods[-1], key("configmaps", "below")),
        request(NEW, "patch", "10:50:00.000"),
    )
    tree = shown(spans, pods[-1], "full", limits=Limits(objects=6))
    assert {DEPLOYMENT, OLD, pods[-1], key("configmaps", "below")} <= {
        node.key for node in nodes_of(tree.root)
    }
    assert len(names(tree)) == 6
    (cut,) = tree.truncated
    assert (cut.what, cut.of, cut.shown, cut.more, cut.kinds) == ("objects", str(OLD), 1, 38, (("Pod", 38),))


def test_reads_upwards_are_one_for_each_level() -> None:
    keys = [key("configmaps", f"level-{n}") for n in range(12)]
    for up in (0, 1, 5):
        reader = MemoryReader(
            weave(*chain(*keys), *chain(keys[3], *[key("pods", f"p-{n}") for n in range(50)]))
        )
        read_story(reader, keys[-1], selection=Selection(name="x", up=up, linked="none"))
        assert reader.calls == {"windows_of_many": 1 + up + 1, "spans_of": 1 + up}


# ---------------------------------------------------------------------------------------------------------- neighbours


def with_neighbours() -> list[Span]:
    """A Pod with an owner, two peers of different classes, and a child."""
    node, claim, child = key("nodes", "n-1"), key("configmaps", "claim"), key("widgets", "child")
    return weave(
        *chain(DEPLOYMENT, OLD, POD),
        *chain(POD, child),
        related(POD, to(node, "Peer", "RunsOn"), to(claim, "Peer", "Mounts")),
        *[event(node, f"Quiet{n}", f"10:00:{n:02d}") for n in range(20)],
        request(claim, "patch", "10:03:00.000"),
        request(OLD, "patch", "10:04:00.000"),
        request(child, "patch", "10:05:00.000"),
    )


def beside(tree: Tree) -> dict[str, Node]:
    """The linked objects by name."""
    return {node.key.name: node for node in tree.linked}


def test_neighbours_are_parents_and_peers_with_all_that_happened_to_them() -> None:
    tree = shown(with_neighbours(), POD, "neighbours")
    assert names(tree) == [POD.name]
    found = beside(tree)
    assert set(found) == {"n-1", "claim", OLD.name}
    assert len(found["n-1"].facts) == 20
    assert [link.span.key for link in found[OLD.name].via] == [POD]
    assert [cut.what for cut in tree.truncated] == ["depth"], "the child"
    assert tree.truncated[0].hint == "add --select owned"


@pytest.mark.parametrize(
    ("roles", "classes", "expected"),
    [
        ({"Peer"}, (), {"n-1", "claim"}),
        ({"Parent"}, (), {OLD.name}),
        ({"Child"}, (), {"child"}),
        ((), {"RunsOn"}, {"n-1"}),
        ((), {"Controls"}, {OLD.name, "child"}),
        ({"Peer"}, {"Mounts"}, {"claim"}),
        ({"Parent"}, {"Mounts"}, set()),
    ],
)
def test_neighbours_by_role_and_class(roles: set[str], classes: set[str], expected: set[str]) -> None:
    selection = Selection(name="x", down=0, linked="full", roles=frozenset(roles), classes=frozenset(classes))
    assert set(beside(shown(with_neighbours(), POD, selection))) == expected


def test_without_roles_and_classes_owners_stand_for_themselves() -> None:
    tree = shown(with_neighbours(), POD, Selection(name="x", down=0, linked="full"))
    assert set(beside(tree)) == {"n-1", "claim"}
    assert len(beside(tree)["n-1"].facts) == 12


@pytest.mark.parametrize(("mode", "read"), [("none", 0), ("names", 0), ("auto", 2), ("full", 2)])
def test_linked_modes_read_no_more_than_they_show(mode: str, read: int) -> None:
    reader = MemoryReader(with_neighbours())
    read_story(reader, POD, selection=Selection(name="x", down=0, linked=mode))  # type: ignore[arg-type]
    assert reader.questions == 1 + 2 + read, "the object, its type, and what it is linked with"


@pytest.mark.parametrize(("first", "now"), [("a", "b"), ("b", "a")])
def test_of_two_owners_in_one_window_the_last_is_climbed_to(first: str, now: str) -> None:
    """Re-created under another owner: the window's links tell both, the object's last state the one that it has."""
    pod = key("pods", "p")

    def owned(name: str, clock: str, number: int, version: str) -> Observation:
        it = owner(key("replicasets", name), uid(number + 10))
        body: dict[str, object] = {"metadata": {"ownerReferences": [{"name": name, "controller": True}]}}
        return change(pod, "Added", clock, uid=uid(number), version=version, owners=(it,), body=body)

    spans = weave(
        owned(first, "10:00:01", 1, "4"),
        change(pod, "Deleted", "10:00:10", uid=uid(1), old="4", version="9"),
        owned(now, "10:00:20", 2, "10"),
    )
    selection = builtin_views().selection("ancestors")
    assert read_story(MemoryReader(spans), pod, selection=selection).root.key.name == now
