"""A search gives what a plain look at all spans would give, whichever way it walks, and reads no more than it may."""

from __future__ import annotations

import fnmatch
import random
import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Attributes, Span
from kubeweft.store.embedded.packing import Packer
from kubeweft.store.embedded.reading import Reading
from kubeweft.store.embedded.searching import Search
from kubeweft.store.embedded.span_finders import ToldFinder
from kubeweft.store.interfaces import Batch, FoundObject, ObjectQuery, Told, WindowQuestion, as_text
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
                told = {v.USER: chance.choice(USERS), v.CODE: chance.choice((200, 409)), v.DRY_RUN: True}
                error = chance.choice(("", "", "modified"))
                spans.append(fact(key, number, start=at, lasts=lasts, attributes=told, error=error))
            if chance.random() < 0.3:
                of_rule = {v.LINK_RULE: "owner"}
                spans.append(fact(key, len(spans), start=start, source="link", attributes=of_rule))
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
            and (not query.among or key._replace(name="") in query.among)
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
    facts = [span for span in trace if span.source == "request"]
    bounds = (min(s.start for s in facts), max(s.end for s in facts)) if facts else (root.start, root.end - 1)
    if bounds[0] > query.until or bounds[1] < query.since:
        return None
    whole = bounds if facts else (root.start, root.start)
    text = "" if query.text.lower() in root.key.name else query.text.lower()
    if not text and query.told == Told():
        return whole
    times: list[tuple[int, int]] = []
    for span in trace:
        if not tells(span, query.told) or (text and text not in str(span.attributes.get(v.USER, "")).lower()):
            continue
        if span.source == "request" and not (span.start <= query.until and span.end >= query.since):
            continue
        times.append((span.start, span.end) if span.source == "request" else whole)
    return (min(first for first, _ in times), max(last for _, last in times)) if times else None


def tells(span: Span, told: Told) -> bool:
    """Whether one span tells all of it."""
    attributes = {**span.attributes, v.SOURCE: span.source}
    if told.failed and not span.error:
        return False
    return all(name in attributes and as_text(attributes[name]) == value for name, value in told.attributes)


TOLD = (
    Told(),
    Told(),
    Told(failed=True),
    Told(attributes=((v.CODE, "409"),)),
    Told(attributes=((v.USER, "Mallory"), (v.CODE, "200"))),
    Told(failed=True, attributes=((v.USER, "alice"), (v.DRY_RUN, "true"))),
    Told(attributes=((v.LINK_RULE, "owner"),)),
    Told(attributes=((v.SOURCE, "link"),)),
    Told(attributes=((v.SOURCE, "request"), (v.CODE, "409"))),
    Told(attributes=((v.WINDOW_SECONDS, "1800"),)),
    Told(attributes=((v.USER, "mallory"),)),
)
queries = st.builds(
    ObjectQuery,
    cluster=st.sampled_from(("", "", "prod", "none")),
    namespace=st.sampled_from(("", "", "shop", "*a*")),
    name=st.sampled_from(("", "", "web", "web*", "*web", "*")),
    text=st.sampled_from(("", "", "mallory", "WEB", "nobody")),
    told=st.sampled_from(TOLD),
    among=st.sampled_from(((), (), (KEYS[0]._replace(name=""),), (key_of(""), key_of("", resource="none")))),
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
    told = Told(failed=True, attributes=((v.USER, "jane"),))
    with pytest.raises(UserError, match=r"'x' error=true user.name=jane would read more than 30 spans"):
        Search(reading, ObjectQuery(text="x", told=told), most_read=30).run()
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


@pytest.mark.parametrize("told", [Told(failed=True), Told(attributes=((v.USER, "jane"), (v.CODE, "409")))])
def test_what_one_of_many_told_is_found_wherever_it_stands_in_time(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        refused: Attributes = {v.USER: "jane", v.CODE: 409}
        spans = [object_span(KEYS[0]), fact(KEYS[0], 0, error="modified", attributes=refused)]
        for number in range(1, 300):
            key = key_of(f"o{number}")
            fine: Attributes = {v.USER: "jane", v.CODE: 200}
            spans += [object_span(key), fact(key, number, start=NINE + 2 * MINUTE + number, attributes=fine)]
        store.write(Batch(spans=spans))
        (found,) = store.find_objects(ObjectQuery(told=told, limit=1))
        assert found.key == KEYS[0]


def test_spans_that_write_out_their_names_are_looked_into_as_well(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        store.write(
            Batch(spans=[object_span(KEYS[0]), fact(KEYS[0], 1, attributes={"own": True, v.CODE: 7})])
        )
    written_out = Packer(sqlite3.connect(path), most_values=0, most_texts=0)
    payload = written_out.pack(fact(KEYS[0], 1, attributes={"own": True, v.CODE: 7}))
    reading = Reading(str(path))
    told = Told(attributes=(("own", "true"), (v.CODE, "7")))
    assert ToldFinder(reading.unpacker, told).find(payload) is not None
    assert ToldFinder(reading.unpacker, told._replace(failed=True)).find(payload) is None
    assert ToldFinder(reading.unpacker, Told(attributes=(("own", "1"),))).find(payload) is None
    reading.close()


def test_the_places_of_objects_are_told_those_of_most_first(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    pods = [key_of(f"p{n}", group="", resource="pods") for n in range(3)]
    keys = [*pods, key_of("a"), key_of("b", namespace="data"), key_of("c", namespace="data")]
    with SqliteStore(path) as store:
        store.write(Batch(spans=[object_span(key) for key in keys]))
        places = [pods[0]._replace(name=""), key_of("", namespace="data"), key_of("")]
        assert store.places_of(ObjectQuery(), most=3) == (places, True)
        assert store.places_of(ObjectQuery(), most=2) == (places[:2], False)
        assert store.places_of(ObjectQuery(namespace="data"), most=5) == (places[1:2], True)
        assert store.places_of(ObjectQuery(resources=((None, "nodes"),)), most=5) == ([], True)
        found = store.find_objects(ObjectQuery(among=(places[1], key_of("", resource="nodes"))))
        assert {one.key for one in found} == set(keys[4:])
        assert store.find_objects(ObjectQuery(among=(key_of("", resource="nodes"),))) == []


def test_times_beyond_what_sqlite_holds_are_the_nearest_that_it_does(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        store.write(Batch(spans=[object_span(KEYS[0])]))
        for since, until, found in ((-(10**30), 10**30, 1), (10**30, 10**31, 0), (-(10**31), -(10**30), 0)):
            assert len(store.windows_of(KEYS[0], since=since, until=until)) == found
            (windows,) = store.windows_of_many([WindowQuestion(KEYS[0], since, until)])
            assert len(windows) == found
            assert len(store.find_objects(ObjectQuery(since=since, until=until))) == found
            assert len(store.find_objects(ObjectQuery(since=since, until=until, text="web"))) == found
            assert (
                store.foreign_of([("a", "b")], since=since, until=until, most_traces=1, most_spans=1)[0] == []
            )
        assert store.nearest_window(KEYS[0], before=-(10**30)) is None
        assert store.recent_windows(10**30) == []
