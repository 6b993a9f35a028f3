"""Windows: any range is merged, overlap decides, and neither their length nor the order of arrival is to be seen."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.display.reading.levels import Limits
from kubeweft.display.stories import read_story
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import FOREVER, Tree, nodes_of
from kubeweft.display.views.loading import builtin_views
from kubeweft.model.observations import Observation
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS
from memory_reader import MemoryReader, story_of
from span_builders import at, change, key, owner, related, request, to, uid, weave

IT, PARENT = key("configmaps", "it"), key("replicasets", "rs")
MINUTE = 60 * NANOSECONDS
DAY = at("00:00:00")
LENGTHS = (10 * MINUTE, DEFAULT_WINDOW, 300 * MINUTE)


class Asked(NamedTuple):
    """A request: when it began on the day, and how long it took, in milliseconds."""

    begins: int
    took: int

    def observation(self, number: int) -> Observation:
        return request(
            IT, "patch", _clock(self.begins), took=self.took / 1000, audit_id=f"audit-{number}"
        )  # fmt: skip


MILLISECONDS_OF_DAY = 86_400_000
asked = st.builds(
    Asked,
    begins=st.integers(0, MILLISECONDS_OF_DAY // 2)
    | st.integers(0, 24).map(lambda half_hours: half_hours * 1_800_000)
    | st.integers(1, 24).map(lambda half_hours: half_hours * 1_800_000 - 1),
    took=st.integers(0, 5_000) | st.integers(0, 4 * 3_600_000),
)
moment = st.integers(0, MILLISECONDS_OF_DAY).map(lambda ms: DAY + ms * 1_000_000)


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _times(tree: Tree) -> list[tuple[int, int]]:
    return sorted((fact.start, fact.end) for fact in tree.root.facts)


@settings(max_examples=80)
@given(
    story=st.lists(asked, min_size=1, max_size=12),
    ends=st.tuples(moment, moment),
    lost=st.sets(st.integers(0, 20)),
)
def test_what_overlaps_the_range_is_shown_whatever_the_length_of_windows(
    story: list[Asked], ends: tuple[int, int], lost: set[int]
) -> None:
    """Also where object spans never arrived; ``lost`` are which of them."""
    since, until = sorted(ends)
    expected = sorted(
        (begin, end)
        for one in story
        for begin in [DAY + one.begins * 1_000_000]
        for end in [begin + one.took * 1_000_000]
        if begin <= until and end >= since
    )
    for length in LENGTHS:
        spans = weave(*[one.observation(n) for n, one in enumerate(story)], window_length=length)
        roots = [span for span in spans if span.source == "object"]
        if length == DEFAULT_WINDOW:  # the length is told by the root: without it, it is the usual one
            gone = {span.trace_id for n, span in enumerate(roots) if n in lost}
            spans = [s for s in spans if s.source != "object" or s.trace_id not in gone]
        whole = story_of(IT, spans)
        assert len(list(nodes_of(whole.root))) == 1
        assert _times(whole) == sorted(
            (DAY + o.begins * 1_000_000, DAY + (o.begins + o.took) * 1_000_000) for o in story
        )
        if any(w.start <= until and w.start + w.length > since for w in whole.root.windows) or expected:
            tree = story_of(IT, spans, since=since, until=until)
            assert _times(tree) == expected
            assert tree.root.windows == tuple(sorted(set(tree.root.windows)))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    pods=st.integers(1, 12),
    objects=st.integers(1, 9),
    windows=st.integers(1, 4),
    linked=st.integers(0, 3),
    name=st.sampled_from(["owned", "ancestors", "full", "object", "neighbours"]),
)
def test_trees_and_limits_are_the_same_whatever_the_order_of_arrival(
    seed: int, pods: int, objects: int, windows: int, linked: int, name: str
) -> None:
    """Under tight limits, and for every selection."""
    spans = _crowd(pods)
    limits = Limits(objects=objects, windows=windows, linked=linked, linked_read=linked + 1, linked_facts=2)
    selection = builtin_views().selection(name)
    shuffled = random.Random(seed).sample(spans, len(spans))
    trees = [
        read_story(MemoryReader(order), PARENT, selection=selection, limits=limits)
        for order in (spans, shuffled)
    ]
    assert trees[0] == trees[1]
    assert all(cut.more > 0 and cut.hint for cut in trees[0].truncated)
    assert all(sum(count for _, count in cut.kinds) == cut.more for cut in trees[0].truncated if cut.kinds)


def _crowd(pods: int) -> list[Span]:
    """A ReplicaSet under a Deployment and a release, Pods on Nodes, over several windows."""
    top = key("deployments", "top")
    owners, nodes = (owner(PARENT, uid(2)),), [key("nodes", f"n-{n}") for n in range(4)]
    seen: list[Observation] = [
        change(PARENT, "Added", "10:00:00", uid=uid(2), version="1", owners=(owner(top, uid(1)),)),
        related(PARENT, to(key("widgets", "release"), "Parent", "InstalledBy")),
    ]
    for n in range(pods):
        pod = key("pods", f"p-{n:02d}")
        seen.append(change(pod, "Added", "10:00:00", uid=uid(n + 10), version=str(n + 5), owners=owners))
        seen.append(related(pod, to(nodes[n % 4], "Peer", "RunsOn")))
        seen += [
            request(pod, "patch", f"{10 + n % 3 + hour}:10:00.000", audit_id=f"{n}-{hour}")
            for hour in range(3)
        ]
        seen.append(request(nodes[n % 4], "delete", f"10:0{n % 10}:00.500", audit_id=f"node-{n}"))
    return weave(*seen)


@pytest.mark.parametrize("lost", [False, True])
def test_an_object_over_forty_eight_windows_is_one_node_in_every_selection(lost: bool) -> None:
    owners = (owner(PARENT, uid(2)),)
    spans = weave(
        change(IT, "Added", "00:10:00", uid=uid(1), version="1", owners=owners),
        *[request(IT, "patch", _clock(n * 1_800_000 + 600_000), audit_id=str(n)) for n in range(48)],
    )
    kept = [span for span in spans if not (lost and span.source == "object")]
    for name in ("owned", "ancestors", "full"):
        tree = read_story(MemoryReader(kept), IT, selection=builtin_views().selection(name))
        nodes = [node for node in nodes_of(tree.root) if node.key == IT]
        assert [(len(node.windows), len(node.facts)) for node in nodes] == [(48, 49)]


def test_a_whole_second_at_the_border_belongs_to_the_window_that_begins_there() -> None:
    spans = weave(
        change(IT, "Added", "10:30:00", uid=uid(1), version="1"), request(IT, "get", "10:29:59.999")
    )
    tree = story_of(IT, spans, since=at("10:30:00.500"), until=FOREVER)
    assert [fact.span.source for fact in tree.root.facts] == ["change"], "it may have been at 10:30:00.999"


@pytest.mark.parametrize("siblings", [False, True])
def test_the_windows_of_parents_are_limited_and_counted_too(siblings: bool) -> None:
    spans = weave(
        change(IT, "Added", "10:00:00", uid=uid(1), version="1", owners=(owner(PARENT, uid(2)),)),
        *[request(PARENT, "patch", f"{hour}:10:00.000", audit_id=str(hour)) for hour in range(10, 20)],
    )
    selection = Selection(name="x", up=3, siblings=siblings)
    tree = read_story(MemoryReader(spans), IT, selection=selection, limits=Limits(windows=4))
    assert [fact.start for fact in tree.root.facts] == [at(f"{hour}:10:00.000") for hour in range(16, 20)]
    assert [(cut.what, cut.of, cut.shown, cut.more) for cut in tree.truncated] == [
        ("windows", str(PARENT), 4, 6)
    ]


def test_where_there_are_very_many_spans_the_newest_windows_of_all_are_read() -> None:
    """Memory is bounded; every object keeps its newest window, so none is lost, and it is told what is missing."""
    pods = [key("pods", f"p-{n}") for n in range(5)]
    spans = weave(
        *[change(pod, "Added", "10:00:00", uid=uid(n + 3), version=str(n + 3), owners=(owner(PARENT, uid(2)),))
          for n, pod in enumerate(pods)],
        *[request(pod, "patch", f"{hour}:10:00.000", audit_id=f"{pod.name}-{hour}")
          for n, pod in enumerate(pods) for hour in range(11, 13 + n)],
    )  # fmt: skip
    trees = [
        read_story(MemoryReader(order), PARENT, limits=Limits(spans=most, at_once=4))
        for most in (1000, 70, 40)
        for order in (spans, spans[::-1])
    ]
    assert trees[::2] == trees[1::2]
    whole, less, least = trees[::2]
    assert whole.truncated == ()
    for tree in (less, least):
        assert [child.key for child in tree.root.children] != []
        assert {child.key for child in tree.root.children} == set(pods)
        (cut,) = tree.truncated
        windows = {node.key: node.windows for node in nodes_of(tree.root)}
        assert cut.more == sum(len(node.windows) - len(windows[node.key]) for node in nodes_of(whole.root))
        assert all(node.windows[-1:] == windows[node.key][-1:] for node in nodes_of(whole.root))
    assert sum(len(node.facts) for node in nodes_of(least.root)) < sum(
        len(node.facts) for node in nodes_of(less.root)
    )
