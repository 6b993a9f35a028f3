"""Many objects at once are answered as one by one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeweft.model.spans import Span
from kubeweft.store.interfaces import SpanReader, Window, WindowQuestion, windows_of_many
from store_benches import BENCHES, Bench
from store_samples import LENGTH, MINUTE, NINE, fact, key_of, object_span, trace_of

FOR_EVER = 2**63 - 1


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    one: Bench = request.param(tmp_path / "store.db")
    yield one
    one.close()


def test_windows_of_many_are_those_of_each(bench: Bench) -> None:
    """More than one portion of rows, objects of several types and clusters, unknown ones, and the same asked twice."""
    chance = random.Random(5)
    keys = [
        key_of(
            f"o{n % 97}", cluster=f"c{n % 3}", resource=("pods", "deployments")[n % 2], namespace=f"ns{n % 5}"
        )
        for n in range(300)
    ]
    spans: list[Span] = []
    for number, key in enumerate(keys[:200]):
        for window in chance.sample(range(12), 3):
            start = NINE + window * LENGTH
            spans += [
                object_span(key, start),
                fact(key, number, start=start + MINUTE, lasts=number % 3 * 40 * MINUTE),
            ]
    chance.shuffle(spans)
    bench.write(*spans)
    questions = []
    for key in [*keys, key_of("unknown"), key_of("unknown", resource="things", cluster="nowhere"), *keys[:9]]:
        since = NINE + chance.randrange(12 * 30) * MINUTE
        questions.append(WindowQuestion(key, since, since + chance.randrange(5 * 30) * MINUTE))
    questions += [WindowQuestion(keys[0], 0, FOR_EVER), WindowQuestion(keys[0], -(2**63), 2**64)]

    store = bench.store
    one_by_one = [store.windows_of(key, since=since, until=until) for key, since, until in questions]
    assert store.windows_of_many(questions) == one_by_one
    assert sum(map(len, one_by_one)) > 100
    assert store.windows_of_many([]) == []


def test_a_window_without_its_object_span_is_in_no_answer(bench: Bench) -> None:
    bench.write(fact(key_of(), 1))
    assert bench.store.windows_of_many([WindowQuestion(key_of(), 0, FOR_EVER)]) == [[]]


def test_spans_of_many_traces_come_trace_by_trace_each_in_order_of_arrival(bench: Bench) -> None:
    keys = [key_of(f"o{number:03d}") for number in range(350)]
    spans = [
        fact(key, number, start=NINE + MINUTE * (9 - number), body=b"{}" if number % 2 else b"")
        for number in range(4)
        for key in keys
    ]
    random.Random(7).shuffle(spans)
    bench.write(*spans)
    asked = keys[::-1]
    traces = [trace_of(key) for key in asked]
    expected = [span for key in asked for span in spans if span.key == key]
    assert bench.store.spans_of([*traces, *traces[:5], b"?" * 16]) == expected


def test_a_reader_that_knows_no_better_is_asked_one_by_one(bench: Bench) -> None:
    bench.write(object_span(key_of("a")), object_span(key_of("b"), NINE + LENGTH))
    store = bench.store

    class Plain:
        """It has no other way."""

        def windows_of(self, key: object, *, since: int, until: int) -> list[Window]:
            return store.windows_of(key, since=since, until=until)  # type: ignore[arg-type]

    questions = [WindowQuestion(key_of("b"), 0, FOR_EVER), WindowQuestion(key_of("a"), NINE, NINE)]
    plain: SpanReader = Plain()  # type: ignore[assignment]
    assert windows_of_many(plain, questions) == windows_of_many(store, questions)
    assert windows_of_many(plain, []) == []
