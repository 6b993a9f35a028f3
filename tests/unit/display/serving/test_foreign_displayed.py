"""Spans of other systems in what trace viewers get."""

from __future__ import annotations

from kubeweft.display.answering.contract import DisplayedSpan, TraceQuestion
from kubeweft.display.serving.answers import StoryAnswers
from kubeweft.display.tree.trees import Tree
from kubeweft.display.views.loading import builtin_views
from kubeweft.model import vocabulary as v
from kubeweft.model.foreign import ForeignSpan
from kubeweft.model.kinds import Kinds
from memory_reader import MemoryReader
from span_builders import at, key, request, uid, weave

POD = key("pods", "web-1")
SPANS = weave(request(POD, "create", "10:00:01", uid=uid(1), version="5"))
AUDIT_ID = next(str(span.attributes[v.AUDIT_ID]) for span in SPANS if span.source == "request")


def with_foreign(tree: Tree) -> Tree:
    def span(number: int, parent: bytes, service: str, name: str, **told: str) -> ForeignSpan:
        start = at("10:00:01") + number
        return ForeignSpan(
            b"t" * 16, bytes([number]) * 8, parent, service, name, start, start + 5, 2, dict(told)
        )

    entry = span(
        1, b"", "apiserver", "POST /pods", **{"audit-id": AUDIT_ID, "k8s.namespace.name": "elsewhere"}
    )
    below = span(2, entry.span_id, "etcd", "Txn")
    return Tree(root=tree.root, kinds=tree.kinds, foreign=(entry, below))


def opened(view: str) -> dict[str, DisplayedSpan]:
    answers = StoryAnswers(MemoryReader(SPANS), views=builtin_views(), kinds=Kinds(), join=with_foreign)
    found = answers.open(answers.locate(view=view, resource="pods", namespace="default", name="web-1"))
    assert found is not None
    spans = list(found.spans)
    assert len({span.span_id for span in spans}) == len(spans)
    return {span.operation: span for span in spans}


def test_components_are_told_apart_by_their_service() -> None:
    spans = opened("tree")
    entry = next(span for words, span in spans.items() if words.startswith("POST /pods"))
    below = next(span for words, span in spans.items() if words.startswith("Txn"))
    asked = next(span for span in spans.values() if span.service == "request")
    assert (entry.service, below.service) == ("apiserver", "etcd")
    assert (entry.parent_span_id, below.parent_span_id) == (asked.span_id, entry.span_id)
    assert entry.attributes["trace_id"] == (b"t" * 16).hex()
    assert entry.attributes["k8s.namespace.name"] == "default", "what others say never tells whose a span is"


def test_a_search_does_not_ask_others() -> None:
    def fail(tree: Tree) -> Tree:
        raise AssertionError("asked")

    answers = StoryAnswers(MemoryReader(SPANS), views=builtin_views(), kinds=Kinds(), join=fail)
    assert [list(trace.spans) for trace in answers.find(TraceQuestion(service="tree"))]
