"""What every ``SpanReader`` has to do, wherever the spans lie: in our own store, or in one of somebody else.

The stores of others are written by our own exporter, and three of them are the real programs.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from grouped_trees import deployment, failure, life, pod, replica_set, same_trace, warning, woven
from kubeweft.display.stories import read_story
from kubeweft.display.writing.json_shape import Json, tree_as_json
from kubeweft.display.writing.text import write_tree
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation, Related
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span, SpanLink
from kubeweft.store.interfaces import (
    FoundObject,
    ObjectQuery,
    Told,
    WindowQuestion,
    places_of,
    windows_of_many,
)
from kubeweft.store.interfaces import SpanReader as Reader
from memory_reader import MemoryReader
from reader_benches import IN_PROCESS, REAL, ReaderBench, over, real_store
from span_builders import change, gap, related, to, uid
from span_builders import key as named
from store_samples import LENGTH, MINUTE, NINE, fact, object_span, trace_of
from trace_stores import TraceStore

FOR_EVER = 2**63 - 1


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TraceStore]]:
    """Real stores, each started when a test first needs it."""
    with contextlib.ExitStack() as stack:
        yield _Started(stack, tmp_path_factory)


class _Started(dict[str, TraceStore]):
    def __init__(self, stack: contextlib.ExitStack, folders: pytest.TempPathFactory) -> None:
        super().__init__()
        self._stack, self._folders = stack, folders

    def __missing__(self, name: str) -> TraceStore:
        self[name] = self._stack.enter_context(real_store(name, self._folders.mktemp(name)))
        return self[name]


BENCHES = [*IN_PROCESS, *[pytest.param(name, marks=pytest.mark.jaeger) for name in REAL]]


@pytest.fixture(params=BENCHES)
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, running: dict[str, TraceStore]
) -> Iterator[ReaderBench]:
    name: str = request.param
    with IN_PROCESS[name](tmp_path) if name in IN_PROCESS else over(running[name], name) as one:
        yield one


def written(bench: ReaderBench, *spans: Span) -> Reader:
    bench.write(*spans)
    return bench.reader


def names(bench: ReaderBench, **query: object) -> list[str]:
    """The names of objects that a search in the bench's cluster finds."""
    return [found.key.name for found in found_by(bench, **query)]


def found_by(bench: ReaderBench, **query: object) -> list[FoundObject]:
    asked = ObjectQuery(**{"cluster": bench.cluster, **query})  # type: ignore[arg-type]
    return bench.reader.find_objects(asked)


# ---------------------------------------------------------------------------------------------------------------- spans


def test_a_span_comes_back_as_it_was_written(bench: ReaderBench) -> None:
    key = bench.key("żółw-🐢", namespace="")
    link = SpanLink(b"t" * 16, b"s" * 8, {v.LINK_ANNOTATION: "traceparent"} if bench.keeps_links else {})
    span = fact(
        key,
        7,
        lasts=1_234_567,
        attributes={
            v.CODE: 409,
            v.USER: "ünï→🐢",
            v.DRY_RUN: True,
            v.EVENT_COUNT: -3,
            v.PATCH: '[{"op":"add","path":"/metadata/labels/a~1b","value":null}]',
            "own.number": 1.5,
        },
        links=(link,),
        error="409 Conflict",
        body=b'{"kind":"Deployment"}',
    )
    still = fact(key, 8, source="change", attributes={v.WORDS: "spec.replicas 2 → 4\nstatus"})
    reader = written(bench, object_span(key), span, still)

    back = {one.span_id: one for one in reader.spans_of([span.trace_id])}
    assert back == {one.span_id: one for one in (object_span(key), span, still)}
    told = back[span.span_id].attributes
    types = {name: type(value) for name, value in told.items()}  # 1 and True are equal
    assert types == {name: type(value) for name, value in span.attributes.items()}


def test_spans_of_skips_what_is_unknown_and_asks_once_for_what_is_doubled(bench: ReaderBench) -> None:
    web, api = bench.key(), bench.key("api")
    reader = written(
        bench, *(object_span(key) for key in (web, api)), fact(web, 2), fact(api, 3), fact(web, 1)
    )
    got = reader.spans_of([b"?" * 16, trace_of(web), trace_of(web)])
    assert sorted(span.span_id for span in got) == sorted(
        span.span_id for span in (object_span(web), fact(web, 1), fact(web, 2))
    )
    assert reader.spans_of([]) == []


