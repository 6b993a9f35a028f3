"""A search gives what a plain look at all spans would give, whichever way it walks, and reads no more than it may."""

from __future__ import annotations

import fnmatch
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.embedded.reading import Reading
from kubeweft.store.embedded.searching import Search
from kubeweft.store.interfaces import Batch, FoundObject, ObjectQuery
from kubeweft.store.sqlite import SqliteStore
from store_samples import LENGTH, MINUTE, NINE, fact, key_of, object_span

KEYS = [
    key_of(name, namespace=namespace, cluster=cluster)
    for name in ("web", "web-1", "db", "a-web")
    for namespace in ("shop", "data")
    for cluster in ("prod", "edge")
]
USERS = ("alice", "bob", "Mallory")


def spans_of(seed: int) -> list[Span]:
    """Some windows of some objects, with some spans or none."""
    chance = random.Random(seed)
    spans: list[Span] = []
    for key in chance.sample(KEYS, chance.randrange(1, len(KEYS))):
        for window in chance.sample(range(6), chance.randrange(1, 4)):
            start = NINE + window * LENGTH
            spans.append(object_span(key, start))
            for _ in range(chance.randrange(3)):
                at = start + chance.randrange(30) * MINUTE
                lasts = chance.choice((0, MINUTE, 3 * LENGTH))
                number = len(spans)
                spans.append(
                    fact(key, number, start=at, lasts=lasts, attributes={v.USER: chance.choice(USERS)})
                )
    chance.shuffle(spans)
    return spans


