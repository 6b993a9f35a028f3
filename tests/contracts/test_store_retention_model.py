"""Writing, exporting, retention and reopening in any order: the store holds what a plain list would hold."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import Batch, ObjectQuery
from kubeweft.store.sqlite import SqliteStore
from store_keeping import retain, table
from store_samples import LENGTH, NINE, fact, key_of, object_span

FOR_EVER = 2**63 - 1
HOUR = 2 * LENGTH


class Model:
    """What should be in a store, kept in plain lists."""

    def __init__(self) -> None:
        self.spans: dict[int, Span] = {}
        self.position = 0
        self.sent = {"a": 0, "b": 0}
        self.active: set[str] | None = None

    def write(self, spans: list[Span]) -> None:
        known = {(span.trace_id, span.span_id) for span in self.spans.values()}
        for span in spans:
            if (span.trace_id, span.span_id) not in known:
                known.add((span.trace_id, span.span_id))
                self.position += 1
                self.spans[self.position] = span

    def retain(self, ended_by: int) -> None:
        active = self.sent if self.active is None else {name: self.sent[name] for name in self.active}
        sent = min(active.values(), default=FOR_EVER)
        for trace in {span.trace_id for span in self.spans.values()}:
            own = {at: span for at, span in self.spans.items() if span.trace_id == trace}
            if max(span.end for span in own.values()) <= ended_by and max(own) <= sent:
                self.spans = {at: span for at, span in self.spans.items() if at not in own}


windows = st.integers(0, 5)
names = st.sampled_from("pqr")
actions = st.one_of(
    st.tuples(st.just("write"), st.lists(st.tuples(names, windows, st.integers(0, 6)), max_size=8)),
    st.tuples(st.just("retain"), st.integers(-1, 8)),
    st.tuples(st.just("some pieces"), st.integers(-1, 8)),
    st.tuples(st.just("send"), st.tuples(st.sampled_from("ab"), st.integers(0, 60))),
    st.tuples(st.just("activate"), st.sets(st.sampled_from("ab"))),
    st.tuples(st.just("reopen"), st.none()),
    st.tuples(st.just("another writes"), st.lists(st.tuples(names, windows, st.integers(7, 9)), max_size=4)),
)


def spans_from(wanted: list[tuple[str, int, int]]) -> list[Span]:
    """Object spans and facts; number 0 is the object span, 6 is a long one."""
    spans: list[Span] = []
    for name, window, number in wanted:
        key, start = key_of(name, resource=f"type-{name}"), NINE + window * LENGTH
        spans.append(object_span(key, start))
        if number:
            lasts = 2 * LENGTH if number == 6 else 0
            spans.append(fact(key, number, start=start + number, lasts=lasts, body=b'{"n":%d}' % number))
    return spans


@settings(max_examples=80)
@given(steps=st.lists(actions, max_size=25))
def test_retention_removes_what_it_should_and_nothing_else(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        model = Model()
        opened = [SqliteStore(path), SqliteStore(path)]
        for name in model.sent:
            opened[0].save_export_position(name, 0)
        for step in steps:
            _act(path, opened, model, *step)
            _compare(opened[0], model)
        _compare(opened[1], model)
        retain(opened[0], now=FOR_EVER // 2, max_age=1)  # and what a broken off run has left is taken up
        model.retain(FOR_EVER // 2 - 1)
        assert table(path, "SELECT count(*) FROM spans WHERE window IS NOT NULL") == [(len(model.spans),)]
        assert table(path, "SELECT count(*) FROM objects") == [(len({s.key for s in model.spans.values()}),)]
        for store in opened:
            store.close()


def _act(path: Path, opened: list[SqliteStore], model: Model, action: str, value: Any) -> None:
    store = opened[0]
    if action in ("write", "another writes"):
        spans = spans_from(value)
        (opened[1] if action == "another writes" else store).write(Batch(spans=spans))
        model.write(spans)
    elif action == "retain":
        ended_by = NINE + value * LENGTH
        retain(store, now=ended_by + HOUR, max_age=HOUR)
        model.retain(ended_by)
    elif action == "some pieces":
        ended_by = NINE + value * LENGTH
        retain(store, now=ended_by + HOUR, max_age=HOUR, pieces=3)
        _catch_up(store, model, ended_by)
    elif action == "send":
        name, position = value
        position = min(position, model.position)
        store.save_export_position(name, position)
        model.sent[name] = max(model.sent[name], position)
    elif action == "activate":
        model.active = set(value)
        store.activate_exporters(model.active)
    else:
        store.close()
        opened[0] = SqliteStore(path)
        model.active = None


def _catch_up(store: SqliteStore, model: Model, ended_by: int) -> None:
    """A run that was broken off has removed some of the windows that it might, and each as a whole."""
    might = Model()
    might.spans, might.sent, might.active = dict(model.spans), model.sent, model.active
    might.retain(ended_by)
    there = dict(store.spans_after(0, limit=1000))
    assert might.spans.keys() <= there.keys() <= model.spans.keys()
    traces = {span.trace_id for span in there.values()}
    assert there.keys() == {at for at, span in model.spans.items() if span.trace_id in traces}
    model.spans = there


def _compare(store: SqliteStore, model: Model) -> None:
    assert dict(store.spans_after(0, limit=1000)) == model.spans
    assert store.newest_position() == model.position
    statistics = store.statistics()
    assert statistics.spans == len(model.spans)
    traces: dict[bytes, list[Span]] = {}
    for span in model.spans.values():
        traces.setdefault(span.trace_id, []).append(span)
    assert statistics.windows == len(traces)
    for trace, spans in traces.items():
        assert store.spans_of([trace]) == spans
    found: Callable[[ObjectKey], int] = {
        one.key: one.windows for one in store.find_objects(ObjectQuery())
    }.__getitem__
    for key in {span.key for span in model.spans.values()}:
        assert found(key) == len({span.trace_id for span in model.spans.values() if span.key == key})
