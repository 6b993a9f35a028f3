"""Spans of other systems under the requests, and at the Pods, that they belong to."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from msgspec import structs

from kubeweft.display.reading.assembling import assemble
from kubeweft.display.steps.grafting import DEEPEST, graft_foreign
from kubeweft.display.tree.trees import Fact, Tree, facts_of, shown_nodes
from kubeweft.display.views.loading import builtin_views
from kubeweft.model import vocabulary as v
from kubeweft.model.foreign import ForeignSpan
from memory_reader import MemoryReader
from span_builders import at, change, key, request, uid, weave

POD = key("pods", "web-1")
TRACE = bytes(range(16))
MILLISECOND = 1_000_000


def spans_of_pod() -> Any:
    created = request(POD, "create", "10:00:01", uid=uid(1), version="5")
    return weave(created, change(POD, "Added", "10:00:01", version="5", uid=uid(1)))


def pod_tree(*foreign: ForeignSpan, view: str = "tree", **more: Any) -> Tree:
    raw = assemble(MemoryReader(spans_of_pod()), POD)
    return builtin_views().view(view).arrange(dataclasses.replace(raw, foreign=foreign, **more))


def audit_id() -> str:
    return next(str(span.attributes[v.AUDIT_ID]) for span in spans_of_pod() if span.source == "request")


def foreign(
    number: int,
    *,
    parent: int = 0,
    clock: str = "10:00:01",
    service: str = "apiserver",
    trace: bytes = TRACE,
    kind: int = 1,
    **attributes: str,
) -> ForeignSpan:
    start = at(clock) + number * MILLISECOND
    told = {
        name.replace("_", "-") if name == "audit_id" else name.replace("_", "."): a
        for name, a in attributes.items()
    }
    return ForeignSpan(
        trace,
        number.to_bytes(8, "big"),
        parent.to_bytes(8, "big") if parent else b"",
        service,
        f"work {number}",
        start,
        start + MILLISECOND,
        kind,
        dict(told),
    )


def outline(facts: tuple[Fact, ...]) -> list[Any]:
    return [
        (f.span.source, f.span.name, outline(f.children)) if f.children else (f.span.source, f.span.name)
        for f in facts
    ]


def all_facts(tree: Tree) -> list[Fact]:
    return [fact for node in shown_nodes(tree) for fact in facts_of(node.facts)]


def test_without_foreign_spans_it_is_the_same_tree() -> None:
    tree = pod_tree()
    assert graft_foreign(tree) is tree


def test_spans_stand_under_their_request_nested_as_they_were() -> None:
    own = audit_id()
    tree = pod_tree(
        foreign(1, kind=2, audit_id=own), foreign(2, parent=1), foreign(3, parent=2, service="etcd")
    )
    (created,) = tree.root.facts
    assert outline(created.children)[-1] == (
        "foreign",
        "work 1",
        [("foreign", "work 2", [("foreign", "work 3")])],
    )
    assert created.children[0].span.source == "change"
    entry = created.children[-1]
    assert (entry.span.key, entry.text(v.SERVICE_NAME), entry.text("span.kind")) == (
        POD,
        "apiserver",
        "server",
    )
    assert entry.children[0].children[0].text(v.SERVICE_NAME) == "etcd"


def test_a_request_is_shown_until_the_last_of_what_was_done_for_it() -> None:
    """The audit log takes the time before the server's own span ends; no viewer is to warn of that."""
    work = foreign(1, kind=2, audit_id=audit_id())
    late = structs.replace(work, end=at("10:00:02"))
    (alone,), (created,) = pod_tree().root.facts, pod_tree(late).root.facts
    assert (created.start, created.end) == (alone.start, late.end)
    assert created.span.end - created.span.start == alone.span.end - alone.span.start, (
        "the line tells its own time"
    )
    assert created.children[-1].end == late.end
    early = structs.replace(work, end=work.start)
    assert pod_tree(early).root.facts[0].end == alone.end


def test_a_pod_encloses_what_its_program_has_started() -> None:
    work = foreign(1, service="shop", clock="10:05:00", k8s_pod_uid=uid(1))
    later = structs.replace(foreign(2, parent=1, clock="10:05:00"), end=at("10:06:00"))
    tree = pod_tree(work, later)
    assert (tree.root.facts[-1].end, tree.root.end) == (work.end, later.end)


