"""What holds for every view, whatever happened: nothing is lost or doubled, order of arrival is nothing, parts enclose parts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kubeweft.display.tree.trees import Fact, Node, Tree, facts_of, nodes_of, shown_nodes
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.words.headlines import headline, object_headline
from kubeweft.display.words.pens import pen_of
from kubeweft.display.writing.json_shape import to_text, tree_as_json
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import ChangeType, Observation
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from memory_reader import story_of
from span_builders import change, event, gap, key, owner, related, request, to, uid, weave

VIEWS = list(builtin_views().views)
TOP = key("deployments", "top")
MADE = ("group", "object")
USERS = (
    "kubernetes-admin",
    "system:serviceaccount:kube-system:deployment-controller",
    "system:serviceaccount:kube-system:replicaset-controller",
    "system:kube-scheduler",
    "system:node:n1",
    "kwok",
)
AGENTS = ("kubectl/v1.36.3", "kube-controller-manager/v1.36.3", "kubelet/v1.36.3", "")
REPORTERS = ("kubelet", "deployment-controller", "default-scheduler", "")
WORDS = (
    ("spec.replicas 2 → 4",),
    ("status.readyReplicas 1 → 2",),
    ("+ metadata.deletionTimestamp = x",),
    ("+ spec.nodeName = n1",),
    (),
)
clocks = st.builds(
    lambda minute, second, milli: f"10:{minute:02d}:{second:02d}" + (f".{milli:03d}" if milli else ""),
    st.integers(20, 45),
    st.integers(0, 3),
    st.sampled_from((0, 0, 1, 250, 999)),
)


@st.composite
def stories(draw: st.DrawFn) -> list[Span]:
    """A Deployment, what it owns to three levels, and a Node beside; anything may happen to each."""
    rs = [key("replicasets", f"rs-{number}") for number in range(draw(st.integers(0, 2)))]
    pods = [(key("pods", f"pod-{number}"), draw(st.sampled_from(rs or [TOP]))) for number in range(2)]
    node = key("nodes", "n1")
    owned: list[tuple[ObjectKey, ObjectKey]] = [(one, TOP) for one in rs] + pods
    seen: list[Observation] = [
        change(
            child, "Added", "10:20:00", uid=uid(hash_of(child)), version="1", owners=(owner(over, uid(9)),)
        )
        for child, over in owned
    ]
    seen.append(related(TOP, to(node, "Peer", "RunsOn"), clock="10:20:00"))
    number = 10
    for target in (TOP, *[child for child, _ in owned], node):
        for _ in range(draw(st.integers(0, 5))):
            number += 1
            seen.append(draw(facts(target, number)))
    return weave(*seen)


def hash_of(target: ObjectKey) -> int:
    """A number that tells objects and their lives apart."""
    return 10 * sum(map(ord, target.name))


@st.composite
def facts(draw: st.DrawFn, target: ObjectKey, number: int) -> Observation:
    """Something that happens to an object, in either of two lives; ``number`` tells it from all others."""
    clock = draw(clocks)
    own = uid(hash_of(target) + draw(st.sampled_from((0, 0, 0, 1))))
    what = draw(st.sampled_from(("request", "request", "change", "change", "event", "gap")))
    if what == "request":
        return request(
            target,
            draw(st.sampled_from(("create", "update", "patch", "delete", "get"))),
            clock if "." in clock else f"{clock}.000",
            took=draw(st.sampled_from((0.0, 0.012, 70.0))),
            code=draw(st.sampled_from((200, 200, 201, 404, 409))),
            uid=own,
            version=str(draw(st.integers(10, 40))),
            base="1",
            subresource=draw(st.sampled_from(("", "", "status", "binding", "scale"))),
            user=draw(st.sampled_from(USERS)),
            agent=draw(st.sampled_from(AGENTS)),
            audit_id=f"audit-{number}",
        )
    if what == "change":
        kinds: tuple[ChangeType, ...] = ("Added", "Modified", "Modified", "Deleted", "Sighting")
        kind = draw(st.sampled_from(kinds))
        manager = draw(st.sampled_from(("kubectl-edit", "kube-controller-manager", "kubelet", "")))
        words = draw(st.sampled_from(WORDS))
        return change(
            target,
            kind,
            clock,
            uid=own,
            old=str(number - 1),
            version=str(number),
            words=words,
            manager=manager,
        )
    if what == "event":
        return event(
            target,
            f"Reason{draw(st.integers(0, 1))}",
            clock,
            uid=own,
            count=number,
            type=draw(st.sampled_from(("Normal", "Warning"))),
            reporter=draw(st.sampled_from(REPORTERS)),
        )
    return gap(target, "WatchExpired", clock, clock)


def arranged(spans: list[Span], view: str) -> Tree:
    return story_of(TOP, spans, view=builtin_views().view(view), kinds=Kinds(), linked="full")


def told(tree: Tree) -> Counter[bytes]:
    """The spans of all facts that are no groups, and how often each stands there."""
    return Counter(fact.span.span_id for fact in all_facts(tree) if fact.span.source not in (*MADE, "link"))


def all_facts(tree: Tree) -> Iterator[Fact]:
    for node in shown_nodes(tree):
        yield from facts_of(node.facts)


slowly = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)


@pytest.mark.parametrize("view", VIEWS)
@slowly
@given(spans=stories())
def test_no_fact_is_lost_or_doubled(view: str, spans: list[Span]) -> None:
    counts = told(arranged(spans, view))
    assert set(counts.values()) <= {1}
    assert counts == told(arranged(spans, "tree"))


@pytest.mark.parametrize("view", VIEWS)
@slowly
@given(spans=stories(), seed=st.integers(0, 1000))
def test_the_order_of_arrival_is_nothing(view: str, spans: list[Span], seed: int) -> None:
    shuffled = spans * 2
    random.Random(seed).shuffle(shuffled)
    assert arranged(shuffled, view) == arranged(spans, view)


@pytest.mark.parametrize("view", VIEWS)
@slowly
@given(spans=stories())
def test_parts_enclose_parts(view: str, spans: list[Span]) -> None:
    tree = arranged(spans, view)
    for node in shown_nodes(tree):
        assert node.start <= node.end
        parts: list[Fact | Node] = [*node.facts, *node.children]
        for part in parts:
            assert node.start <= part.start <= part.end <= node.end
        for fact in facts_of(node.facts):
            for child in fact.children:
                assert fact.start <= child.start <= child.end <= fact.end, fact.span.name


@pytest.mark.parametrize("view", VIEWS)
@slowly
@given(spans=stories())
def test_a_step_that_is_done_twice_is_done_once(view: str, spans: list[Span]) -> None:
    tree = arranged(spans, "tree")
    for step in builtin_views().view(view).steps[len(builtin_views().view("tree").steps) :]:
        tree = step(tree)
        assert step(tree) == tree, step


@pytest.mark.parametrize("view", VIEWS)
@slowly
@given(spans=stories())
def test_every_part_has_a_name_of_one_line_and_an_id_of_its_own(view: str, spans: list[Span]) -> None:
    tree = arranged(spans, view)
    pen = pen_of(tree)
    for node in shown_nodes(tree):
        assert object_headline(node, pen).isprintable()
        for fact in facts_of(node.facts):
            line = headline(fact, node, pen)
            assert line
            assert line.isprintable()
    ids = [span["span_id"] for span in tree_as_json(tree)["spans"]]
    assert len(ids) == len(set(ids))
    assert to_text(tree_as_json(tree)) == to_text(tree_as_json(arranged(spans, view)))


@slowly
@given(spans=stories())
def test_tracing_keeps_what_a_request_changed_under_it(spans: list[Span]) -> None:
    def writers(tree: Tree) -> dict[bytes, bytes]:
        return {
            child.span.span_id: fact.span.span_id
            for fact in all_facts(tree)
            for child in fact.children
            if fact.span.source == "request" and child.span.source == "change" and not child.label.tags
        }

    in_tree, in_tracing = (writers(arranged(spans, view)) for view in ("tree", "tracing"))
    assert all(in_tracing.get(change) == writer for change, writer in in_tree.items())


def test_the_shipped_views_have_the_numbers_that_ids_are_made_of() -> None:
    numbers = {view.name: view.number for view in builtin_views().views.values()}
    assert numbers == {"tree": 1, "timeline": 2, "tracing": 3, "grouping": 4, "actors": 5}
    assert all(view.title.endswith(".") for view in builtin_views().views.values())


def test_a_view_of_nothing_is_the_object_alone() -> None:
    spans = weave(change(TOP, "Added", "10:20:00", uid=uid(1), version="1"))
    for view in VIEWS:
        tree = story_of(TOP, spans, view=builtin_views().view(view), since=10**18 + 1, until=10**18 * 2)
        assert [node.key for node in nodes_of(tree.root)] == [TOP]
