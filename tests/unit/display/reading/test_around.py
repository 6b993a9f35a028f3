"""What concerned whole types: read within limits, and what is missing is told."""

from __future__ import annotations

from collections.abc import Iterable

from fake_viewer import FakeViewer
from kubeweft.display.reading.around import MOST_TYPES
from kubeweft.display.reading.assembling import assemble
from kubeweft.display.reading.levels import Limits
from kubeweft.display.serving.access import AllowedReader
from kubeweft.display.tree.trees import Tree
from kubeweft.display.words.left_out_wording import words_of
from kubeweft.model.errors import UserError
from kubeweft.model.observations import Observation
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import FoundObject, ObjectQuery
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


SPACE = key("namespaces", "default")
SPACE_MADE = change(SPACE, "Added", "09:00:00", uid=uid(9), version="1")
CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"


class TooMuch(MemoryReader):
    """Finds nothing, as where somebody may not see most of it."""

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        raise UserError("there is too much that you may not see")


def test_only_of_a_namespace_that_goes_it_is_asked_what_it_was_emptied_of() -> None:
    emptied = request(EVERY, "deletecollection", "09:58:00", user=CONTROLLER)
    asked = request(SPACE, "delete", "09:57:00", uid=uid(9))
    wrote = request(SPACE, "update", "09:58:01", subresource="status", user=CONTROLLER, uid=uid(9))
    for others, found in (((), False), ((asked,), True), ((wrote,), True)):
        reader = MemoryReader(weave(SPACE_MADE, emptied, *others))
        tree = assemble(reader, SPACE)
        assert reader.calls["find_objects"] == found
        assert ("deletecollection" in [fact.span.name for fact in tree.root.facts]) is found


def test_what_was_before_its_deletion_is_not_read() -> None:
    asked = request(SPACE, "delete", "22:00:00", uid=uid(9))
    emptied = request(EVERY, "deletecollection", "22:00:05", user=CONTROLLER, audit_id="all")
    reader = Counting(weave(SPACE_MADE, asked, emptied, *busy(hours=range(10, 20), each=30)))
    tree = assemble(reader, SPACE)
    assert reader.given < 12
    assert left_out(tree) == []


def test_that_a_search_for_its_types_was_refused_is_told() -> None:
    asked = request(SPACE, "delete", "09:57:00", uid=uid(9))
    tree = assemble(TooMuch(weave(SPACE_MADE, asked)), SPACE)
    assert [fact.span.name for fact in tree.root.facts] == ["created", "delete"]
    (cut,) = tree.truncated
    assert words_of(cut) == "more types of objects that were emptied in namespaces/default"
    assert cut.hint == "show one of the objects in it"


def test_more_types_than_are_looked_into_are_told() -> None:
    asked = request(SPACE, "delete", "09:57:00", uid=uid(9))
    many = [
        request(
            EVERY._replace(resource=f"kind{number}s"),
            "deletecollection",
            "09:58:00",
            user=CONTROLLER,
            audit_id=str(number),
        )
        for number in range(MOST_TYPES + 5)
    ]
    tree = assemble(MemoryReader(weave(SPACE_MADE, asked, *many)), SPACE)
    assert len(tree.root.facts) == 2 + MOST_TYPES
    assert left_out(tree) == [("contents", MOST_TYPES, 1)]


def test_only_of_types_that_somebody_may_see_it_is_told() -> None:
    asked = request(SPACE, "delete", "09:57:00", uid=uid(9))
    emptied = [
        request(key(resource, ""), "deletecollection", "09:58:00", user=CONTROLLER, audit_id=resource)
        for resource in ("pods", "configmaps")
    ]
    whole = MemoryReader(weave(SPACE_MADE, asked, *emptied))
    tree = assemble(AllowedReader(whole, FakeViewer(lambda one: one.resource != "configmaps")), SPACE)
    told = [fact.span.key.resource for fact in tree.root.facts if fact.span.name == "deletecollection"]
    assert told == ["pods"]