def plainly(spans: Iterable[Span], query: ObjectQuery) -> list[FoundObject]:
    """The answer by looking at everything."""
    matches: dict[ObjectKey, list[tuple[int, int]]] = {}
    traces: dict[bytes, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    for trace in traces.values():
        key = trace[0].key
        if not (
            query.cluster in ("", key.cluster)
            and fnmatch.fnmatchcase(key.namespace, query.namespace or "*")
            and fnmatch.fnmatchcase(key.name, query.name or "*")
        ):
            continue
        times = times_in(trace, query)
        if times is not None:
            matches.setdefault(key, []).append(times)
    found = [
        FoundObject(key, "", len(times), min(first for first, _ in times), max(last for _, last in times))
        for key, times in matches.items()
    ]
    return sorted(found, key=lambda one: (-one.last, one.key))


def times_in(trace: list[Span], query: ObjectQuery) -> tuple[int, int] | None:
    """When a window matches: the bounds of what matched in it."""
    [root] = [span for span in trace if span.source == "object"]
    facts = [span for span in trace if span.source != "object"]
    bounds = (min(s.start for s in facts), max(s.end for s in facts)) if facts else (root.start, root.end - 1)
    if bounds[0] > query.until or bounds[1] < query.since:
        return None
    if not query.text or query.text.lower() in root.key.name:
        return bounds if facts else (root.start, root.start)
    told = [
        span
        for span in facts
        if query.text.lower() in str(span.attributes[v.USER]).lower()
        and span.start <= query.until
        and span.end >= query.since
    ]
    return (min(s.start for s in told), max(s.end for s in told)) if told else None


queries = st.builds(
    ObjectQuery,
    cluster=st.sampled_from(("", "", "prod", "none")),
    namespace=st.sampled_from(("", "", "shop", "*a*")),
    name=st.sampled_from(("", "", "web", "web*", "*web", "*")),
    text=st.sampled_from(("", "", "mallory", "WEB", "nobody")),
    since=st.integers(-2, 8).map(lambda n: NINE + n * LENGTH - MINUTE),
    until=st.one_of(st.just(2**63 - 1), st.integers(0, 8).map(lambda n: NINE + n * LENGTH + MINUTE)),
    limit=st.sampled_from((0, 1, 2, 100)),
)


@settings(max_examples=100)
@given(
    seed=st.integers(0, 10**6),
    query=queries,
    few=st.sampled_from((0, 3, 1000)),
    starts=st.sampled_from((0, 1, 2, 100)),
)
def test_a_search_gives_what_looking_at_everything_would(
    seed: int, query: ObjectQuery, few: int, starts: int
) -> None:
    spans = spans_of(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        with SqliteStore(path) as store:
            store.write(Batch(spans=spans))
        reading = Reading(str(path))
        found = Search(reading, query, few_objects=few, most_starts=starts).run()
        reading.close()
    expected = plainly(spans, query)
    assert len(found) == min(len(expected), query.limit + 1)
    assert [one.last for one in found] == [one.last for one in expected[: query.limit + 1]]
    assert set(found) <= set(expected)
    if query.limit >= len(expected):
        assert found == expected


def test_a_text_search_that_would_read_too_much_says_how_to_narrow_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        for number in range(5):
            key = key_of(f"o{number}")
            store.write(
                Batch(spans=[object_span(key), *(fact(key, n, start=NINE + number) for n in range(10))])
            )
    reading = Reading(str(path))
    with pytest.raises(UserError, match="'nobody' would read more than 30 spans: narrow it by time"):
        Search(reading, ObjectQuery(text="nobody"), most_read=30).run()
    assert len(Search(reading, ObjectQuery(text="nobody", name="o1"), most_read=30).run()) == 0
    assert len(Search(reading, ObjectQuery(text="alice"), most_read=55).run()) == 5
    reading.close()


def operations(path: Path, query: ObjectQuery, **more: int) -> int:
    """How many operations SQLite carries out for a search, in thousands."""
    reading = Reading(str(path))
    steps: list[None] = []
    with reading.one_moment():
        reading.connection.set_progress_handler(lambda: steps.append(None), 1000)
        assert len(Search(reading, query, **more).run()) == query.limit + 1
    reading.close()
    return len(steps)


@pytest.fixture(scope="module")
def short_and_long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Stores of the same 100 objects, over 20 and over 200 windows."""
    folder = tmp_path_factory.mktemp("windows")
    keys = [key_of(f"o{n:03d}") for n in range(100)]
    for windows in (20, 200):
        spans: list[Span] = []
        for start in range(NINE, NINE + windows * LENGTH, LENGTH):
            spans += [object_span(key, start) for key in keys]
            spans += [fact(key, n, start=start + n) for n, key in enumerate(keys)]
        with SqliteStore(folder / f"{windows}.db") as store:
            store.write(Batch(spans=spans))
    return folder / "20.db", folder / "200.db"


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("more", [{}, {"text": "ALI"}, {"namespace": "shop"}])
def test_what_a_search_costs_does_not_grow_with_the_windows_stored(
    short_and_long: tuple[Path, Path], more: dict[str, str], few: int
) -> None:
    """But for those of the two objects found, whose windows are counted."""
    query = ObjectQuery(limit=1, **more)  # type: ignore[arg-type]
    short, long = (operations(path, query, few_objects=few) for path in short_and_long)
    counted = 2 * 180 * 60 / 1000
    put_in_order = 180 * 100 * 60 / 1000 if "text" in more and few else 0  # of few objects, all their windows
    assert long - short < counted + put_in_order


def test_a_text_that_everything_has_is_not_looked_for_everywhere(tmp_path: Path) -> None:
    """What ends last has the text early, so nothing tells that others have it no later: some are compared, not all."""
    path, objects = tmp_path / "store.db", 4_000
    with SqliteStore(path) as store:
        spans: list[Span] = []
        for number in range(objects):
            key = key_of(f"o{number:04d}")
            late = fact(key, 2, start=NINE + 20 * MINUTE + number, attributes={v.USER: "bob"})
            spans += [object_span(key), fact(key, 1, start=NINE + number), late]
        store.write(Batch(spans=spans))
    reading = Reading(str(path))
    read: list[str] = []
    with reading.one_moment():
        reading.connection.set_trace_callback(read.append)
        found = Search(reading, ObjectQuery(text="alice", limit=4)).run()
    reading.close()
    assert [one.key.name for one in found] == [f"o{objects - n:04d}" for n in range(1, 6)]
    assert len(read) < objects, "windows that were looked into"
