"""A search through spans ends soon after nobody waits for it any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeweft.display.serving.stopping import StoppableReader
from kubeweft.model import vocabulary as v
from kubeweft.runtime.stopping import Stop, Stopped, check_stop, stoppable
from kubeweft.store.embedded.finding_text import CHECK_EVERY
from kubeweft.store.interfaces import Batch, ObjectQuery
from kubeweft.store.sqlite import SqliteStore
from store_samples import MINUTE, NINE, fact, key_of, object_span

ABSENT = ObjectQuery(text="nobody tells this")


class Asked(Stop):
    """Asks to stop when it has been asked itself so many times."""

    def __init__(self, *, after: int) -> None:
        super().__init__(seconds=60)
        self.left = after

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.ask()
        super().check()


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    key = key_of("web")
    spans = [fact(key, n, start=NINE + MINUTE, attributes={v.USER: "jane"}) for n in range(4 * CHECK_EVERY)]
    opened = SqliteStore(tmp_path / "store.db")
    opened.write(Batch(spans=[object_span(key), *spans]))
    return opened


def test_a_text_search_asks_while_it_reads(store: SqliteStore) -> None:
    with store:
        for after in (0, 2):
            stop = Asked(after=after)
            with pytest.raises(Stopped, match="nobody waits"):
                stoppable(lambda: store.find_objects(ABSENT), stop)()
            assert stop.left == -1
        patient = Asked(after=100)
        assert stoppable(lambda: store.find_objects(ABSENT), patient)() == []
        assert 0 < patient.left < 97
        assert [one.key.name for one in store.find_objects(ObjectQuery(text="jane"))] == ["web"]


def test_time_that_is_over_stops_it_too(store: SqliteStore) -> None:
    with store, pytest.raises(Stopped, match="longer than 0 seconds"):
        stoppable(lambda: store.find_objects(ABSENT), Stop(seconds=0))()


def test_what_is_read_is_counted_for_the_work_it_is_for(store: SqliteStore) -> None:
    with store:
        reader, stop = StoppableReader(store), Stop(seconds=60)
        (window,) = reader.windows_of(key_of("web"), since=0, until=2**62)
        stoppable(lambda: reader.spans_of([window.trace_id]), stop)()
        assert stop.spans_read == 4 * CHECK_EVERY + 1
        reader.spans_of([window.trace_id])  # for nobody
        assert stop.spans_read == 4 * CHECK_EVERY + 1
    check_stop()  # there is nothing to stop here
