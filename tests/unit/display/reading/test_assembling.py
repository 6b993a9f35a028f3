"""From stored traces to a tree: windows, limits, reads."""

from __future__ import annotations

import itertools

import pytest

from kubeweft.display.reading.assembling import assemble
from kubeweft.display.reading.following import Limits
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import nodes_of
from kubeweft.display.views.loading import builtin_views
from kubeweft.model import identity
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS
from memory_reader import MemoryReader, story_of
from span_builders import at, change, event, key, owner, related, request, to, uid, weave

IT, RS = key("configmaps", "it"), key("replicasets", "rs")
MINUTE = 60 * NANOSECONDS


def pods(count: int, clock: str = "10:00:00") -> list[Observation]:
    """So many Pods of one ReplicaSet."""
    return [
        change(
            key("pods", f"p-{n:04d}"),
            "Added",
            clock,
            uid=uid(n + 10),
            version=str(n + 1),
            owners=(owner(RS, uid(1)),),
        )
        for n in range(count)
    ]


def test_the_last_moment_of_a_window_and_the_first_of_the_next_are_one_story() -> None:
    spans = weave(request(IT, "patch", "10:29:59.999"), request(IT, "patch", "10:30:00.000"))
    assert len({span.trace_id for span in spans}) == 2
    root = story_of(IT, spans).root
    assert [f.start for f in root.facts] == [at("10:29:59.999"), at("10:30:00.000")]
    assert [w.start for w in root.windows] == [at("10:00:00"), at("10:30:00")]


def test_sixty_one_minutes_can_be_four_windows() -> None:
    clocks = ["10:29:30", "10:45:00", "11:15:00", "11:30:29"]
    spans = weave(*[request(IT, "patch", f"{clock}.000") for clock in ("10:29:00", *clocks, "11:30:31")])
    tree = story_of(IT, spans, since=at("10:29:29.500"), until=at("11:30:29.500"))
    assert [f.start for f in tree.root.facts] == [at(f"{clock}.000") for clock in clocks]
    assert len(tree.root.windows) == 4


def test_an_object_over_forty_eight_windows_is_one() -> None:
    times = [at("00:10:00") + number * DEFAULT_WINDOW for number in range(48)]
    spans = [
        s for n, time in enumerate(times) for s in weave(request(IT, "patch", _clock(time), audit_id=str(n)))
    ]
    tree = story_of(IT, spans)
    assert len(tree.root.windows) == 48
    assert len(tree.root.facts) == 48
    assert tree.root.span.trace_id == identity.trace_id(IT, at("00:00:00"), DEFAULT_WINDOW)


def test_another_window_length_is_read_from_the_spans() -> None:
    spans = weave(
        request(IT, "patch", "10:09:59.900", took=0.3),
        request(IT, "get", "10:11:00.000"),
        window_length=10 * MINUTE,
    )
    root = story_of(IT, spans, since=at("10:10:00"), until=at("10:30:00")).root
    assert [w.length for w in root.windows] == [10 * MINUTE, 10 * MINUTE]
    assert len(root.facts) == 2


def test_what_arrives_late_lands_in_its_place() -> None:
    early, late = request(IT, "create", "10:00:00.000"), request(IT, "patch", "10:40:00.000")
    assert story_of(IT, weave(late, early)) == story_of(IT, weave(early, late))


@pytest.mark.parametrize("lost", ["first", "second", "both"])
def test_a_root_that_never_arrived_is_made_anew(lost: str) -> None:
    spans = weave(request(IT, "patch", "10:29:59.999"), request(IT, "patch", "10:30:00.000"))
    roots = [span for span in spans if span.source == "object"]
    gone = {"first": roots[:1], "second": roots[1:], "both": roots}[lost]
    root = story_of(IT, [span for span in spans if span not in gone]).root
    assert len(root.facts) == 2
    assert root.span.span_id == identity.object_span_id(root.span.trace_id) == roots[0].span_id
    assert root.span.parent_span_id == b""


def test_owned_objects_are_found_although_the_one_between_is_quiet() -> None:
    """The ReplicaSet does nothing in the second window: its Pods are still under the Deployment there."""
    deployment = key("deployments", "d")
    spans = weave(
        change(RS, "Added", "10:00:00", uid=uid(1), version="1", owners=(owner(deployment, uid(2)),)),
        *pods(1),
        request(key("pods", "p-0000"), "patch", "11:10:00.000"),
    )
    root = story_of(deployment, spans, since=at("11:00:00"), until=at("11:30:00")).root
    assert [node.key.resource for node in nodes_of(root)] == ["deployments", "replicasets", "pods"]


