"""What every span store has to do, whatever it is made of: writing, reading, finding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span, SpanLink
from kubeweft.store.interfaces import Batch, Checkpoint, ObjectQuery, Window
from store_benches import BENCHES, Bench
from store_samples import LENGTH, MINUTE, NINE, fact, key_of, object_span, trace_of

FOR_EVER = 2**63 - 1


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    one: Bench = request.param(tmp_path / "store.db")
    yield one
    one.close()


# ------------------------------------------------------------------------------------------------------------- writing


def test_a_span_comes_back_as_it_was_written_with_its_attributes_in_order(bench: Bench) -> None:
    span = fact(
        key_of("żółw-🐢", namespace="", cluster="prod/eu"),
        7,
        lasts=-5,
        attributes={"z": "ünï→🐢", "a": True, "m": 1.5, "b": -(2**62), v.USER: "alice", "e": "", "n": "a\0b"},
        links=(SpanLink(b"t" * 16, b"s" * 8, {"y": 1, "x": "two"}), SpanLink(b"u" * 16, b"r" * 8, {})),
        error="409 Conflict",
        body=b'{"kind":"Deployment"}',
    )
    bench.write(object_span(span.key), span)

    [back] = [one for one in bench.store.spans_of([span.trace_id]) if one.span_id == span.span_id]
    assert back == span
    assert list(back.attributes.items()) == list(span.attributes.items())
    assert [type(value) for value in back.attributes.values()] == [str, bool, float, int, str, str, str]
    assert list(back.links[0].attributes) == ["y", "x"]


def test_spans_of_many_shapes_and_repeating_values_stay_apart(bench: Bench) -> None:
    users = ["alice", "bob", "system:node:a", "x", "żaba"]
    spans = [
        fact(
            key_of(f"o{number % 7}"),
            number,
            attributes={
                **({v.USER: users[number % 5]} if number % 2 else {}),
                **({v.USER_AGENT: f"agent/{number % 3}"} if number % 3 else {}),
                **({v.KIND: "Deployment"} if number % 5 else {}),
                f"own.{number % 11}": number,
            },
        )
        for number in range(200)
    ]
    for begin in range(0, 200, 23):
        bench.write(*spans[begin : begin + 23])

    back = bench.everything()
    assert back == spans
    assert [list(one.attributes) for one in back] == [list(one.attributes) for one in spans]


def test_bodies_of_one_type_come_back_before_and_after_there_is_a_dictionary(bench: Bench) -> None:
    spans = [
        fact(
            key_of(f"p{number}", resource=("pods", "nodes")[number % 2]),
            number,
            source="change",
            body=b'{"metadata":{"name":"p%d"},"spec":%s}' % (number, b'{"containers":[{"image":"x"}]}' * 40),
        )
        for number in range(40)
    ]
    for span in spans:
        bench.write(span)
    assert bench.everything() == spans


def test_writing_again_adds_nothing_and_keeps_what_was_first(bench: Bench) -> None:
    first = [object_span(key_of()), fact(key_of(), 1), fact(key_of(), 2)]
    assert bench.write(*first) == 3
    before = bench.store.newest_position()

    assert bench.write(*first, fact(key_of(), 1, name="another")) == 0
    assert bench.everything() == first
    assert bench.store.newest_position() == before


def test_a_span_doubled_within_a_batch_is_one(bench: Bench) -> None:
    assert bench.write(*[fact(key_of(), 1)] * 3, fact(key_of(), 2)) == 2
    assert len(bench.everything()) == 2


def test_the_same_span_id_in_another_trace_is_another_span(bench: Bench) -> None:
    spans = [fact(key_of(), 1), fact(key_of("api"), 1), fact(key_of(), 1, start=NINE + LENGTH)]
    assert bench.write(*spans) == 3
    assert bench.everything() == spans


def test_a_batch_that_cannot_be_stored_leaves_nothing_behind(bench: Bench) -> None:
    bench.write(fact(key_of(), 1))
    store = bench.store
    new = {"a.new.name": "new", v.USER: "carol-with-a-long-name"}
    batch = Batch(
        spans=(fact(key_of("new"), 2, attributes=new, body=b"{}"), fact(key_of("worse"), 3, name="\ud800")),
        checkpoints=(Checkpoint("prod", "new", "things", "5", 5),),
    )
    with pytest.raises(Exception, match="lone surrogate"):
        store.write(batch)

    assert store.windows_of(key_of("new"), since=0, until=FOR_EVER) == []
    assert store.resume("prod", "new", "things") is None
    good = fact(key_of("new"), 2, attributes=new, body=b"{}")
    assert store.write(Batch(spans=(good,))).added == 1  # what it had learned in between is forgotten too
    assert bench.everything() == [fact(key_of(), 1), good]


# ------------------------------------------------------------------------------------------------------------- reading


def test_spans_come_in_order_of_arrival_and_in_portions(bench: Bench) -> None:
    spans = [fact(key_of(f"o{number % 3}"), 1000 - number) for number in range(50)]
    for begin in range(0, 50, 9):
        bench.write(*spans[begin : begin + 9])

    position, got = 0, list[Span]()
    positions = []
    while portion := bench.store.spans_after(position, limit=7):
        assert len(portion) <= 7
        positions += [at for at, _ in portion]
        got += [span for _, span in portion]
        position = portion[-1][0]
    assert got == spans
    assert positions == sorted(set(positions))
    assert position == bench.store.newest_position()
    assert bench.store.spans_after(position, limit=7) == []


def test_spans_of_skips_what_is_unknown_and_asks_once_for_what_is_doubled(bench: Bench) -> None:
    bench.write(fact(key_of(), 2), fact(key_of("api"), 3), fact(key_of(), 1))
    trace = trace_of(key_of())
    assert bench.store.spans_of([b"?" * 16, trace, trace]) == [fact(key_of(), 2), fact(key_of(), 1)]
    assert bench.store.spans_of([]) == []


def test_windows_at_their_borders(bench: Bench) -> None:
    key, ten = key_of(), NINE + 2 * LENGTH
    for start in (ten, NINE, NINE + LENGTH):
        bench.write(object_span(key, start), object_span(key_of("other"), start))

    def starts(since: int, until: int) -> list[int]:
        return [one.start for one in bench.store.windows_of(key, since=since, until=until)]

    assert starts(0, FOR_EVER) == [NINE, NINE + LENGTH, ten]
    assert starts(NINE + LENGTH - 1, NINE + LENGTH - 1) == [NINE]  # 09:29:59.999999999
    assert starts(NINE + LENGTH, NINE + LENGTH) == [
        NINE + LENGTH
    ]  # 09:30:00 belongs to the window that begins
    assert starts(NINE + LENGTH - 1, NINE + LENGTH) == [NINE, NINE + LENGTH]
    assert starts(ten + LENGTH, FOR_EVER) == []
    assert starts(0, NINE - 1) == []
    [window] = bench.store.windows_of(key, since=NINE, until=NINE)
    assert window == (key, NINE, LENGTH, trace_of(key), False)


def test_a_range_of_61_minutes_can_touch_four_windows(bench: Bench) -> None:
    for number in range(6):
        bench.write(object_span(key_of(), NINE + number * LENGTH))
    since = NINE + LENGTH - 30 * 10**9
    windows = bench.store.windows_of(key_of(), since=since, until=since + 61 * MINUTE)
    assert [(window.start - NINE) // LENGTH for window in windows] == [0, 1, 2, 3]


def test_a_request_that_crosses_the_border_carries_its_window_along(bench: Bench) -> None:
    key = key_of()
    bench.write(object_span(key), fact(key, 1, start=NINE + 29 * MINUTE, lasts=90 * MINUTE))
    bench.write(object_span(key_of("quiet")))
    ends = NINE + 119 * MINUTE

    for asked in (NINE + LENGTH, ends):
        assert [w.start for w in bench.store.windows_of(key, since=asked, until=asked)] == [NINE]
        assert bench.names(since=asked, until=asked) == ["web"]
    assert bench.store.windows_of(key, since=ends + 1, until=FOR_EVER) == []
    assert bench.names(since=ends + 1) == []
    assert bench.store.windows_of(key_of("quiet"), since=NINE + LENGTH, until=FOR_EVER) == []


def test_a_window_appears_when_its_object_span_does(bench: Bench) -> None:
    key = key_of()
    bench.write(fact(key, 1))
    assert bench.store.windows_of(key, since=0, until=FOR_EVER) == []
    assert bench.store.spans_of([trace_of(key)]) == [fact(key, 1)]

    bench.write(fact(key, 2), object_span(key))
    assert [w.start for w in bench.store.windows_of(key, since=0, until=FOR_EVER)] == [NINE]
    [found] = bench.store.find_objects(ObjectQuery())
    assert (found.first, found.last) == (NINE + MINUTE, NINE + MINUTE)


def test_the_bounds_of_a_window_only_widen_whoever_writes(bench: Bench) -> None:
    key = key_of()
    bench.write(object_span(key))
    for number, minute in enumerate((10, 20, 12, 5, 11, 9)):
        bench.write(fact(key, number, start=NINE + minute * MINUTE))
    [found] = bench.store.find_objects(ObjectQuery())
    assert (found.first, found.last) == (NINE + 5 * MINUTE, NINE + 20 * MINUTE)


def test_a_window_is_active_once_it_holds_more_than_its_object_span_and_links(bench: Bench) -> None:
    quiet, busy, late = key_of("quiet"), key_of("busy"), key_of("late")
    bench.write(*(object_span(key) for key in (quiet, busy, late)))
    bench.write(*(fact(key, 1, start=NINE, source="link") for key in (quiet, busy, late)))
    bench.write(fact(busy, 2), fact(late, 2, source="gap"))

    def active(windows: list[Window]) -> dict[str, bool]:
        return {window.key.name: window.active for window in windows}

    assert active(bench.store.recent_windows(NINE)) == {"quiet": False, "busy": True, "late": True}
    for key in (quiet, busy, late):
        [window] = bench.store.windows_of(key, since=0, until=FOR_EVER)
        assert window.active == (key != quiet)
        assert bench.store.nearest_window(key, before=FOR_EVER) == window


def test_the_nearest_window_before_a_time(bench: Bench) -> None:
    key = key_of()
    bench.write(
        object_span(key), object_span(key, NINE + 4 * LENGTH), object_span(key_of("other"), NINE + LENGTH)
    )

    def nearest(before: int) -> int | None:
        window = bench.store.nearest_window(key, before=before)
        return None if window is None else (window.start - NINE) // LENGTH

    assert nearest(NINE - 1) is None
    assert nearest(NINE) == 0
    assert nearest(NINE + 4 * LENGTH - 1) == 0
    assert nearest(FOR_EVER) == 4
    assert bench.store.nearest_window(key_of("unknown"), before=FOR_EVER) is None


def test_recent_windows_are_those_not_over_yet(bench: Bench) -> None:
    late = key_of("late", cluster="edge", group="", resource="nodes", namespace="")
    bench.write(
        object_span(key_of(), NINE + LENGTH), object_span(key_of()), object_span(late, NINE + 2 * LENGTH)
    )
    recent = bench.store.recent_windows(NINE + LENGTH)
    assert [(window.key, window.start) for window in recent] == [
        (key_of(), NINE + LENGTH),
        (late, NINE + 2 * LENGTH),
    ]
    assert len(bench.store.recent_windows(NINE + LENGTH - 1)) == 3
    assert bench.store.recent_windows(NINE + 3 * LENGTH) == []


# ----------------------------------------------------------------------------------------------------------- searching


def fill_for_search(bench: Bench) -> None:
    """Five objects; the later in the list, the later its span."""
    keys = [
        key_of("web"),
        key_of("web-db", namespace="data"),
        key_of("web", group="example.com"),
        key_of("db", cluster="edge", group="", resource="pods"),
        key_of("node-1", group="", resource="nodes", namespace=""),
    ]
    for number, key in enumerate(keys):
        bench.write(object_span(key), fact(key, number, start=NINE + number * MINUTE))


def test_search_narrows_by_every_field(bench: Bench) -> None:
    fill_for_search(bench)
    assert bench.names() == ["node-1", "db", "web", "web-db", "web"]
    assert bench.names(cluster="edge") == ["db"]
    assert bench.names(cluster="nowhere") == []
    assert bench.names(resources=((None, "deployments"),)) == ["web", "web-db", "web"]
    assert bench.names(resources=(("apps", "deployments"),)) == ["web-db", "web"]
    assert bench.names(resources=(("", "pods"), (None, "nodes"))) == ["node-1", "db"]
    assert bench.names(resources=(("apps", "pods"),)) == []
    assert bench.names(namespace="data") == ["web-db"]
    assert bench.names(namespace="*a*") == ["web-db"]
    assert bench.names(name="web") == ["web", "web"]
    assert bench.names(cluster="prod", resources=((None, "deployments"),), namespace="shop", name="we*") == [
        "web",
        "web",
    ]


def test_only_the_star_is_a_wildcard(bench: Bench) -> None:
    for number, name in enumerate(("web", "web-db", "db-web", "w?b", "[web]", "WEB")):
        key = key_of(name)
        bench.write(object_span(key), fact(key, number))
    assert set(bench.names(name="web*")) == {"web", "web-db"}
    assert set(bench.names(name="*web")) == {"web", "db-web"}
    assert set(bench.names(name="*web*")) == {"web", "web-db", "db-web", "[web]"}
    assert bench.names(name="w?b*") == ["w?b"]
    assert bench.names(name="[web]*") == ["[web]"]
    assert bench.names(name="w*d*") == ["web-db"]
    assert len(bench.names(name="*")) == 6


def test_search_finds_text_in_names_messages_users_and_changes(bench: Bench) -> None:
    attributes = {
        "by-user": {v.USER: "System:Node:Alpha"},
        "by-impersonated": {v.IMPERSONATED_USER: "alphabeta"},
        "by-change": {v.WORDS: "spec.replicas 2 → 4\nimage alpha → beta"},
        "by-event": {v.EVENT_MESSAGE: "Pulled image ALPHA:1"},
        "by-failure": {v.FAILURE_MESSAGE: "no alpha here"},
        "by-none": {v.URL_PATH: "/alpha"},
        "żółw-alpha": {v.USER: "bob"},
    }
    for number, (name, values) in enumerate(attributes.items()):
        bench.write(object_span(key_of(name)), fact(key_of(name), number, attributes=dict(values)))
    found = {"by-user", "by-impersonated", "by-change", "by-event", "by-failure", "żółw-alpha"}
    assert set(bench.names(text="alpha")) == found
    assert bench.names(text="ŻÓŁW") == ["żółw-alpha"]
    assert bench.names(text="2 → 4") == ["by-change"]
    assert bench.names(text="alpha", name="by-e*") == ["by-event"]
    assert bench.names(text="gamma") == []


def test_a_text_search_bounds_only_what_matched(bench: Bench) -> None:
    key = key_of()
    for number in range(4):
        start = NINE + number * LENGTH
        user = "mallory" if number in (1, 2) else "alice"
        bench.write(
            object_span(key, start), fact(key, number, start=start, lasts=5, attributes={v.USER: user})
        )
    assert bench.store.find_objects(ObjectQuery(text="Mallory")) == [
        (key, "", 2, NINE + LENGTH, NINE + 2 * LENGTH + 5)
    ]
    assert bench.store.find_objects(ObjectQuery())[0][2:] == (4, NINE, NINE + 3 * LENGTH + 5)
    assert bench.names(text="mallory", since=NINE + 3 * LENGTH) == []


def test_search_by_time_goes_by_the_spans_and_not_by_the_window(bench: Bench) -> None:
    key, quiet = key_of("busy"), key_of("quiet")
    bench.write(
        object_span(key), fact(key, 1, start=NINE + 10 * MINUTE, lasts=2 * MINUTE), object_span(quiet)
    )

    def found(since: int, until: int) -> set[str]:
        return set(bench.names(since=NINE + since * MINUTE, until=NINE + until * MINUTE))

    assert found(0, 9) == {"quiet"}  # nothing but its window: it lasts as long as that
    assert found(0, 10) == {"quiet", "busy"}
    assert found(12, 13) == {"quiet", "busy"}
    assert found(13, 29) == {"quiet"}
    assert found(30, 99) == set()
    [alone] = [one for one in bench.store.find_objects(ObjectQuery()) if one.key == quiet]
    assert (alone.first, alone.last) == (NINE, NINE)


def test_search_gives_the_latest_and_one_more_than_the_limit(bench: Bench) -> None:
    order = [7, 3, 9, 1, 0, 8, 2, 6, 4, 5]
    for number in order:
        key = key_of(f"o{number}")
        bench.write(object_span(key, NINE + number % 4 * LENGTH))
        bench.write(fact(key, 1, start=NINE + number % 4 * LENGTH + number))
    latest = [f"o{number}" for number in sorted(range(10), key=lambda n: (n % 4, n), reverse=True)]
    assert bench.names() == latest
    assert bench.names(limit=3) == latest[:4]
    assert bench.names(limit=10) == latest
    # A long request in an old window may end after everything in a newer one.
    bench.write(fact(key_of("o4"), 2, start=NINE + 9, lasts=10 * LENGTH))
    assert bench.names(limit=1)[0] == "o4"


def test_kinds_clusters_and_resources_are_learned_from_spans(bench: Bench) -> None:
    web, pod = key_of(), key_of("p", cluster="edge", group="", resource="pods")
    scale = {v.KIND: "Scale", v.SUBRESOURCE: "scale"}
    bench.write(object_span(web), fact(web, 1, attributes=dict(scale)), object_span(pod))
    assert bench.store.find_objects(ObjectQuery(name="web"))[0].kind == ""

    bench.write(fact(web, 2, attributes={v.KIND: "Deployment"}))
    bench.write(fact(web, 3, attributes=dict(scale)))
    bench.store.write(Batch(checkpoints=(Checkpoint("third", "batch", "jobs", "1", 1),)))
    assert bench.store.find_objects(ObjectQuery(name="web"))[0].kind == "Deployment"
    assert bench.store.known_resources() == [("", "pods", ""), ("apps", "deployments", "Deployment")]
    assert bench.store.clusters() == ["edge", "prod"]
