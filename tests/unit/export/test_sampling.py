"""Which trees leave: a share of them, the same everywhere; and those with errors, whole, whenever the error shows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_intake import Outlet
from grouped_trees import deployment, failure, life, pod, replica_set, warning, woven
from kubeweft.export.forest import Root
from kubeweft.export.sampling import is_chosen
from kubeweft.model.plan import Exporter, Sampling
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from memory_spool import MemorySpool
from span_builders import change, event, key, owner, uid

NAMES = [f"web-{number}" for number in range(40)]
Ids = set[tuple[bytes, bytes]]


def ids(spans: list[Span]) -> Ids:
    return {(span.trace_id, span.span_id) for span in spans}


def outlet(percent: int, *, keep_errors: bool = True, spool: MemorySpool | None = None) -> Outlet:
    sampling = Sampling(percent=percent, keep_errors=keep_errors)
    return Outlet(spool or MemorySpool(step=3), Exporter("e", "e:4317", sampling=sampling))


@pytest.mark.parametrize("percent", [0, 1, 10, 50, 99, 100])
def test_the_share_is_about_what_was_asked_for(percent: int) -> None:
    roots = [Root(ObjectKey("c", "apps", "deployments", "d", f"n{n}"), n % 7) for n in range(4000)]
    chosen = sum(is_chosen(root, percent) for root in roots)
    assert abs(chosen - 40 * percent) < 100
    assert percent not in (0, 100) or chosen == 40 * percent


def test_a_tree_chosen_at_some_percent_is_chosen_at_more() -> None:
    roots = [Root(ObjectKey("c", "apps", "deployments", "d", f"n{n}"), 0) for n in range(300)]
    shares = [{root for root in roots if is_chosen(root, percent)} for percent in range(101)]
    assert all(less <= more for less, more in itertools.pairwise(shares))


def test_windows_of_one_object_are_chosen_each_by_itself() -> None:
    chosen = [is_chosen(Root(deployment(), n * DEFAULT_WINDOW), 50) for n in range(64)]
    assert {True, False} == set(chosen)


def test_whole_trees_leave_or_stay() -> None:
    trees = {name: woven(*life(name, number=n)) for n, name in enumerate(NAMES)}
    out = outlet(50)
    out.arrive(itertools.chain.from_iterable(itertools.zip_longest(*trees.values())))
    out.settle()
    got = ids(out.received)
    left = {name for name, spans in trees.items() if ids(spans) & got}
    assert 8 < len(left) < 32
    assert got == set().union(*(ids(trees[name]) for name in left))
    assert len(out.received) == len(got)


def test_without_keeping_errors_nothing_of_other_trees_leaves() -> None:
    out = outlet(0, keep_errors=False)
    out.arrive(woven(*life(), warning(pod(1)), failure(deployment())))
    out.settle()
    assert out.received == []
    assert out.position == out._spool.newest()


@pytest.mark.parametrize("sign", [warning(pod(1)), failure(replica_set()), warning(deployment())])
def test_an_error_anywhere_brings_what_was_held_back(sign: object) -> None:
    spans = woven(*life(), sign)  # type: ignore[arg-type]
    others = woven(*life("quiet", number=1))
    out = outlet(0)
    out.arrive(others)
    for span in spans:
        out.arrive([span])
        out.settle()
    assert ids(out.received) == ids(spans)
    assert len(out.received) == len(spans)


def test_an_event_that_is_no_warning_is_no_error() -> None:
    out = outlet(0)
    out.arrive(woven(*life(), event(pod(0), "Pulled", "10:07:00")))
    out.settle()
    assert out.received == []


def test_an_error_in_another_window_keeps_that_window_only() -> None:
    spans = woven(*life(), warning(pod(0), "10:45:00"))
    late = [span for span in spans if span.start >= max(s.start for s in spans if s.source == "object")]
    out = outlet(0)
    out.arrive(spans)
    out.settle()
    assert ids(out.received) == ids(late)


def test_after_the_error_all_that_comes_is_sent() -> None:
    out = outlet(0)
    first = woven(*life(), warning(pod(0)))
    out.arrive(first)
    out.settle()
    everything = woven(*life(), warning(pod(0)), event(pod(1), "Pulled", "10:20:00"))
    out.arrive(everything)
    out.settle()
    assert ids(out.received) == ids(everything)
    assert len(out.received) == len(everything)


def test_a_link_that_comes_late_joins_what_was_kept_with_what_was_not() -> None:
    """The pod failed when nobody knew whose it is; its owner's tree had been held back, and comes now."""
    alone = woven(change(pod(0), "Added", "10:00:03", uid=uid(2), version="3"), warning(pod(0)))
    rest = woven(*life())
    out = outlet(0)
    out.arrive(alone)
    out.settle()
    assert ids(out.received) == ids(alone)
    out.arrive(rest)
    out.settle()
    assert ids(out.received) == ids(alone) | ids(rest)


def test_a_link_that_comes_late_brings_a_held_back_trace_to_a_tree_that_is_kept() -> None:
    lonely = woven(change(pod(7), "Added", "10:00:03", uid=uid(70), version="30"))
    out = outlet(0)
    out.arrive(lonely)
    out.arrive(woven(*life(), warning(pod(0))))
    out.settle()
    assert not ids(lonely) & ids(out.received)
    linked = woven(
        change(
            pod(7),
            "Added",
            "10:00:03",
            uid=uid(70),
            version="30",
            owners=(owner(replica_set(), uid(1)),),
        )
    )
    out.arrive(linked)
    out.settle()
    assert ids(lonely) | ids(linked) <= ids(out.received)


def test_owners_in_a_circle_are_one_tree() -> None:
    one, two = key("configmaps", "one"), key("configmaps", "two")
    spans = woven(
        change(one, "Added", "10:00:01", uid=uid(1), version="1", owners=(owner(two, uid(2)),)),
        change(two, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(one, uid(1)),)),
        warning(two),
    )
    out = outlet(0)
    out.arrive(spans)
    out.settle()
    assert ids(out.received) == ids(spans)


FRAME = [
    span
    for span in woven(*life(), warning(pod(1)), failure(deployment()))
    if span.source in ("object", "link")
]
FACTS = [
    span
    for span in woven(*life(), warning(pod(1)), failure(deployment()))
    if span.source not in ("object", "link")
]


@given(
    st.permutations(FRAME),
    st.permutations(FACTS),
    st.lists(st.sampled_from(["settle", "turn", "part", "restart", "arrive"]), max_size=60),
)
@settings(max_examples=150)
def test_an_error_at_any_time_brings_everything_whatever_is_forgotten(
    frame: list[Span], facts: list[Span], steps: list[str]
) -> None:
    """Spans trickle in, deliveries are cut short, the process dies at any moment: in the end all of the tree is there."""
    out = outlet(0)
    out.arrive(frame)
    left = list(facts)
    for step in steps:
        if step == "arrive" and left:
            out.arrive([left.pop()])
        elif step == "settle":
            out.settle()
        elif step == "turn":
            out.time += 1.0
            out.turn()
        elif step == "part":
            out.turn(accepts=2)
        elif step == "restart":
            out.restart()
    out.arrive(left)
    out.settle()
    assert ids(out.received) == ids(FRAME + FACTS)
    assert all(len(forms) == 1 for forms in out.forms.values())
    if "restart" not in steps:
        assert len(out.received) == len(FRAME + FACTS), "something was sent twice"