def test_too_many_objects_are_counted_not_lost_in_silence() -> None:
    tree = read_story(MemoryReader(weave(*pods(40))), RS, limits=Limits(objects=11))
    (cut,) = tree.truncated
    assert (cut.what, cut.of, cut.shown, cut.more) == ("objects", "replicasets.apps/default/rs", 10, 30)
    assert cut.hint
    assert len(tree.root.children) == 10


def test_a_limit_keeps_what_was_active_last_and_always_the_same() -> None:
    spans = weave(*pods(40), request(key("pods", "p-0033"), "patch", "10:40:00.000"))
    trees = [read_story(MemoryReader(order), RS, limits=Limits(objects=4)) for order in (spans, spans[::-1])]
    names = [sorted(child.key.name for child in tree.root.children) for tree in trees]
    assert names == [["p-0000", "p-0001", "p-0033"]] * 2


def test_links_to_objects_that_were_cut_are_no_lines_of_their_own() -> None:
    tree = read_story(MemoryReader(weave(*pods(40))), RS, limits=Limits(objects=11))
    assert tree.root.links == ()


def test_too_deep_a_tree_is_cut_and_says_so() -> None:
    chain = [key("configmaps", f"level-{n}") for n in range(6)]
    changes = [
        change(child, "Added", f"10:00:0{n}", uid=uid(n + 1), version=str(n), owners=(owner(parent, uid(n)),))
        for n, (parent, child) in enumerate(itertools.pairwise(chain), start=1)
    ]
    tree = read_story(MemoryReader(weave(*changes)), chain[0], limits=Limits(depth=3))
    assert len(list(nodes_of(tree.root))) == 4
    (cut,) = tree.truncated
    assert (cut.what, cut.of, cut.shown, cut.more) == ("depth", "configmaps/default/level-3", 3, 1)


def test_the_oldest_windows_are_cut_and_counted() -> None:
    spans = weave(*[request(IT, "patch", f"{hour}:00:00.000") for hour in (10, 11, 12)])
    tree = read_story(MemoryReader(spans), IT, limits=Limits(windows=2))
    assert [f.start for f in tree.root.facts] == [at("11:00:00"), at("12:00:00")]
    assert [(cut.what, cut.shown, cut.more) for cut in tree.truncated] == [("windows", 2, 1)]


def test_reads_grow_with_the_objects_shown_not_with_what_is_stored() -> None:
    def reads(*, stored: int, shown: int) -> dict[str, int]:
        others = [request(key("configmaps", f"other-{n}"), "patch", "10:00:00.000") for n in range(stored)]
        reader = MemoryReader(weave(*pods(shown), *others))
        assemble(reader, RS)
        return dict(reader.calls) | {"objects": reader.questions}

    few = reads(stored=0, shown=10)
    assert reads(stored=300, shown=10) == few
    assert few == {"windows_of_many": 3, "spans_of": 2, "objects": 15}, (
        "a level at a time, and four whole types"
    )
    assert reads(stored=0, shown=20) == few | {"objects": 25}


def test_reads_of_peers_grow_with_those_looked_into_not_with_what_is_linked_with_them() -> None:
    def reads(*, peers: int, strangers: int = 0, busy: int = 1, read: int = 100) -> dict[str, int]:
        nodes = [key("nodes", f"n-{n:03d}") for n in range(peers)]
        others = [key("pods", f"other-{n}") for n in range(strangers)]
        reader = MemoryReader(
            weave(
                *pods(10),
                *[related(key("pods", f"p-{n:04d}"), *[to(m, "Peer", "RunsOn") for m in nodes]) for n in range(10)],
                *[related(pod, to(nodes[0], "Peer", "RunsOn")) for pod in others],
                *[event(node, "Bad", "10:01:00", type="Warning") for node in nodes[:busy]],
            )
        )  # fmt: skip
        tree = assemble(reader, RS, limits=Limits(linked_read=read))
        assert len(tree.linked) == min(peers, read)
        return dict(reader.calls) | {"objects": reader.questions}

    few = reads(peers=4)
    assert few["spans_of"] == 3, "one for each level, one for all peers"
    assert reads(peers=4, strangers=200) == few
    assert reads(peers=14) == few | {"objects": few["objects"] + 10}
    assert reads(peers=60, read=4) == few
    assert reads(peers=14, busy=0)["spans_of"] == 2, "windows that tell of links only are not read"


