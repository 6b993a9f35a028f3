"""Which objects one asks for around an object: what reading follows, by whatever name a view file gives it."""

from __future__ import annotations

from dataclasses import dataclass

from kubeweft.display.tree.trees import LinkedMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which objects are in a tree, around the one asked for.

    The tree begins at most ``up`` levels of parents above it, and ends at most ``down`` levels of children below it.
    With ``siblings`` the whole tree under its beginning is shown, else only the way to the object and what is below it.
    ``linked`` objects beside the tree count only if they have one of ``roles`` and ``classes`` (empty: any).
    """

    name: str
    number: int = 0
    title: str = ""
    up: int = 0
    down: int = 8
    siblings: bool = False
    linked: LinkedMode = "auto"
    roles: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()


OWNED = Selection(name="owned", title="The object and all its children.")
