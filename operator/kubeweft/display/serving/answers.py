"""Answers to trace viewers out of a store: searches, and traces by the ID that a viewer got from one.

Every answer is read anew and nothing is remembered, so any number of servers give the same. A search gives smaller
trees than opening one of them does, so that twenty huge ones stay bounded; the trees say so. Of stored traces
(service ``stored``) one is given for each object and window, as it is.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from kubeweft.display.answering.addressing import Addresses
from kubeweft.display.answering.contract import DisplayedTrace, TraceQuestion, TraceSummary
from kubeweft.display.answering.finer_times import with_finer_times
from kubeweft.display.answering.flattening import UNBOUNDED, flatten
from kubeweft.display.reading.assembling import KindNames, assemble
from kubeweft.display.reading.levels import DEFAULT_LIMITS, Limits
from kubeweft.display.reading.resolving import KindLookup, Wanted, resolve
from kubeweft.display.serving import notices
from kubeweft.display.serving.access import tell_undecided
from kubeweft.display.serving.dependencies import TypeLink, type_links
from kubeweft.display.serving.looking import Looking
from kubeweft.display.serving.questions import Meaning, understand
from kubeweft.display.serving.ranges import Shown, shown_between, shown_by
from kubeweft.display.serving.stored import stored_trace
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import FOREVER, Node, Step, Tree
from kubeweft.display.views.definitions import View, Views
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import ObjectQuery, SpanReader

STORED = "stored"
DEFAULT_VIEW, DEFAULT_SELECTION = "tree", "owned"
MOST_TRACES = 1000
OPENED = dataclasses.replace(DEFAULT_LIMITS, objects=2500, spans=100_000)
FOUND = dataclasses.replace(DEFAULT_LIMITS, objects=200, spans=50_000)
LOOKING = 6.0  # seconds for which trees are looked into: Jaeger's UI gives up after ten


class KindTable(KindLookup, KindNames, Protocol):
    """What is known of kinds; :class:`kubeweft.model.kinds.Kinds` is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How large trees are: an ``opened`` one, and those of one search, which share ``search_spans``.

    A search that has to look into trees does so for so many seconds of ``looking``.
    """

    opened: Limits = OPENED
    found: Limits = FOUND
    search_spans: int = 20_000
    least_spans: int = 200
    looking: float = LOOKING


@dataclass(frozen=True, slots=True)
class _Service:
    """A view with a selection, as one of the services of a viewer."""

    view: View
    selection: Selection


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
        self._join = join
        self._kinds = kinds
        self._bounds = bounds or Bounds()
        self._views = {view.number: view for view in views.views.values()}
        self._selections = {selection.number: selection for selection in views.selections.values()}
        self._services = {
            service_name(view, selection): _Service(view, selection)
            for view in views.views.values()
            for selection in views.selections.values()
        }

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
        if question.service == STORED:
            return self._find_stored(question)
        service = self._service(question.service or DEFAULT_VIEW)
        meaning = understand(question, self._kinds)
        return iter(()) if meaning is None else self._find(service, meaning)

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
        try:
            tree = self._tree(shown, _Service(view, selection), self._bounds.opened, join=self._join)
        except UserError:  # nothing is stored in the part of it that was asked for
            return None
        return _displayed(shown, tree, _Service(view, selection), most=UNBOUNDED)

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
        key = resolve(self._reader, self._kinds, wanted)
        shown = self._shown(key, service, since=since, until=until)
        if shown is None:
            raise UserError(f"nothing is stored about {key} in this time: move the range of time")
        return shown.trace_id

    def dependencies(self, *, since: int, until: int) -> list[TypeLink]:
        """Which types of objects are linked with which."""
        return type_links(self._reader, self._kinds, since=since, until=until)

    def _service(self, name: str) -> _Service:
        known = self._services.get(name)
        if known is None:
            raise UserError(f"there is no service '{name}': choose one of {', '.join(self.services())}")
        return known

    def _find(self, service: _Service, meaning: Meaning) -> Iterator[DisplayedTrace]:
        left = min(meaning.query.limit, MOST_TRACES)
        if left <= 0:
            return
        most = max(self._bounds.search_spans // left, self._bounds.least_spans)
        widely = meaning.narrows or service.selection.siblings
        looking = Looking(self._reader, meaning.queries, widely=widely, seconds=self._bounds.looking)
        inside: set[ObjectKey] = set()
        for shown in self._candidates(service, meaning.query, looking, inside):
            trace = self._fitting(shown, service, meaning, inside, most=most)
            if trace is not None:
                yield trace
                left -= 1
                if left == 0:
                    return
            del trace  # no more than one tree in memory
        if looking.is_cut:
            yield looking.notice()

    def _fitting(
        self, shown: Shown, service: _Service, meaning: Meaning, inside: set[ObjectKey], *, most: int
    ) -> DisplayedTrace | None:
        try:
            tree = self._read(shown, service, self._bounds.found)
        except UserError:  # it was removed since it was found
            return None
        if service.selection.siblings:
            inside.update(_owned(tree.root))
        tree = self._arranged(tree, service)
        fits = not meaning.narrows or meaning.fits(with_finer_times(tree))
        return _displayed(shown, tree, service, most=most) if fits else None

    def _candidates(
        self, service: _Service, query: ObjectQuery, looking: Looking, inside: set[ObjectKey]
    ) -> Iterator[Shown]:
        """What may be shown, by the objects found.

        Where a tree is shown from its root, each root comes once, and nothing that was ``inside`` of a tree before.
        """
        for found in looking:
            key = found.key
            if service.selection.siblings:
                if key in inside:
                    continue
                way = self._way_up(key, service.selection, query)
                is_known = way[0] in inside
                inside.update(way)
                if is_known:
                    continue
                key = way[0]
            shown = self._shown(key, service, since=query.since, until=query.until)
            if shown is not None:
                yield shown

    def _way_up(self, key: ObjectKey, selection: Selection, query: ObjectQuery) -> list[ObjectKey]:
        """From where the tree with an object begins to the object."""
        way_up = dataclasses.replace(selection, down=0, siblings=False, linked="none")
        try:
            tree = assemble(self._reader, key, since=query.since, until=query.until, selection=way_up)
        except UserError:
            return [key]
        return [*_owned(tree.root)]

    def _tree(self, shown: Shown, service: _Service, limits: Limits, *, join: Step | None = None) -> Tree:
        tree = self._read(shown, service, limits)
        return self._arranged(tree if join is None else join(tree), service)

    def _read(self, shown: Shown, service: _Service, limits: Limits) -> Tree:
        return assemble(
            self._reader,
            shown.key,
            selection=service.selection,
            since=shown.since,
            until=shown.until,
            limits=limits,
            kinds=self._kinds,
        )

    def _arranged(self, tree: Tree, service: _Service) -> Tree:
        return tell_undecided(service.view.arrange(tree), self._reader)

    def _shown(self, key: ObjectKey, service: _Service, *, since: int, until: int) -> Shown | None:
        return shown_between(
            self._reader, key, view=service.view, selection=service.selection, since=since, until=until
        )

    def _find_stored(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
        meaning = understand(question, self._kinds)
        return iter(()) if meaning is None else self._stored(meaning, min(question.limit, MOST_TRACES))

    def _stored(self, meaning: Meaning, limit: int) -> Iterator[DisplayedTrace]:
        query = dataclasses.replace(meaning.query, limit=limit)
        looking = Looking(self._reader, [query], widely=meaning.narrows, seconds=self._bounds.looking)
        for found in looking if limit > 0 else ():
            for window in reversed(self._reader.windows_of(found.key, since=query.since, until=query.until)):
                trace = stored_trace(self._reader, window, kinds=self._kinds)
                if meaning.fits(trace.tree):
                    yield trace
                    limit -= 1
                    if limit == 0:
                        return
        if looking.is_cut and limit > 0:
            yield looking.notice()

    def _open_stored(self, trace_id: bytes) -> DisplayedTrace | None:
        window = self._reader.window_of(trace_id)
        return None if window is None else stored_trace(self._reader, window, kinds=self._kinds)


def service_name(view: View, selection: Selection) -> str:
    """``tree``, ``tree ancestors``: how a viewer names a view with a selection."""
    return view.name if selection.name == DEFAULT_SELECTION else f"{view.name} {selection.name}"


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


def _owned(root: Node) -> Iterator[ObjectKey]:
    """An object and all that stand under it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node.key
        waiting += node.children


def _displayed(shown: Shown, tree: Tree, service: _Service, *, most: int) -> DisplayedTrace:
    addresses = Addresses(
        view=service.view.number, selection=service.selection.number, since=shown.since, until=shown.until
    )
    spans = flatten(tree, addresses, stored=shown.stored, most=most)
    return DisplayedTrace(shown.trace_id, tree, spans)
