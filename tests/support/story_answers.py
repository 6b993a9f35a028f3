"""A small story in a store in memory, and the answers that a trace viewer gets from it.

A Deployment with a ReplicaSet and a Pod that runs on a Node, over two windows: a request that failed, an Event, a change
in the second window.
"""

from __future__ import annotations

import dataclasses

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace
from kubeweft.display.serving.answers import StoryAnswers
from kubeweft.display.serving.trees import Bounds
from kubeweft.display.views.loading import builtin_views
from kubeweft.model.kinds import Kinds
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import SpanReader
from memory_reader import MemoryReader
from span_builders import change, event, key, owner, related, request, to, uid, weave

DEPLOYMENT = key("deployments", "demo")
REPLICA_SET = key("replicasets", "demo-1")
POD = key("pods", "demo-1-a")
NODE = key("nodes", "n1")


def story() -> list[Span]:
    """The spans, as the weaver makes them."""
    owned_by_set = (owner(REPLICA_SET, uid(2)),)
    return weave(
        change(DEPLOYMENT, "Added", "10:00:00", uid=uid(1), version="1"),
        request(DEPLOYMENT, "create", "10:00:00", uid=uid(1), version="1", code=201),
        request(
            DEPLOYMENT, "update", "10:00:01", code=409, user="jane", reason="Conflict", message="modified"
        ),
        change(
            REPLICA_SET,
            "Added",
            "10:00:01",
            uid=uid(2),
            version="2",
            owners=(owner(DEPLOYMENT, uid(1)),),
        ),
        change(POD, "Added", "10:00:02", uid=uid(3), version="3", owners=owned_by_set),
        event(POD, "Scheduled", "10:00:03", message="assigned to n1"),
        change(
            POD,
            "Modified",
            "10:40:02",
            uid=uid(3),
            version="5",
            old="3",
            owners=owned_by_set,
            words=("status.phase Pending → Running",),
        ),
        related(POD, to(NODE, "Peer", "RunsOn")),
        event(NODE, "Ready", "10:00:03"),
    )


def answers_of(spans: list[Span] | SpanReader, *, bounds: Bounds | None = None) -> StoryAnswers:
    """Answers from these spans, or from a reader, in the shipped views."""
    reader = MemoryReader(spans) if isinstance(spans, list) else spans
    return StoryAnswers(reader, views=builtin_views(), kinds=Kinds(), bounds=bounds)


def small(*, objects: int = 200, search_spans: int = 20_000, least_spans: int = 200) -> Bounds:
    """Bounds that a test can reach."""
    usual = Bounds()
    return dataclasses.replace(
        usual,
        found=dataclasses.replace(usual.found, objects=objects),
        search_spans=search_spans,
        least_spans=least_spans,
    )


def spans_by_operation(trace: DisplayedTrace) -> dict[str, DisplayedSpan]:
    """The spans of a trace, which are used up by that."""
    return {span.operation: span for span in trace.spans}
