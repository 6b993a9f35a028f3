"""How a remote store is read: how much is asked, what is remembered, and what is said where a store gives too little."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_intake import Outlet
from grouped_trees import deployment, life, pod, replica_set, same_trace, woven
from kubeweft.display.stories import read_story
from kubeweft.model import identity
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.otlp.jaeger_storage import TraceQuery
from kubeweft.store.interfaces import ObjectQuery, Window, WindowQuestion
from kubeweft.store.remote.reader import RemoteReader, _gaps
from kubeweft.store.remote.slicing import Slicing
from kubeweft.store.remote.sources import RemoteOptions
from kubeweft.store.remote.traces import Traces
from memory_reader import outline, story_of
from memory_source import MemorySource
from memory_spool import MemorySpool
from store_samples import LENGTH, MINUTE, NINE, fact, key_of, object_span, trace_of

FOR_EVER = 2**63 - 1


def windows(key: ObjectKey, numbers: Iterable[int]) -> list[Span]:
    """One fact in each of some windows."""
    starts = [NINE + number * LENGTH for number in numbers]
    return [
        span for start in starts for span in (object_span(key, start), fact(key, 1, start=start + MINUTE))
    ]


def reader(source: MemorySource, **options: object) -> RemoteReader:
    return RemoteReader(source, RemoteOptions(**{"fresh": 0, **options}))  # type: ignore[arg-type]


def test_a_short_time_is_asked_by_computed_ids_and_a_long_one_is_searched() -> None:
    source = MemorySource(windows(key_of(), range(20)), most_probed=5)
    with reader(source) as remote:
        assert len(remote.windows_of(key_of(), since=NINE, until=NINE + 3 * LENGTH)) == 4
        assert source.calls["find"] == 0
        assert len(remote.windows_of(key_of(), since=NINE, until=NINE + 4 * LENGTH)) == 5
        assert (source.calls["find"], len(source.fetched)) == (1, 5)
    assert source.closed


def test_the_traces_of_many_objects_are_fetched_in_batches_and_each_once() -> None:
    keys = [key_of(f"o{number}") for number in range(25)]
    source = MemorySource((span for key in keys for span in windows(key, [0])), ids_at_once=10)
    with reader(source) as remote:
        questions = [WindowQuestion(key, NINE, NINE) for key in keys]
        got = remote.windows_of_many(questions)
    assert [[window.key for window in one] for one in got] == [[key] for key in keys]
    assert source.calls["get"] == 5  # two windows for each: a span may have begun in the one before
    assert len(source.fetched) == len(set(source.fetched)) == 50


def test_what_was_just_read_is_not_asked_for_again() -> None:
    """A story asks for the windows of an object, and then for their spans."""
    source = MemorySource(windows(key_of(), range(3)))
    with reader(source, fresh=60) as remote:
        found = remote.windows_of(key_of(), since=0, until=FOR_EVER)
        spans = remote.spans_of([window.trace_id for window in found])
        assert len(spans) == 6
        assert (source.calls["find"], source.calls["get"]) == (1, 0)


def test_what_was_read_is_forgotten_after_a_while() -> None:
    now = [100.0]
    source = MemorySource(windows(key_of(), [0]))
    traces = Traces(source, RemoteOptions(fresh=2), now=lambda: now[0])
    trace = trace_of(key_of())
    for at, calls in ((100.0, 1), (101.9, 1), (102.1, 2)):
        now[0] = at
        assert traces.read([trace])[trace].place.key == key_of()
        assert source.calls["get"] == calls
    source.add([fact(key_of(), 2)])
    now[0] = 110.0
    assert len(traces.read([trace])[trace].spans) == 3
    traces.close()


def test_not_more_is_remembered_than_fits() -> None:
    source = MemorySource(windows(key_of(), range(10)))
    traces = Traces(source, RemoteOptions(fresh=60), most_remembered=5)
    ids = [trace_of(key_of(), NINE + number * LENGTH) for number in range(10)]
    traces.read(ids)
    traces.read(ids[-2:])
    assert source.calls["get"] == 4, "the last two were not remembered"
    traces.read(ids[:2])
    assert source.calls["get"] == 5, "all were remembered"
    traces.close()


class Strangers(MemorySource):
    """Has every trace, with nothing of ours in it."""

    def get(
        self, trace_ids: Sequence[bytes], *, since: int | None, until: int | None
    ) -> dict[bytes, list[Span]]:
        super().get(trace_ids, since=since, until=until)
        return {one: [] for one in trace_ids}


def test_traces_in_which_nothing_is_ours_are_not_remembered_without_end() -> None:
    strangers = [bytes([number]) * 16 for number in range(1, 20)]
    source = Strangers()
    traces = Traces(source, RemoteOptions(fresh=60), most_remembered=5)
    traces.read(strangers)
    traces.read(strangers[-3:])
    assert len(source.fetched) == 19, "the last were not remembered"
    traces.read(strangers[:3])
    assert len(source.fetched) == 22, "all were remembered"
    traces.close()


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_story_can_be_read_by_several_threads_at_once(order: int) -> None:
    keys = [key_of(f"o{number}") for number in range(12)]
    random.Random(order).shuffle(keys)
    source = MemorySource(
        (span for key in keys for span in windows(key, range(3))), ids_at_once=2, most_probed=2
    )
    with reader(source, depth=3) as remote:
        got = remote.windows_of_many([WindowQuestion(key, 0, FOR_EVER) for key in keys])
    assert [len(one) for one in got] == [3] * 12


def test_a_tree_in_one_trace_is_not_brought_again_for_each_of_its_objects() -> None:
    """With ``grouping: SameTrace`` a search for one Pod finds the trace in which all are."""
    pods = 40
    groups = [
        same_trace(replica_set(), deployment()),
        *(same_trace(pod(n), replica_set()) for n in range(pods)),
    ]
    spans = woven(*groups, *life(pods=pods))
    outlet = Outlet(MemorySpool(), Exporter("e", "e:4317"), grouped=True)
    outlet.arrive(spans)
    outlet.settle()
    source = MemorySource(outlet.received, most_probed=3)
    with reader(source, fresh=60) as remote:
        tree = read_story(remote, deployment())
    assert [outline(tree.root)] == [outline(story_of(deployment(), spans).root)]
    assert source.given < 2 * len(outlet.received), "the whole tree came several times"


@pytest.mark.parametrize(
    ("since", "until", "starts", "gaps"),
    [
        (0, 99, [], [(0, 99)]),
        (0, 99, [0, 10, 20], [(30, 99)]),
        (0, 99, [40, 20], [(0, 19), (30, 39), (50, 99)]),
        (0, 45, [40], [(0, 39)]),
        (40, 45, [40], []),
        (50, 99, [40], [(50, 99)]),
    ],
)
def test_the_times_that_are_left_to_search(
    since: int, until: int, starts: list[int], gaps: list[tuple[int, int]]
) -> None:
    assert list(_gaps(since, until, starts, 10)) == gaps


# ------------------------------------------------------------------------------------------------------------ searching


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 40)), max_size=60, unique=True),
    st.integers(9, 20),
    st.booleans(),
)
def test_nothing_is_missed_however_little_a_store_gives_at_once(
    lives: list[tuple[int, int]], depth: int, skips_tags: bool
) -> None:
    """Up to eight objects begin at one moment, so that a search for that moment is answered whole."""
    spans = [span for number, window in lives for span in windows(key_of(f"o{number}"), [window])]
    expected: dict[str, set[int]] = {}
    for number, window in lives:
        expected.setdefault(f"o{number}", set()).add(window)
    with reader(MemorySource(spans, skips_tags=skips_tags, most_probed=2), depth=depth) as remote:
        found = remote.find_objects(ObjectQuery(cluster="prod", limit=100))
        assert {one.key.name: one.windows for one in found} == {n: len(w) for n, w in expected.items()}
        for name, numbers in expected.items():
            got = remote.windows_of(key_of(name), since=0, until=FOR_EVER)
            assert {(window.start - NINE) // LENGTH for window in got} == numbers


def test_a_search_ends_when_nothing_older_can_be_among_the_first() -> None:
    keys = [key_of(f"o{number:03}") for number in range(200)]
    source = MemorySource(span for number, key in enumerate(keys) for span in windows(key, [number]))
    with reader(source, depth=10) as remote:
        found = remote.find_objects(ObjectQuery(cluster="prod", limit=5))
    assert [one.key for one in found] == keys[:-7:-1]
    assert source.calls["find"] < 20, "it went through all there is"


class Looked(str):
    """A text that counts in how many windows it was looked for."""

    __slots__ = ()
    times = 0

    def casefold(self) -> str:
        Looked.times += 1
        return super().casefold()


def test_a_long_search_looks_into_each_window_a_few_times_only() -> None:
    keys = [key_of(f"o{number:03}") for number in range(300)]
    source = MemorySource(span for number, key in enumerate(keys) for span in windows(key, [number]))
    Looked.times = 0
    with reader(source, depth=10) as remote:
        found = remote.find_objects(ObjectQuery(cluster="prod", text=Looked("o"), limit=290))
    assert len(found) == 291
    assert Looked.times <= 3 * 300


def test_where_too_many_begin_at_one_moment_the_store_chooses_and_otherwise_it_is_said() -> None:
    spans = [span for number in range(50) for span in windows(key_of(f"o{number}"), [0])]
    with reader(MemorySource(spans), depth=10) as remote:
        assert len(remote.find_objects(ObjectQuery(limit=5))) == 6
        with pytest.raises(
            UserError, match=r"store in memory: more than 10 traces .* narrow the question by time"
        ):
            remote.find_objects(ObjectQuery(limit=100))


def test_a_question_reads_only_so_much() -> None:
    source = MemorySource(windows(key_of(), range(60)))
    options = RemoteOptions(depth=10, fresh=0)
    traces = Traces(source, options)
    cut = Slicing(source, traces, options, most_traces=30)
    with pytest.raises(UserError, match="more than 30 traces"):
        list(cut.walk(_everything(), since=0, until=FOR_EVER, wanted=lambda _: True))
    traces.close()


def test_where_an_answer_is_too_much_less_is_asked_for_at_once() -> None:
    source = MemorySource(windows(key_of(), range(300)), most_spans=100)
    with reader(source, depth=1000) as remote:
        assert len(remote.windows_of(key_of(), since=0, until=FOR_EVER)) == 300
        calls = source.calls["find"]
        assert calls < 100
    large = [fact(key_of(), number) for number in range(1, 200)]
    too_large = pytest.raises(UserError, match="the answer is too large")
    with reader(MemorySource([object_span(key_of()), *large], most_spans=100)) as remote, too_large:
        remote.windows_of(key_of(), since=0, until=FOR_EVER)


def test_lookback_bounds_what_is_searched() -> None:
    """Databases with an index a day cannot be asked for all time."""
    source = MemorySource(windows(key_of(), range(100)))
    now = NINE + 100 * LENGTH
    options = RemoteOptions(lookback=10 * LENGTH, fresh=0)
    traces = Traces(source, options)
    cut = Slicing(source, traces, options, now=lambda: now)
    for since in (0, now - 5 * LENGTH):
        asked = cut.walk(_everything(), since=since, until=FOR_EVER, wanted=lambda _: True)
        starts = {part.place.start for one in asked for part in one.parts}
        assert min(starts) == max(since, now - 10 * LENGTH)
    traces.close()


def _everything() -> TraceQuery:
    return TraceQuery(service="kubeweft-object")


def test_tags_that_are_skipped_are_noticed_and_names_are_used_instead() -> None:
    keys = [key_of(f"o{number}") for number in range(30)]
    source = MemorySource((span for key in keys for span in windows(key, [0])), skips_tags=True)
    with reader(source) as remote:
        [found] = remote.find_objects(ObjectQuery(cluster="prod", namespace="shop", name="o7"))
        assert found.key == key_of("o7")
        assert source.calls["operations"] == 1
        assert not remote.find_objects(ObjectQuery(cluster="prod", name="o77"))
        assert len(remote.find_objects(ObjectQuery(namespace="shop", name="o1*"))) == 11


def test_the_nearest_window_is_found_without_reading_all() -> None:
    source = MemorySource(windows(key_of(), range(300)))
    with reader(source, depth=20) as remote:
        found = remote.nearest_window(key_of(), before=NINE + 250 * LENGTH - 1)
    assert found == Window(
        key_of(), NINE + 249 * LENGTH, LENGTH, trace_of(key_of(), NINE + 249 * LENGTH), True
    )
    assert source.calls["find"] < 10


def test_known_resources_are_read_off_the_names() -> None:
    node = key_of("n1", group="", resource="nodes", namespace="")
    widget = key_of("w", group="example.com", resource="widgets")
    source = MemorySource([object_span(key_of()), object_span(node), object_span(widget)])
    with reader(source) as remote:
        assert remote.known_resources() == [
            ("", "nodes", ""),
            ("apps", "deployments", ""),
            ("example.com", "widgets", ""),
        ]
    with reader(MemorySource([object_span(node)], lists_names=False)) as remote:
        assert remote.known_resources() == []


def test_windows_of_another_length_than_ours_are_found_by_search() -> None:
    """The setting was changed once: the object span says how long its window is."""
    key, start, length = key_of(), NINE, 600 * 10**9
    trace = identity.trace_id(key, start, length)
    old = object_span(key)
    span = Span(
        trace,
        identity.object_span_id(trace),
        b"",
        "object",
        key,
        old.name,
        start,
        start + length,
        {"kubeweft.window.seconds": 600},
    )
    with reader(MemorySource([span])) as remote:
        assert remote.windows_of(key, since=0, until=FOR_EVER) == [Window(key, start, length, trace, False)]