def test_the_entry_into_the_service_goes_along_and_strangers_do_not() -> None:
    tree = pod_tree(
        foreign(1, kind=2),
        foreign(2, parent=1, audit_id=audit_id()),
        foreign(7, audit_id="another", trace=bytes(16)),
    )
    names = [fact.span.name for fact in all_facts(tree) if fact.span.source == "foreign"]
    assert names == ["work 1", "work 2"]


def test_spans_of_a_pod_stand_at_the_pod_in_order_of_time() -> None:
    tree = pod_tree(
        foreign(1, service="kubelet", clock="10:00:09", k8s_pod_uid=uid(1)),
        foreign(2, service="kubelet", clock="10:00:00", k8s_pod_uid=uid(1)),
        foreign(3, service="kubelet", clock="10:00:00", k8s_pod_uid=uid(2)),
    )
    assert [(f.span.source, f.span.name) for f in tree.root.facts] == [
        ("foreign", "work 2"),
        ("request", "create"),
        ("foreign", "work 1"),
    ]


def test_only_what_lies_in_the_time_asked_for_stands_at_a_pod() -> None:
    late = foreign(1, service="kubelet", clock="10:00:09", k8s_pod_uid=uid(1))
    assert "foreign" not in {f.span.source for f in all_facts(pod_tree(late, until=at("10:00:05")))}


def test_a_span_of_another_shown_request_stands_under_that_one() -> None:
    second = request(POD, "patch", "10:00:02", uid=uid(1), version="6")
    spans = weave(request(POD, "create", "10:00:01", uid=uid(1), version="5"), second)
    one, two = sorted((s for s in spans if s.source == "request"), key=lambda s: s.start)
    told = (
        foreign(1, kind=2, audit_id=str(one.attributes[v.AUDIT_ID])),
        foreign(2, parent=1, service="webhook"),
        foreign(3, parent=2, kind=2, audit_id=str(two.attributes[v.AUDIT_ID])),
        foreign(4, parent=3),
    )
    raw = dataclasses.replace(assemble(MemoryReader(spans), POD), foreign=told)
    tree = builtin_views().view("tree").arrange(raw)
    assert [outline(fact.children) for fact in tree.root.facts] == [
        [("foreign", "work 1", [("foreign", "work 2")])],
        [("foreign", "work 3", [("foreign", "work 4")])],
    ]


def test_ids_that_are_taken_are_changed() -> None:
    stored = next(span for span in spans_of_pod() if span.source == "request")
    thief = foreign(1, audit_id=audit_id())
    thief = ForeignSpan(TRACE, stored.span_id, b"", "x", "thief", thief.start, thief.end, 1, thief.attributes)
    facts = all_facts(pod_tree(thief))
    assert len({fact.span.span_id for fact in facts}) == len(facts)
    assert "thief" in {fact.span.name for fact in facts}


def test_a_very_deep_trace_is_shown_whole_and_no_deeper_than_steps_can_go() -> None:
    chain = [foreign(1, audit_id=audit_id()), *(foreign(n, parent=n - 1) for n in range(2, 2001))]
    tree = pod_tree(*chain)
    assert sum(1 for fact in all_facts(tree) if fact.span.source == "foreign") == 2000
    depth, facts = 0, tree.root.facts
    while facts:
        depth, facts = depth + 1, tuple(child for fact in facts for child in fact.children)
    assert depth <= DEEPEST + 2


def test_parents_in_a_circle_end() -> None:
    pod_tree(foreign(1, parent=2, audit_id=audit_id()), foreign(2, parent=1), foreign(3, parent=3))


def test_the_order_in_which_spans_come_does_not_matter() -> None:
    spans = [
        foreign(1, kind=2),
        *(foreign(n, parent=n // 2, audit_id=audit_id() if n == 5 else "") for n in range(2, 40)),
    ]
    shuffled = random.Random(7).sample(spans, len(spans))
    assert pod_tree(*spans).root == pod_tree(*shuffled).root


@pytest.mark.parametrize("view", ["tree", "timeline", "tracing", "grouping", "actors"])
def test_every_view_shows_them_once(view: str) -> None:
    tree = pod_tree(
        foreign(1, kind=2, audit_id=audit_id()),
        foreign(2, parent=1),
        foreign(3, service="kubelet", k8s_pod_uid=uid(1)),
        view=view,
    )
    told = sorted(f.span.name for f in all_facts(tree) if f.span.source == "foreign")
    assert told == ["work 1", "work 2", "work 3"]
