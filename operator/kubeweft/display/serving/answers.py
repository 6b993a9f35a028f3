"""Answers to trace viewers out of a store: searches, and traces by the ID that a viewer got from one.

Every answer is read anew and nothing is remembered, so any number of servers give the same. A search gives smaller
trees than opening one of them does, so that twenty huge ones stay bounded; the trees say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from kubeweft.display.answering.contract import DisplayedTrace, TraceQuestion, TraceSummary
from kubeweft.display.answering.flattening import UNBOUNDED
from kubeweft.display.reading.assembling import NothingStored
from kubeweft.display.reading.resolving import Hints, Wanted, resolve
from kubeweft.display.serving import notices
from kubeweft.display.serving.dependencies import TypeLink, type_links
from kubeweft.display.serving.questions import understand
from kubeweft.display.serving.ranges import shown_by
from kubeweft.display.serving.searches import TreeSearch, find_stored
from kubeweft.display.serving.stored import stored_trace
from kubeweft.display.serving.trees import DEFAULT_SELECTION, Bounds, KindTable, Service, Trees, displayed
from kubeweft.display.tree.trees import FOREVER, Step
from kubeweft.display.views.definitions import Views
from kubeweft.model.errors import UserError
from kubeweft.store.interfaces import SpanReader

STORED: Final = "stored"
DEFAULT_VIEW: Final = "tree"
PARAMETERS: Final = Hints("namespace=", "cluster=", "a search in the UI lists what there is")


class StoryAnswers:
    """Answers from one reader, for whoever may see what that reader shows."""

    def __init__(
        self,
        reader: SpanReader,
        *,
        views: Views,
        kinds: KindTable,
        bounds: Bounds | None = None,
        join: Step | None = None,
    ) -> None:
        """``views`` are those of the installation.

        ``join`` puts spans of other systems into a tree before its view arranges it; only of what is opened, since it
        may ask those systems.
        """
        self._reader = reader
        self._trees = Trees(reader, kinds)
        self._join = join
        self._kinds = kinds
        self._bounds = bounds or Bounds()
        self._views = {view.number: view for view in views.views.values()}
        self._selections = {selection.number: selection for selection in views.selections.values()}
        services = [Service(v, s) for v in views.views.values() for s in views.selections.values()]
        self._services = {service.name: service for service in services}

    def services(self) -> list[str]:
        """All views, alone and with each selection, and ``stored``."""
        return [*self._services, STORED]

    def operations(self, service: str) -> list[str]:
        """The clusters that have spans; none for a service that there is not."""
        return self._reader.clusters() if service in self._services or service in ("", STORED) else []

    def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
        """The trees of the objects found, latest first, each once; last a notice where not all objects were looked at.

        Raises ``UserError`` where the question is wrong.
        """
        is_stored = question.service == STORED
        service = self._service(DEFAULT_VIEW if is_stored else question.service or DEFAULT_VIEW)
        meaning = understand(question, self._kinds)
        if meaning is None:
            return iter(())
        if is_stored:
            return find_stored(self._trees, meaning, self._bounds)
        return iter(TreeSearch(self._trees, service, meaning, self._bounds))

    def summaries(self, question: TraceQuestion) -> Iterator[TraceSummary]:
        """The same without their spans."""
        return map(summary_of, self.find(question))

    def open(self, trace_id: bytes, *, since: int = 0, until: int = FOREVER) -> DisplayedTrace | None:
        """The trace of an ID, displayed or stored; None where there is none."""
        if trace_id == notices.NOTICE_ID:
            return notices.opened_notice()
        found = shown_by(self._reader, trace_id)
        if found is None:
            return self._open_stored(trace_id)
        asked, shown = found
        view, selection = self._views.get(asked.view), self._selections.get(asked.selection)
        if view is None or selection is None:  # shown before the installation changed its views
            return None
        shown = shown._replace(since=max(shown.since, since), until=min(shown.until, until))
        service = Service(view, selection)
        try:
            tree = self._trees.read(shown, service, self._bounds.opened)
        except NothingStored:  # in the part of it that was asked for
            return None
        tree = tree if self._join is None else self._join(tree)
        return displayed(shown, self._trees.arranged(tree, service), service, most=UNBOUNDED)

    def locate(
        self,
        *,
        view: str = DEFAULT_VIEW,
        selection: str = "",
        cluster: str = "",
        resource: str,
        namespace: str = "",
        name: str,
        since: int = 0,
        until: int = FOREVER,
    ) -> bytes:
        """The ID under which an object is shown; ``UserError`` where nothing, or more than one object, fits."""
        service = self._service(f"{view} {selection}" if selection not in ("", DEFAULT_SELECTION) else view)
        wanted = Wanted(kind=resource, name=name, namespace=namespace, cluster=cluster)
        key = resolve(self._reader, self._kinds, wanted, hints=PARAMETERS)
        shown = self._trees.shown(key, service, since=since, until=until)
        if shown is None:
            raise UserError(f"nothing is stored about {key} in this time: move the range of time")
        return shown.trace_id

    def dependencies(self, *, since: int, until: int) -> list[TypeLink]:
        """Which types of objects are linked with which."""
        return type_links(self._reader, self._kinds, since=since, until=until)

    def _service(self, name: str) -> Service:
        known = self._services.get(name)
        if known is None:
            raise UserError(f"there is no service '{name}': choose one of {', '.join(self.services())}")
        return known

    def _open_stored(self, trace_id: bytes) -> DisplayedTrace | None:
        window = self._reader.window_of(trace_id)
        return None if window is None else stored_trace(self._reader, window, kinds=self._kinds)


def summary_of(trace: DisplayedTrace) -> TraceSummary:
    """A trace in one line; its spans are used up by that."""
    root = next(trace.spans)
    spans: Counter[str] = Counter({root.service: 1})
    failed: Counter[str] = Counter({root.service: int(bool(root.error))})
    start, end = root.start, root.end
    for span in trace.spans:
        spans[span.service] += 1
        failed[span.service] += int(bool(span.error))
        start, end = min(start, span.start), max(end, span.end)
    services = {service: (spans[service], failed[service]) for service in spans}
    return TraceSummary(trace.trace_id, root.service, root.operation, start, end, spans.total(), services)