def test_peers_that_were_not_looked_into_are_counted() -> None:
    nodes = [key("nodes", f"n-{n}") for n in range(7)]
    spans = weave(request(IT, "patch", "10:00:00.000"), related(IT, *[to(n, "Peer", "Uses") for n in nodes]))
    (cut,) = story_of(IT, spans, limits=Limits(linked_read=3)).truncated
    assert (cut.what, cut.of, cut.shown, cut.more) == ("linked_read", str(IT), 3, 4)


def test_links_of_every_class_are_followed_over_clusters() -> None:
    hub, member = key("deployments", "web"), key("deployments", "web", cluster="member-1")
    pod = key("pods", "web-1", cluster="member-1")
    spans = weave(
        request(hub, "patch", "10:00:00.000"),
        related(hub, to(member, "Child", "Federates")),
        change(member, "Added", "10:00:01", uid=uid(1), version="1"),
        change(pod, "Added", "10:00:02", uid=uid(2), version="2", owners=(owner(member, uid(1)),)),
    )
    tree = story_of(hub, spans)
    assert [node.key for node in nodes_of(tree.root)] == [hub, member, pod]
    assert [[link.rules for link in node.via] for node in nodes_of(tree.root)] == [
        [],
        [("federates-rule",)],
        [],
    ]


def test_a_virtual_object_that_is_known_by_links_only_has_a_tree() -> None:
    """A Helm release is no object of any API server: nothing is ever observed of it."""
    release = IT._replace(group="helm.sh", resource="releases", name="shop")
    spans = weave(
        related(IT, to(release, "Parent", "Installs")),
        change(IT, "Added", "10:05:00", uid=uid(1), version="1"),
    )
    root = story_of(release, spans).root
    assert (root.key, root.facts, [child.key for child in root.children]) == (release, (), [IT])
    assert (root.start, root.end) == (at("10:05:00"), at("10:05:00"))


def test_objects_of_another_cluster_are_followed_there() -> None:
    here, there = key("configmaps", "here"), key("configmaps", "there", cluster="other")
    spans = weave(change(there, "Added", "10:00:00", uid=uid(1), version="1", owners=(owner(here, uid(2)),)))
    root = story_of(here._replace(cluster="other"), spans).root
    assert [child.key for child in root.children] == [there]


def test_the_kind_comes_from_who_saw_the_object_not_from_its_scale() -> None:
    deployment = key("deployments", "d")
    spans = weave(
        event(deployment, "ScalingReplicaSet", "10:00:00"),
        request(deployment, "patch", "10:00:01.000", subresource="scale", kind="Scale"),
    )
    assert story_of(deployment, spans).root.kind == "Deployment"


def test_a_kind_that_nobody_told_is_looked_up() -> None:
    spans = weave(request(IT, "patch", "10:00:00.000"))
    assert story_of(IT, spans).root.kind == ""
    assert story_of(IT, spans, kinds=Kinds()).root.kind == "ConfigMap"


def test_nothing_stored_is_a_clear_error() -> None:
    with pytest.raises(UserError, match="nothing is stored about configmaps/default/it in cluster demo"):
        story_of(IT, [])


def test_what_is_in_no_namespace_is_named_without_one() -> None:
    with pytest.raises(UserError, match="nothing is stored about nodes/n1 in cluster demo"):
        story_of(key("nodes", "n1"), [])


def test_nothing_in_this_time_says_when_there_is_something() -> None:
    spans = weave(request(IT, "patch", "10:10:00.000"))
    with pytest.raises(UserError, match="between 2026-11-21T10:00:00Z and 2026-11-21T10:30:00Z"):
        story_of(IT, spans, since=at("12:00:00"), until=at("13:00:00"))


def test_steps_make_a_new_tree_and_a_second_time_nothing_more(rollout: list[Span]) -> None:
    raw = assemble(MemoryReader(rollout), key("deployments", "demo"))
    once = builtin_views().view("tree").arrange(raw)
    assert builtin_views().view("tree").arrange(raw) == once
    assert builtin_views().view("tree").arrange(once) == once


def _clock(time: int) -> str:
    seconds = time // NANOSECONDS % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.000"
