"""A store in memory for the display: the reading half of the store seam, and how often it was asked."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from kubeweft.display.stories import read_story
from kubeweft.display.tree.selection import OWNED
from kubeweft.display.tree.trees import Fact, LinkedMode, Node, Tree
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS, window_start
from kubeweft.store.interfaces import FoundObject, ObjectQuery, Window, WindowQuestion


class MemoryReader:
    """Answers like the embedded store; a span already known is not stored twice."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._traces: dict[bytes, dict[bytes, Span]] = {}
        for span in spans:
            self._traces.setdefault(span.trace_id, {}).setdefault(span.span_id, span)
        self._windows = [_window(list(trace.values())) for trace in self._traces.values()]
        self.calls: Counter[str] = Counter()
        self.questions = 0  # for the windows of how many objects it was asked, all calls together

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        self.calls["spans_of"] += 1
        return [span for trace in dict.fromkeys(trace_ids) for span in self._traces.get(trace, {}).values()]

    def windows_of(self, key: ObjectKey, *, since: int, until: int) -> list[Window]:
        self.calls["windows_of"] += 1
        return self._windows_of(key, since=since, until=until)

    def _windows_of(self, key: ObjectKey, *, since: int, until: int) -> list[Window]:
        own = [w for w in self._windows if w.key == key and self._end(w) >= since and w.start <= until]
        return sorted(own, key=lambda w: w.start)

    def windows_of_many(self, questions: Sequence[WindowQuestion]) -> list[list[Window]]:
        self.calls["windows_of_many"] += 1
        self.questions += len(questions)
        return [self._windows_of(key, since=since, until=until) for key, since, until in questions]

    def window_of(self, trace_id: bytes) -> Window | None:
        self.calls["window_of"] += 1
        return next((w for w in self._windows if w.trace_id == trace_id), None)

    def nearest_window(self, key: ObjectKey, *, before: int) -> Window | None:
        self.calls["nearest_window"] += 1
        own = [w for w in self._windows if w.key == key and w.start <= before]
        return max(own, key=lambda w: w.start, default=None)

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        self.calls["find_objects"] += 1
        keys = {w.key: None for w in self._windows if _fits(w.key, query)}
        found = [self._found(key) for key in keys if self._tells(key, query.text.casefold())]
        inside = [f for f in found if f.last >= query.since and f.first <= query.until]
        return sorted(inside, key=lambda f: (-f.last, f.key))[: query.limit + 1]

    def _tells(self, key: ObjectKey, text: str) -> bool:
        """Whether a text is in the name, or in anything that is told of the object."""
        spans = [s for w in self._windows if w.key == key for s in self._traces[w.trace_id].values()]
        told = [
            key.name,
            *(str(value) for s in spans for value in s.attributes.values() if s.source != "link"),
        ]
        return any(text in one.casefold() for one in told)

    def clusters(self) -> list[str]:
        self.calls["clusters"] += 1
        return sorted({w.key.cluster for w in self._windows})

    def _end(self, window: Window) -> int:
        """The last moment of a window: it lasts as long as its longest span."""
        spans = self._traces[window.trace_id].values()
        return max([window.start + window.length - 1, *(s.end for s in spans if s.source != "object")])

    def _found(self, key: ObjectKey) -> FoundObject:
        own = [w for w in self._windows if w.key == key]
        spans = [s for w in own for s in self._traces[w.trace_id].values() if s.source != "object"]
        kind = next((str(s.attributes[v.KIND]) for s in spans if v.KIND in s.attributes), "")
        starts, ends = [s.start for s in spans] or [0], [s.end for s in spans] or [0]
        return FoundObject(key, kind, len(own), min(starts), max(ends))


def _window(spans: list[Span]) -> Window:
    first = min(spans, key=lambda span: span.source != "object")
    seconds = first.attributes.get(v.WINDOW_SECONDS)
    length = int(seconds) * NANOSECONDS if seconds else DEFAULT_WINDOW
    active = any(span.source not in ("object", "link") for span in spans)
    return Window(first.key, window_start(first.start, length), length, first.trace_id, active)


def _fits(key: ObjectKey, query: ObjectQuery) -> bool:
    resources = query.resources or ((None, key.resource),)
    return (
        query.cluster in ("", key.cluster)
        and query.namespace in ("", key.namespace)
        and any(group in (None, key.group) and name == key.resource for group, name in resources)
        and fnmatch.fnmatchcase(key.name, query.name or "*")
    )


def story_of(key: ObjectKey, spans: Iterable[Span], *, linked: LinkedMode = "auto", **asked: Any) -> Tree:
    """The readable tree of an object among these spans; ``asked`` as for ``read_story``."""
    asked.setdefault("selection", dataclasses.replace(OWNED, linked=linked))
    return read_story(MemoryReader(spans), key, **asked)


def outline(node: Node) -> dict[str, Any]:
    """The names in a tree: of facts (with those under them) and of owned objects, for comparing at a glance."""
    return {
        "facts": [_names(fact) for fact in node.facts],
        "links": [link.span.name for link in node.links],
        "children": {child.key.name: outline(child) for child in node.children},
    }


def _names(fact: Fact) -> str | tuple[str, list[Any]]:
    below = [_names(child) for child in fact.children]
    return (fact.span.name, below) if below else fact.span.name
