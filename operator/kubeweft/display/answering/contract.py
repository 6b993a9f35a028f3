"""What trace viewers ask, answered: the same for every protocol in ``serving``.

Service is the view and selection, operation the cluster, tags select objects. All of it is synchronous and may be
called from any thread; an answer is streamed, so that no more than one tree is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from kubeweft.display.tree.trees import FOREVER, Tree
from kubeweft.model.spans import Attributes, SpanLink


class DisplayedSpan(NamedTuple):
    """One span as a viewer gets it: IDs and times as displayed, in the words of the view.

    ``service`` colours it in Jaeger; ``links`` name displayed traces, so that a viewer can follow them.
    """

    span_id: bytes
    parent_span_id: bytes
    service: str
    operation: str
    start: int
    end: int
    attributes: Attributes
    links: tuple[SpanLink, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class DisplayedTrace:
    """One answer: a tree under the ID by which it can be opened again."""

    trace_id: bytes
    tree: Tree
    spans: Iterator[DisplayedSpan]


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line of a search result. ``services`` are how many spans each has, and how many of them failed."""

    trace_id: bytes
    service: str
    operation: str
    start: int
    end: int
    spans: int
    services: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceQuestion:
    """A search. Empty fields do not narrow; times and durations are nanoseconds.

    ``tags`` are those of :data:`TAGS`, or any attribute of a span in the tree; values are text, as viewers send them.
    """

    service: str = ""
    operation: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    since: int = 0
    until: int = FOREVER
    shortest: int = 0
    longest: int = FOREVER
    limit: int = 20


TAGS = ("cluster", "group", "resource", "kind", "namespace", "name", "text", "error")
"""What a search can select objects by; attribute names of the vocabulary that mean the same are taken too."""


class Answers(Protocol):
    """What a protocol needs. Where a question is wrong, ``UserError`` says so in words for the one who asked."""

    def services(self) -> list[str]:
        """All views, alone and with each selection: ``tree``, ``tree ancestors`` …"""

    def operations(self, service: str) -> list[str]:
        """The clusters that have spans."""

    def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
        """The trees of the objects found, latest first, each once; last a notice where not all objects were looked at."""

    def summaries(self, question: TraceQuestion) -> Iterator[TraceSummary]:
        """The same without their spans."""

    def open(self, trace_id: bytes, *, since: int = 0, until: int = FOREVER) -> DisplayedTrace | None:
        """The trace of an ID, displayed or stored; None where there is none."""

    def locate(
        self,
        *,
        view: str = "tree",
        selection: str = "",
        cluster: str = "",
        resource: str,
        namespace: str = "",
        name: str,
        since: int = 0,
        until: int = FOREVER,
    ) -> bytes:
        """The ID under which an object is shown; ``UserError`` where nothing, or more than one object, fits."""
