"""One tree for a trace viewer: read within bounds, arranged in a view, and named by the ID it is shown under."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final, Protocol

from kubeweft.display.answering.addressing import Addresses
from kubeweft.display.answering.contract import DisplayedTrace
from kubeweft.display.answering.flattening import flatten
from kubeweft.display.reading.assembling import KindNames, NothingStored, assemble
from kubeweft.display.reading.levels import DEFAULT_LIMITS, Limits
from kubeweft.display.reading.resolving import KindLookup
from kubeweft.display.serving.access import tell_undecided
from kubeweft.display.serving.ranges import Shown, shown_between
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import Node, Tree
from kubeweft.display.views.definitions import View
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import SpanReader

DEFAULT_SELECTION: Final = "owned"
OPENED: Final = dataclasses.replace(DEFAULT_LIMITS, objects=2500, spans=100_000)
FOUND: Final = dataclasses.replace(DEFAULT_LIMITS, objects=200, spans=50_000)
LOOKING: Final = 6.0  # seconds for which trees are looked into: Jaeger's UI gives up after ten


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
class Service:
    """A view with a selection, as one of the services of a viewer."""

    view: View
    selection: Selection

    @property
    def name(self) -> str:
        """``tree``, ``tree ancestors``: how a viewer names it."""
        is_default = self.selection.name == DEFAULT_SELECTION
        return self.view.name if is_default else f"{self.view.name} {self.selection.name}"


@dataclass(frozen=True, slots=True)
class Trees:
    """The trees of one reader, as services show them."""

    reader: SpanReader
    kinds: KindTable

    def read(self, shown: Shown, service: Service, limits: Limits) -> Tree:
        """What is stored, not arranged; raises ``NothingStored`` where there is nothing."""
        return assemble(
            self.reader,
            shown.key,
            selection=service.selection,
            since=shown.since,
            until=shown.until,
            limits=limits,
            kinds=self.kinds,
        )

    def way_up(
        self, key: ObjectKey, selection: Selection, limits: Limits, *, since: int, until: int
    ) -> list[ObjectKey]:
        """From where the tree with an object begins to the object."""
        only_up = dataclasses.replace(selection, down=0, siblings=False, linked="none")
        few = dataclasses.replace(limits, around=0)
        try:
            tree = assemble(self.reader, key, since=since, until=until, selection=only_up, limits=few)
        except NothingStored:
            return [key]
        return keys_of(tree.root)

    def arranged(self, tree: Tree, service: Service) -> Tree:
        """In the view of a service, with what could not be decided about access told."""
        return tell_undecided(service.view.arrange(tree), self.reader)

    def shown(self, key: ObjectKey, service: Service, *, since: int, until: int) -> Shown | None:
        """Which windows of an object are shown, and under which ID; None where nothing is stored."""
        return shown_between(
            self.reader, key, view=service.view, selection=service.selection, since=since, until=until
        )


def displayed(shown: Shown, tree: Tree, service: Service, *, most: int) -> DisplayedTrace:
    """A tree as at most so many spans."""
    addresses = Addresses(
        view=service.view.number, selection=service.selection.number, since=shown.since, until=shown.until
    )
    spans = flatten(tree, addresses, stored=shown.stored, most=most)
    return DisplayedTrace(shown.trace_id, tree, spans)


def keys_of(root: Node) -> list[ObjectKey]:
    """An object and all that stand under it, each before those under it."""
    keys: list[ObjectKey] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        keys.append(node.key)
        waiting += node.children
    return keys
