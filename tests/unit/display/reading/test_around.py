"""What concerned whole types: read within limits, and what is missing is told."""

from __future__ import annotations

from collections.abc import Iterable

from kubeweft.display.reading.assembling import assemble
from kubeweft.display.reading.levels import Limits
from kubeweft.display.tree.trees import Tree
from kubeweft.model.observations import Observation
from kubeweft.model.spans import Span
from memory_reader import MemoryReader
from span_builders import change, gap, key, request, uid, weave

WEB = key("pods", "web")
EVERY = WEB._replace(name="")
OWN = change(WEB, "Added", "09:59:00", uid=uid(1), version="1")


class Counting(MemoryReader):
    """Counts what it gives."""

    def __init__(self, spans: Iterable[Span]) -> None:
        super().__init__(spans)
        self.given = 0

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        spans = super().spans_of(trace_ids)
        self.given += len(spans)
        return spans


def busy(*, hours: Iterable[int], each: int) -> list[Observation]:
    """Creates of which nobody told the name: so many in each half hour."""
    return [
        request(
            EVERY, "create", f"{hour:02d}:{half + minute % 30:02d}:00", audit_id=f"{hour}-{half}-{minute}"
        )
        for hour in hours
        for half in (0, 30)
        for minute in range(each)
    ]


def left_out(tree: Tree) -> list[tuple[str, int, int]]:
    """What was left out: of what, how many were looked into, and how many not."""
    return [(cut.what, cut.shown, cut.more) for cut in tree.truncated]


def test_the_windows_of_types_have_the_limit_of_all_windows() -> None:
    tree = assemble(MemoryReader(weave(OWN, *busy(hours=range(10), each=1))), WEB, limits=Limits(windows=4))
    assert left_out(tree) == [("around", 4, 16)]


def test_the_spans_of_types_have_a_limit_and_count_among_all() -> None:
    spans = weave(OWN, *busy(hours=range(20), each=30))  # 40 windows of 31 spans
    for limits in (Limits(around=100), Limits(spans=100)):
        reader = Counting(spans)
        tree = assemble(reader, WEB, limits=limits)
        assert reader.given < 250
        ((what, looked, more),) = left_out(tree)
        assert (what, looked + more) == ("around", 40)
        assert looked >= 2
    assert left_out(assemble(MemoryReader(spans), WEB)) == []


def test_the_time_of_the_object_itself_goes_first() -> None:
    gone = request(EVERY, "deletecollection", "09:58:00", audit_id="all")
    blind = gap(EVERY, "Disconnected", "09:50:00", "09:51:00")
    spans = weave(OWN, gone, blind, *busy(hours=range(11, 22), each=1))
    tree = assemble(MemoryReader(spans), WEB, limits=Limits(windows=2))
    assert {fact.span.source for fact in tree.root.facts} == {"change", "gap", "request"}
    assert left_out(tree) == [("around", 2, 21)]
