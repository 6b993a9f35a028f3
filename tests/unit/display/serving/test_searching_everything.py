"""A search finds what there is in its time, however much else happened since, and reads no more than it has to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kubeweft.display.answering.contract import TraceQuestion
from kubeweft.display.serving.notices import NOTICE_ID
from kubeweft.display.tree.made import GROUP_VALUE
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.observations import Observation
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import Batch, FoundObject, ObjectQuery, SpanReader
from kubeweft.store.sqlite import SqliteStore
from memory_reader import MemoryReader
from span_builders import change, key, owner, request, uid, weave
from story_answers import answers_of, small

StoreOf = Callable[[list[Span]], SpanReader]


class CountingStore(SqliteStore):
    """Counts in which traces it was asked to look."""

    traces: int = 0

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        wanted = list(trace_ids)
        self.traces += len(wanted)
        return super().spans_of(wanted)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[CountingStore]:
    with closing(CountingStore(tmp_path / "store.db")) as store:
        yield store


@pytest.fixture(params=["embedded", "one that cannot narrow"])
def store_of(request: pytest.FixtureRequest, embedded: CountingStore) -> StoreOf:
    def filled(spans: list[Span]) -> SpanReader:
        embedded.write(Batch(spans=spans))
        return embedded

    return filled if request.param == "embedded" else MemoryReader


def clock(number: int) -> str:
    return f"10:{number // 60:02d}:{number % 60:02d}"


def added(resource: str, name: str, number: int, *owners: str) -> Observation:
    """An object that appeared, owned by Deployments."""
    held = tuple(owner(key("deployments", one), uid(1)) for one in owners)
    return change(
        key(resource, name), "Added", clock(number), uid=uid(number), version=str(number), owners=held
    )


def refused(resource: str, name: str) -> Observation:
    return request(
        key(resource, name),
        "update",
        "10:00:00",
        code=409,
        user="jane",
        reason="Conflict",
        message="modified",
    )


def others(count: int = 250) -> list[Observation]:
    return [added("configmaps", f"cm-{n}", 60 + n) for n in range(count)]


Tags = dict[str, str]


def found(reader: SpanReader, tags: Tags, service: str = "tree", limit: int = 20) -> list[str]:
    """The names of the roots that a search finds, ``…`` for a notice."""
    traces = answers_of(reader).find(TraceQuestion(service=service, tags=tags, limit=limit))
    return ["…" if trace.trace_id == NOTICE_ID else trace.tree.root.key.name for trace in traces]


@pytest.mark.parametrize("service", ["tree", "tree full", "stored"])
@pytest.mark.parametrize(
    "tags",
    [
        {"error": "true"},
        {"user.name": "jane"},
        {"http.response.status_code": "409"},
        {"error": "true", "http.response.status_code": "409", "user.name": "jane"},
        {"error": "true", "name": "old*"},
        {"error": "true", "kind": "configmap"},
        {"error": "true", "text": "modified"},
    ],
)
def test_what_happened_before_all_others_were_active_is_found(
    store_of: StoreOf, service: str, tags: Tags
) -> None:
    reader = store_of(weave(refused("configmaps", "old-failure"), *others()))
    assert found(reader, tags, service) == ["old-failure"]


def test_the_embedded_store_finds_it_without_a_look_into_trees(embedded: CountingStore) -> None:
    embedded.write(Batch(spans=weave(refused("configmaps", "old-failure"), *others())))
    assert found(embedded, {"error": "true"}) == ["old-failure"]
    assert embedded.traces == 1
    assert found(embedded, {"no.such": "thing"}) == []
    assert embedded.traces == 1


def test_what_stands_below_a_named_kind_is_found_after_what_it_tells_itself(store_of: StoreOf) -> None:
    quiet = [added("deployments", f"quiet-{n}", 1000 + n) for n in range(220)]
    reader = store_of(
        weave(
            added("deployments", "above", 1),
            added("replicasets", "failing", 2, "above"),
            refused("replicasets", "failing"),
            refused("deployments", "itself"),
            *quiet,
        )
    )
    tags = {"kind": "deploy", "error": "true"}
    assert sorted(found(reader, tags)) == ["above", "itself"]


def test_attributes_that_only_a_view_makes_are_found_in_its_trees(store_of: StoreOf) -> None:
    reader = store_of(weave(refused("configmaps", "old-failure"), *others(20)))
    assert found(reader, {GROUP_VALUE: "jane (kubectl)"}, "actors") == ["old-failure"]


@pytest.mark.parametrize("tags", [{}, {v.CHANGE_TYPE: "Added"}])
def test_each_root_of_full_trees_is_found_behind_one_with_many_children(
    store_of: StoreOf, tags: Tags
) -> None:
    children = [added("replicasets", f"busy-{n}", 60 + n, "busy") for n in range(250)]
    reader = store_of(weave(added("deployments", "quiet", 1), added("deployments", "busy", 2), *children))
    assert found(reader, tags, "tree full") == ["busy", "quiet"]


def test_what_stood_in_a_tree_shown_before_is_not_looked_at_again() -> None:
    children = [added("replicasets", f"busy-{n}", 60 + n, "busy") for n in range(150)]
    reader = MemoryReader(weave(added("deployments", "quiet", 1), added("deployments", "busy", 2), *children))
    assert found(reader, {}, "tree full") == ["busy", "quiet"]
    calls: Counter[str] = reader.calls
    assert calls.total() < 60
    assert reader.questions < 700


def test_a_search_ends_with_as_much_as_was_asked_for(store_of: StoreOf) -> None:
    reader = store_of(weave(*others(30)))
    assert found(reader, {}, "tree full", limit=3) == ["cm-29", "cm-28", "cm-27"]
    assert found(reader, {}, limit=0) == []


def test_trees_too_large_for_a_search_hide_no_other(store_of: StoreOf) -> None:
    children = [added("replicasets", f"busy-{n}", 60 + n, "busy") for n in range(40)]
    reader = store_of(weave(added("deployments", "quiet", 1), added("deployments", "busy", 2), *children))
    traces = answers_of(reader, bounds=small(objects=5)).find(TraceQuestion(service="tree full"))
    assert [trace.tree.root.key.name for trace in traces] == ["busy", "quiet"]


class Limited(MemoryReader):
    """As a trace store that gives no more than so many at once."""

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        if query.limit > 500:
            raise UserError("that is too much")
        return super().find_objects(query)


def test_a_store_that_cannot_find_more_is_looked_through_as_far_as_it_can() -> None:
    reader = Limited(weave(refused("configmaps", "old-failure"), *others(330)))
    assert found(reader, {"error": "true"}) == ["…"]
    reader = Limited(weave(refused("configmaps", "old-failure"), *others(150)))
    assert found(reader, {"error": "true"}) == ["old-failure"]
    with pytest.raises(UserError, match="too much"):
        found(reader, {}, limit=501)