def test_each_trace_comes_whole_and_the_traces_one_after_the_other(bench: ReaderBench) -> None:
    keys = [bench.key(f"o{number}") for number in range(5)]
    spans = [fact(key, number) for number in range(1, 41) for key in keys]
    reader = written(bench, *(object_span(key) for key in keys), *spans)
    got = reader.spans_of([trace_of(key) for key in keys])
    assert [span.key for span in got] == [key for key in keys for _ in range(41)]


def test_a_large_trace_with_large_bodies_comes_whole(bench: ReaderBench) -> None:
    """Twelve megabytes: more than gRPC takes in one message, unless it is told so."""
    key = bench.key("large")
    body = b'{"kind":"Deployment","data":"' + b"0123456789abcdef" * 3500 + b'"}'
    spans = [fact(key, number, start=NINE + number, body=body) for number in range(1, 211)]
    reader = written(bench, object_span(key), *spans)
    got = reader.spans_of([trace_of(key)])
    assert len(got) == 211
    assert all(span.body == body for span in got if span.source != "object")


def test_what_is_sent_twice_is_there_once(bench: ReaderBench) -> None:
    key = bench.key("twice")
    spans = [object_span(key), fact(key, 1), fact(key, 2)]
    bench.write(*spans)
    reader = written(bench, *reversed(spans))
    assert sorted(span.span_id for span in reader.spans_of([trace_of(key)])) == sorted(
        span.span_id for span in spans
    )


# -------------------------------------------------------------------------------------------------------------- windows


def test_windows_at_their_borders(bench: ReaderBench) -> None:
    key, ten = bench.key(), NINE + 2 * LENGTH
    for start in (ten, NINE, NINE + LENGTH):
        bench.write(object_span(key, start), object_span(bench.key("other"), start))

    def starts(since: int, until: int) -> list[int]:
        return [one.start for one in bench.reader.windows_of(key, since=since, until=until)]

    assert starts(0, FOR_EVER) == [NINE, NINE + LENGTH, ten]
    assert starts(NINE + LENGTH - 1, NINE + LENGTH - 1) == [NINE]  # 09:29:59.999999999
    assert starts(NINE + LENGTH, NINE + LENGTH) == [NINE + LENGTH]  # belongs to the window that begins
    assert starts(NINE + LENGTH - 1, NINE + LENGTH) == [NINE, NINE + LENGTH]
    assert starts(ten + LENGTH, FOR_EVER) == []
    assert starts(0, NINE - 1) == []
    [window] = bench.reader.windows_of(key, since=NINE, until=NINE)
    assert window == (key, NINE, LENGTH, trace_of(key), False)


