"""What a view and a selection are, once they have been read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import Step, Tree
from kubeweft.model.errors import UserError

Named = TypeVar("Named")

HIGHEST_VIEW = 31  # views and selections share one byte of a trace ID
HIGHEST_SELECTION = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One way to arrange a tree: its steps in order. ``number`` (1 to 31) goes into the IDs of displayed traces."""

    name: str
    number: int
    title: str = ""
    steps: tuple[Step, ...] = ()

    def arrange(self, tree: Tree) -> Tree:
        """The tree after all steps."""
        for step in self.steps:
            tree = step(tree)
        return tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """All views and selections of an installation, by name, in the order in which they are offered."""

    views: Mapping[str, View]
    selections: Mapping[str, Selection]

    def view(self, name: str) -> View:
        """A view by name; raises ``UserError`` that tells which there are."""
        return _named(self.views, name, "view")

    def selection(self, name: str) -> Selection:
        """A selection by name; raises ``UserError`` that tells which there are."""
        return _named(self.selections, name, "selection")


def _named(known: Mapping[str, Named], name: str, what: str) -> Named:
    if name in known:
        return known[name]
    raise UserError(f"there is no {what} '{name}': choose one of {', '.join(known)}")
