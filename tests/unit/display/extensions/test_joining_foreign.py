"""What is asked for a tree, of whom, and what comes of the answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from kubeweft.display.extensions.joining import SLACK, Extensions, ForeignLimits
from kubeweft.display.extensions.sources import ForeignAnswer, ForeignQuestion, SourceFailed
from kubeweft.display.extensions.wanting import BUILTIN_RULES, LONGEST_AUDIT_ID, JoinRule
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import Tree, facts_of, shown_nodes
from kubeweft.display.words.left_out_wording import words_of
from kubeweft.model import vocabulary as v
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.spans import Span
from memory_reader import MemoryReader
from span_builders import at, change, key, request, uid, weave

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
    shown(Extensions([source]))
    [question] = source.asked
    expected = [("audit-id", audit_id) for audit_id in audit_ids()] + [("k8s.pod.uid", uid(1))]
    assert sorted(question.joins) == sorted(expected)
    assert question.since == at("10:00:01") - SLACK
    assert at("10:00:06") + SLACK <= question.until < at("10:00:07") + SLACK


def test_only_what_lies_in_the_time_asked_for_is_asked_for() -> None:
    source = Source()
    shown(Extensions([source]), since=at("10:00:04"), until=at("10:00:05"))
    assert [value for name, value in source.asked[0].joins if name == "audit-id"] == [
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
    assert {name for name, _ in source.asked[-1].joins} == {"audit-id"}


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


def test_more_values_than_are_asked_for_are_told() -> None:
    source = Source()
    tree = shown(Extensions([source], limits=ForeignLimits(values=2)))
    assert len(source.asked[0].joins) == 2
    assert "2 of 4" in tree.truncated[0].hint