def test_a_range_of_61_minutes_can_touch_four_windows(bench: ReaderBench) -> None:
    bench.write(*(object_span(bench.key(), NINE + number * LENGTH) for number in range(6)))
    since = NINE + LENGTH - 30 * 10**9
    windows = bench.reader.windows_of(bench.key(), since=since, until=since + 61 * MINUTE)
    assert [(window.start - NINE) // LENGTH for window in windows] == [0, 1, 2, 3]


def test_an_object_that_lived_for_three_days(bench: ReaderBench) -> None:
    """In more windows than one search gives."""
    key = bench.key("long")
    starts = [NINE + number * LENGTH for number in range(144)]
    bench.write(
        *(object_span(key, start) for start in starts),
        *(fact(key, n, start=s + n) for n, s in enumerate(starts, 1)),
    )
    for since, until in ((0, FOR_EVER), (NINE, starts[-1]), (starts[0], starts[143] + MINUTE)):
        got = bench.reader.windows_of(key, since=since, until=until)
        assert [window.start for window in got] == starts
        assert all(window.active for window in got)
    some = bench.reader.windows_of(key, since=starts[40], until=starts[99])
    assert [window.start for window in some] == starts[40:100]


def test_a_request_that_crosses_the_border_carries_its_window_along(bench: ReaderBench) -> None:
    key, quiet = bench.key(), bench.key("quiet")
    bench.write(
        object_span(key), fact(key, 1, start=NINE + 29 * MINUTE, lasts=20 * MINUTE), object_span(quiet)
    )
    ends = NINE + 49 * MINUTE
    for asked in (NINE + LENGTH, ends):
        assert [w.start for w in bench.reader.windows_of(key, since=asked, until=asked)] == [NINE]
        assert names(bench, since=asked, until=asked) == ["web"]
    assert bench.reader.windows_of(key, since=ends + 1, until=FOR_EVER) == []
    assert bench.reader.windows_of(quiet, since=NINE + LENGTH, until=FOR_EVER) == []


def test_a_window_is_active_once_it_holds_more_than_its_object_span_and_links(bench: ReaderBench) -> None:
    quiet, busy, late = (bench.key(name) for name in ("quiet", "busy", "late"))
    bench.write(*(object_span(key) for key in (quiet, busy, late)))
    bench.write(*(fact(key, 1, start=NINE, source="link") for key in (quiet, busy, late)))
    bench.write(fact(busy, 2), fact(late, 2, source="gap"))
    for key in (quiet, busy, late):
        [window] = bench.reader.windows_of(key, since=0, until=FOR_EVER)
        assert window.active == (key != quiet)
        assert bench.reader.nearest_window(key, before=FOR_EVER) == window
        assert bench.reader.window_of(window.trace_id) == window


def test_the_nearest_window_before_a_time(bench: ReaderBench) -> None:
    key = bench.key()
    bench.write(*(object_span(key, NINE + number * LENGTH) for number in (0, 3, 7)))

    def nearest(before: int) -> int | None:
        window = bench.reader.nearest_window(key, before=before)
        return None if window is None else (window.start - NINE) // LENGTH

    assert nearest(NINE - 1) is None
    assert nearest(NINE) == 0
    assert nearest(NINE + 3 * LENGTH - 1) == 0
    assert nearest(NINE + 3 * LENGTH) == 3
    assert nearest(FOR_EVER) == 7
    assert bench.reader.nearest_window(bench.key("unknown"), before=FOR_EVER) is None


def test_the_window_that_a_trace_id_names(bench: ReaderBench) -> None:
    bench.write(object_span(bench.key(), NINE + LENGTH), fact(bench.key(), 1, start=NINE + LENGTH))
    trace = trace_of(bench.key(), NINE + LENGTH)
    assert bench.reader.window_of(trace) == (bench.key(), NINE + LENGTH, LENGTH, trace, True)
    assert bench.reader.window_of(b"?" * 16) is None


def test_windows_of_many_objects_are_those_of_each(bench: ReaderBench) -> None:
    keys = [bench.key(f"o{number}") for number in range(7)]
    bench.write(*(object_span(key, NINE + n * LENGTH) for n, key in enumerate(keys)))
    questions = [WindowQuestion(key, NINE, NINE + 3 * LENGTH) for key in [*keys, keys[0], bench.key("none")]]
    questions += [WindowQuestion(key, 0, FOR_EVER) for key in keys]
    answers = windows_of_many(bench.reader, questions)
    assert answers == [bench.reader.windows_of(k, since=since, until=until) for k, since, until in questions]
    assert [len(answer) for answer in answers] == [1, 1, 1, 1, 0, 0, 0, 1, 0, *[1] * 7]


def test_objects_of_one_name_in_several_places_stay_apart(bench: ReaderBench) -> None:
    web = bench.key()
    others = [
        web._replace(cluster=f"{bench.cluster}-b"),
        web._replace(namespace="blog"),
        web._replace(group="example.com"),
    ]
    bench.write(*(span for key in (web, *others) for span in (object_span(key), fact(key, 1))))
    for key in (web, *others):
        for since, until in ((0, FOR_EVER), (NINE, NINE)):
            assert [w.key for w in bench.reader.windows_of(key, since=since, until=until)] == [key]
    assert {one.key for one in found_by(bench, cluster="", name="web")} >= {web, *others}
    assert [one.key for one in found_by(bench, name="web", namespace="blog")] == [others[1]]
    assert {one.key for one in found_by(bench, resources=(("apps", "deployments"),))} == {web, others[1]}
    if not bench.name.startswith("kubeweft"):  # it reads a bare "deployments" as kubectl does: those of apps
        assert {one.key for one in found_by(bench, resources=((None, "deployments"),))} == {web, *others[1:]}


# ------------------------------------------------------------------------------------------------------------ searching


def objects(bench: ReaderBench) -> None:
    """Some objects, one minute apart, in two windows."""
    for number, name in enumerate(["web-1", "web-2", "api-1", "w[eb]?-3"]):
        key = bench.key(name, namespace="shop" if number % 2 else "blog")
        bench.write(
            object_span(key),
            fact(
                key,
                1,
                start=NINE + number * MINUTE,
                attributes={v.KIND: "Deployment", v.USER: f"user-{name}"},
            ),
            object_span(key, NINE + LENGTH),
            fact(
                key,
                2,
                start=NINE + LENGTH + number * MINUTE,
                source="change",
                attributes={v.KIND: "Deployment"},
            ),
        )
    node = bench.key("node-1", group="", resource="nodes", namespace="")
    bench.write(object_span(node), fact(node, 1, attributes={v.KIND: "Node", v.WORDS: "spec.taints Added"}))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["w[eb]?-3", "api-1", "web-2", "web-1", "node-1"]),
        ({"name": "web-1"}, ["web-1"]),
        ({"name": "web-*"}, ["web-2", "web-1"]),
        ({"name": "w[eb]*"}, ["w[eb]?-3"]),
        ({"name": "*?*"}, ["w[eb]?-3"]),
        ({"namespace": "shop"}, ["w[eb]?-3", "web-2"]),
        ({"namespace": "s*p", "name": "*2"}, ["web-2"]),
        ({"resources": (("", "nodes"),)}, ["node-1"]),
        (
            {"resources": ((None, "nodes"), ("apps", "deployments"))},
            ["w[eb]?-3", "api-1", "web-2", "web-1", "node-1"],
        ),
        ({"resources": (("example.com", "nodes"),)}, []),
        ({"cluster": "elsewhere"}, []),
        ({"text": "USER-WEB"}, ["web-2", "web-1"]),
        ({"text": "taints added"}, ["node-1"]),
        ({"text": "node"}, ["node-1"]),
        ({"until": NINE + 90 * 10**9}, ["node-1", "web-2", "web-1"]),
        ({"since": NINE + LENGTH + 2 * MINUTE}, ["w[eb]?-3", "api-1"]),
        ({"limit": 2}, ["w[eb]?-3", "api-1", "web-2"]),
    ],
)
def test_searching(bench: ReaderBench, query: dict[str, object], expected: list[str]) -> None:
    if bench.name == "memory" and (set("*[?") & set(f"{query}") or "text" in query):
        pytest.skip("the reader for display tests knows only simple searches")
    objects(bench)
    got = names(bench, **query)
    if query.get("until"):  # by the last span of a whole window, not of the part asked for
        assert set(got) == set(expected)
    else:
        assert got == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"told": Told(attributes=((v.USER, "user-api-1"),))}, {"api-1"}),
        ({"told": Told(attributes=((v.SOURCE, "request"), (v.KIND, "Node")))}, {"node-1"}),
        ({"told": Told(failed=True)}, set()),
        ({"among": "shop"}, {"w[eb]?-3", "web-2"}),
        ({"among": "shop", "name": "web-2"}, {"web-2"}),
    ],
)
def test_a_search_for_what_is_told_or_among_places_misses_nothing(
    bench: ReaderBench, query: dict[str, object], expected: set[str]
) -> None:
    """A store that cannot look for it gives what matches otherwise."""
    objects(bench)
    if "among" in query:
        query = {**query, "among": (bench.key("", namespace="shop"), bench.key("", resource="none"))}
    got = names(bench, **query)
    assert set(got) == expected if bench.name == "embedded" else set(got) >= expected
    there, complete = places_of(bench.reader, ObjectQuery(cluster=bench.cluster), most=10)
    assert {place.namespace for place in there} == {"shop", "blog", ""}
    assert complete


