"""Finding objects."""

from __future__ import annotations

from kubeweft.display.reading.searching import query_of, search
from kubeweft.model.kinds import Kinds
from memory_reader import MemoryReader
from span_builders import at, key, request, weave


def test_words_become_a_query() -> None:
    query = query_of(
        Kinds(), cluster="demo", kind="deploy", namespace="default", name="d*", text="x", limit=7
    )
    assert (query.cluster, query.resources, query.namespace) == (
        "demo",
        (("apps", "deployments"),),
        "default",
    )
    assert (query.name, query.text, query.limit) == ("d*", "x", 7)


def test_without_a_kind_all_are_meant() -> None:
    assert query_of(Kinds()).resources == ()


def test_a_limit_says_that_there_is_more() -> None:
    spans = [s for n in range(5) for s in weave(request(key("pods", f"p-{n}"), "patch", f"10:00:0{n}.000"))]
    found = search(MemoryReader(spans), query_of(Kinds(), limit=3))
    assert [item.key.name for item in found.objects] == ["p-4", "p-3", "p-2"]
    assert found.more
    assert not search(MemoryReader(spans), query_of(Kinds(), limit=5)).more


def test_the_time_narrows() -> None:
    spans = [s for n in range(5) for s in weave(request(key("pods", f"p-{n}"), "patch", f"10:00:0{n}.000"))]
    query = query_of(Kinds(), since=at("10:00:01"), until=at("10:00:02"))
    assert [item.key.name for item in search(MemoryReader(spans), query).objects] == ["p-2", "p-1"]
