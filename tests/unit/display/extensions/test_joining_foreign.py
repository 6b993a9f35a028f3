"""What is asked for a tree, of whom, and what comes of the answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from msgspec import structs

from kubeweft.display.extensions.joining import SLACK, Extensions, ForeignLimits
from kubeweft.display.extensions.sources import ForeignAnswer, ForeignQuestion, SourceFailed
from kubeweft.display.extensions.wanting import BUILTIN_RULES, LONGEST_AUDIT_ID, JoinRule
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import FOREVER, Tree, facts_of, shown_nodes
from kubeweft.display.words.left_out_wording import hint_in_viewers, words_of
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.spans import Span
from memory_reader import MemoryReader
from span_builders import at, change, key, owner, request, uid, weave

POD = key("pods", "web-1")


@dataclass
class Source:
    """Answers what it was made with, and remembers what it was asked."""

    answer: ForeignAnswer | SourceFailed = field(default_factory=lambda: ForeignAnswer([]))
    name: str = "test"
    is_empty: bool = False
    asked: list[ForeignQuestion] = field(default_factory=list)

    def find(self, question: ForeignQuestion) -> ForeignAnswer:
        self.asked.append(question)
        if isinstance(self.answer, SourceFailed):
            raise self.answer
        return self.answer


def spans() -> list[Span]:
    return weave(
        request(POD, "create", "10:00:01", uid=uid(1), version="5"),
        change(POD, "Added", "10:00:01", version="5", uid=uid(1)),
        request(POD, "patch", "10:00:05", uid=uid(1), version="6"),
        request(POD, "create", "10:00:06", subresource="binding", uid=uid(9)),
    )


def audit_ids() -> list[str]:
    return [str(span.attributes[v.AUDIT_ID]) for span in spans() if span.source == "request"]


NOW = at("11:00:00")


def joining(*sources: Source, **more: Any) -> Extensions:
    return Extensions(sources, now=lambda: NOW, **more)


def values(question: ForeignQuestion) -> list[tuple[str, str]]:
    return [(join.attribute, join.value) for join in question.joins]


def time_of_pod(question: ForeignQuestion) -> tuple[int, int]:
    """When the Pod was asked for, without what two clocks may differ."""
    [join] = [join for join in question.joins if join.value == uid(1)]
    return join.since + SLACK, join.until - SLACK


def shown(extensions: Extensions, **more: Any) -> Tree:
    return read_story(MemoryReader(spans()), POD, extensions=extensions, **more)


def foreign(trace: int, **attributes: str) -> ForeignSpan:
    told = {name.replace("__", "."): value for name, value in attributes.items()}
    told = {"audit-id" if name == "audit" else name: value for name, value in told.items()}
    start = at("10:00:01")
    return ForeignSpan(
        trace.to_bytes(16, "big"),
        trace.to_bytes(8, "big"),
        b"",
        "s",
        f"t{trace}",
        start,
        start,
        2,
        dict(told),
    )


def told(tree: Tree) -> list[str]:
    facts = [fact for node in shown_nodes(tree) for fact in facts_of(node.facts)]
    return sorted(fact.span.name for fact in facts if fact.span.source == "foreign")


def test_audit_ids_and_the_pods_own_uid_are_asked_for_in_their_time() -> None:
    source = Source()
    shown(joining(source))
    [question] = source.asked
    expected = [("audit-id", audit_id) for audit_id in audit_ids()] + [("k8s.pod.uid", uid(1))]
    assert sorted(values(question)) == sorted(expected)
    requests = [join for join in question.joins if join.attribute == "audit-id"]
    assert min(join.since for join in requests) == at("10:00:01") - SLACK
    assert at("10:00:06") + SLACK <= max(join.until for join in requests) < at("10:00:07") + SLACK
    assert time_of_pod(question) == (at("10:00:01"), NOW), "it goes on working when nothing is told of it"


def test_a_pod_that_is_gone_is_asked_for_until_then() -> None:
    source = Source()
    gone = weave(
        change(POD, "Added", "10:00:01", version="5", uid=uid(1)),
        change(POD, "Deleted", "10:00:09", version="6", uid=uid(1)),
    )
    read_story(MemoryReader(gone), POD, extensions=joining(source))
    assert time_of_pod(source.asked[0]) == (at("10:00:01"), at("10:00:09"))


def test_a_pod_that_was_there_before_anything_is_known_of_it_is_asked_for_from_where_the_time_begins() -> (
    None
):
    source = Source()
    seen = weave(change(POD, "Sighting", "10:00:05", version="5", uid=uid(1)))
    for since, begin in ((0, at("10:00:05")), (at("09:50:00"), at("09:50:00"))):
        read_story(MemoryReader(seen), POD, since=since, extensions=joining(source))
        assert time_of_pod(source.asked[-1]) == (begin, NOW)


def test_a_pod_is_asked_for_where_no_fact_lies_in_the_time() -> None:
    source = Source()
    shown(joining(source), since=at("10:10:00"), until=at("10:20:00"))
    assert values(source.asked[0]) == [("k8s.pod.uid", uid(1))]
    assert time_of_pod(source.asked[0]) == (at("10:10:00"), at("10:20:00"))


def test_what_a_running_pod_does_is_shown_long_after_the_last_fact() -> None:
    late = at("10:20:00")
    work = structs.replace(foreign(1, k8s__pod__uid=uid(1)), start=late, end=late + 5)
    for since, until in ((0, FOREVER), (at("10:10:00"), FOREVER), (at("10:10:00"), at("10:25:00"))):
        tree = shown(joining(Source(ForeignAnswer([work]))), since=since, until=until)
        assert told(tree) == ["t1"]
        assert tree.root.end == late + 5
    assert told(shown(joining(Source(ForeignAnswer([work]))), until=at("10:10:00"))) == []


def test_a_pod_is_shown_hours_after_its_last_window_if_it_works() -> None:
    late = at("14:00:00")
    work = structs.replace(foreign(1, k8s__pod__uid=uid(1)), start=late, end=late + 5)
    working = Extensions([Source(ForeignAnswer([work]))], now=lambda: at("15:00:00"))
    tree = shown(working, since=at("13:00:00"))
    assert [fact.span.name for fact in tree.root.facts] == ["t1"]
    assert (tree.root.start, tree.root.end) == (late, late + 5)
    for quiet in (Extensions([Source()]), None):
        with pytest.raises(UserError, match="nothing is stored about pods/default/web-1 in this time"):
            read_story(MemoryReader(spans()), POD, since=at("13:00:00"), extensions=quiet)


def test_a_pod_at_work_stays_under_its_owner_where_nothing_else_is_told() -> None:
    parent = key("replicasets", "web")
    late = at("10:20:00")
    work = structs.replace(foreign(1, k8s__pod__uid=uid(1)), start=late, end=late + 5)
    stored = weave(
        change(parent, "Added", "10:00:00", version="4", uid=uid(7)),
        change(POD, "Added", "10:00:01", version="5", uid=uid(1), owners=(owner(parent, uid(7)),)),
        change(
            key("pods", "idle"), "Added", "10:00:01", version="5", uid=uid(2), owners=(owner(parent, uid(7)),)
        ),
    )
    extensions = joining(Source(ForeignAnswer([work])))
    tree = read_story(MemoryReader(stored), parent, since=at("10:10:00"), extensions=extensions)
    assert [child.key for child in tree.root.children] == [POD]
    assert told(tree) == ["t1"]
    assert (tree.root.start, tree.root.end) == (late, late + 5)


def test_only_what_lies_in_the_time_asked_for_is_asked_for() -> None:
    source = Source()
    shown(Extensions([source]), since=at("10:00:04"), until=at("10:00:05"))
    assert [value for name, value in values(source.asked[0]) if name == "audit-id"] == [
        str(span.attributes[v.AUDIT_ID])
        for span in spans()
        if span.source == "request" and span.name == "patch"
    ]


def test_a_source_that_is_known_to_be_empty_is_not_asked() -> None:
    empty = Source(is_empty=True)
    assert told(shown(Extensions([empty]))) == []
    assert empty.asked == []


def test_who_may_not_see_all_gets_no_spans_of_programs_in_pods() -> None:
    first = audit_ids()[0]
    spans_told = [foreign(1, audit=first), foreign(2, k8s__pod__uid=uid(1))]
    source = Source(ForeignAnswer(spans_told))
    assert told(shown(Extensions([source]))) == ["t1", "t2"]
    assert told(shown(Extensions([source]).restricted())) == ["t1"]
    assert {name for name, _ in values(source.asked[-1])} == {"audit-id"}


def test_attributes_of_the_installation_join_too() -> None:
    rules = (*BUILTIN_RULES, JoinRule("request.id", "audit-id"))
    source = Source(ForeignAnswer([foreign(1, request__id=audit_ids()[0])]))
    tree = shown(Extensions([source], rules=rules))
    assert told(tree) == ["t1"]
    facts = [fact for fact in facts_of(tree.root.facts) if fact.span.source == "foreign"]
    assert "kubeweft.join" not in facts[0].span.attributes
    assert facts[0].text("trace_id") == (1).to_bytes(16, "big").hex()


def test_audit_ids_that_the_server_has_cut() -> None:
    long = "x" * 100
    cut = [
        msgspec.structs.replace(one, attributes={**one.attributes, v.AUDIT_ID: long})
        if one.source == "request" and one.name == "patch"
        else one
        for one in spans()
    ]
    source = Source(ForeignAnswer([foreign(1, audit=long[:LONGEST_AUDIT_ID])]))
    tree = read_story(MemoryReader(cut), POD, extensions=Extensions([source]))
    assert told(tree) == ["t1"]


def test_failures_and_what_was_not_asked_are_told_and_the_rest_is_shown() -> None:
    first = audit_ids()[0]
    good = Source(ForeignAnswer([foreign(1, audit=first)], more=2))
    slow = Source(ForeignAnswer([], unasked=3), name="slow")
    bad = Source(SourceFailed("it cannot be reached"), name="bad")
    tree = shown(Extensions([good, slow, bad]))
    assert told(tree) == ["t1"]
    assert [words_of(cut) for cut in tree.truncated] == [
        "2 more traces of other systems that belong to pods/default/web-1",
        "spans of other systems in slow",
        "spans of other systems in bad",
    ]
    assert "1 of 4" in tree.truncated[1].hint


def test_what_lies_too_far_back_for_a_source_is_told() -> None:
    tree = shown(joining(Source(ForeignAnswer([], before=at("10:00:00")), name="tempo")))
    [cut] = tree.truncated
    assert words_of(cut) == "spans of other systems in tempo"
    assert "those since 2026-11-21T10:00:00Z only" in cut.hint
    assert "--since" not in hint_in_viewers(cut.hint)


def test_more_values_than_are_asked_for_are_told() -> None:
    source = Source()
    tree = shown(Extensions([source], limits=ForeignLimits(values=2)))
    assert len(source.asked[0].joins) == 2
    assert "2 of 4" in tree.truncated[0].hint