def test_what_a_search_tells_of_an_object(bench: ReaderBench) -> None:
    objects(bench)
    [found] = found_by(bench, name="web-2")
    last = NINE + LENGTH + MINUTE
    assert found == (bench.key("web-2"), "Deployment", 2, NINE + MINUTE, last)
    [node] = found_by(bench, resources=((None, "nodes"),))
    assert (node.kind, node.windows) == ("Node", 1)


def test_a_limit_of_more_objects_than_a_store_gives_at_once(bench: ReaderBench) -> None:
    """Sixty objects over twenty windows; the stores of others give forty traces at once."""
    keys = [bench.key(f"many-{number:02}") for number in range(60)]
    bench.write(
        *(
            span
            for number, key in enumerate(keys)
            for window in (NINE + number % 20 * LENGTH, NINE + (number % 20 + 1) * LENGTH)
            for span in (object_span(key, window), fact(key, window // LENGTH, start=window + number))
        )
    )
    found = found_by(bench, limit=100)
    assert {one.key for one in found} == set(keys)
    assert {one.windows for one in found} == {2}
    lasts = [one.last for one in found]
    assert lasts == sorted(lasts, reverse=True)
    few = found_by(bench, limit=5)
    assert few == found[:6]


def test_the_clusters(bench: ReaderBench) -> None:
    """A store with a lot in it tells those of the newest time only."""
    here, there = bench.key(), bench.key(cluster=f"{bench.cluster}-east")
    bench.write(*(object_span(key, NINE + 1000 * LENGTH) for key in (here, there)))
    clusters = set(bench.reader.clusters())
    assert clusters >= {here.cluster, there.cluster}
    assert bench.shared or clusters == {here.cluster, there.cluster}


# -------------------------------------------------------------------------------------------------------------- stories


def rollout(cluster: str, *groups: Observation) -> list[Span]:
    """A Deployment and what it owns: changed, complained about, and linked; with a body, a conflict and a gap."""

    def there(key: ObjectKey) -> ObjectKey:
        return key._replace(cluster=cluster)

    seen = [*groups, *life(), warning(pod(0)), failure(deployment())]
    body: dict[str, object] = {"kind": "Deployment", "metadata": {"name": "web"}}
    seen.append(change(deployment(), "Sighting", "10:07:00", uid=uid(0), version="9", body=body))
    seen.append(gap(deployment(), "Expired", "10:08:00", "10:09:00", count=3))
    seen.append(related(pod(0), to(named("nodes", "n1"), "Peer", "RunsOn"), clock="10:00:03"))
    return woven(*[_moved(one, there) for one in seen])


def _moved(observation: Observation, there: Callable[[ObjectKey], ObjectKey]) -> Observation:
    moved = msgspec.structs.replace(observation, key=there(observation.key))
    if isinstance(moved, Related):
        relations = tuple([one._replace(target=there(one.target)) for one in moved.relations])
        return msgspec.structs.replace(moved, relations=relations)
    return moved


GROUPS = (
    same_trace(replica_set(), deployment()),
    same_trace(pod(0), replica_set()),
    same_trace(pod(1), replica_set()),
)


def told(reader: Reader, key: ObjectKey) -> tuple[str, Json]:
    """The story of an object as ``kubeweft show`` writes it, and the whole of it as JSON.

    Attributes are compared in any order: OpenTelemetry gives theirs no meaning.
    """
    tree = read_story(reader, key, kinds=Kinds())
    console = Console(file=io.StringIO(), width=200, no_color=True)
    write_tree(tree, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue(), tree_as_json(tree)


def test_a_story_reads_the_same_from_every_store(bench: ReaderBench) -> None:
    spans = rollout(bench.cluster)
    bench.write(*spans)
    top = deployment()._replace(cluster=bench.cluster)
    text, document = told(bench.reader, top)
    assert "web-1-0" in text
    assert "BackOff" in text
    assert (text, document) == told(MemoryReader(spans), top)


def test_a_story_reads_the_same_where_an_exporter_has_grouped_it(bench: ReaderBench) -> None:
    """Spans of the children are in the trace of the Deployment there, and signposts where they would be."""
    spans = rollout(bench.cluster, *GROUPS)
    bench.write(*spans, grouped=True)
    for key in (deployment(), replica_set(), pod(0)):
        mine = key._replace(cluster=bench.cluster)
        assert told(bench.reader, mine) == told(MemoryReader(spans), mine)
        own = {s.span_id: s for s in spans if s.key == mine}
        [window] = bench.reader.windows_of(mine, since=0, until=FOR_EVER)
        assert {s.span_id: s for s in bench.reader.spans_of([window.trace_id])} == own
    assert {found.key.name for found in found_by(bench)} >= {"web", "web-1", "web-1-0", "web-1-1"}
    assert names(bench, name="web-1-0") == ["web-1-0"]


def test_a_window_whose_object_span_never_arrived(bench: ReaderBench) -> None:
    """Our own store waits for it; in that of others it may be lost for ever, and the window is known by its ID."""
    key = bench.key("headless")
    bench.write(fact(key, 1), fact(key, 2, start=NINE + 2 * MINUTE))
    got = bench.reader.windows_of(key, since=NINE, until=NINE + MINUTE)
    if bench.embedded:
        assert got == []
        assert bench.reader.window_of(trace_of(key)) is None
    else:
        assert len(bench.reader.spans_of([trace_of(key)])) == 2
        assert got == [(key, NINE, LENGTH, trace_of(key), True)]
        assert bench.reader.window_of(trace_of(key)) == got[0]
