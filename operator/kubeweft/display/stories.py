"""The story of one object: what is stored, assembled, and arranged in a view."""

from __future__ import annotations

from kubeweft.display.extensions.joining import Extensions
from kubeweft.display.reading.assembling import KindNames, assemble
from kubeweft.display.reading.levels import DEFAULT_LIMITS, Limits
from kubeweft.display.tree.selection import OWNED, Selection
from kubeweft.display.tree.trees import FOREVER, Tree
from kubeweft.display.views.definitions import View
from kubeweft.display.views.loading import builtin_views
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import SpanReader


def read_story(
    reader: SpanReader,
    key: ObjectKey,
    *,
    view: View | None = None,
    selection: Selection = OWNED,
    since: int = 0,
    until: int = FOREVER,
    limits: Limits = DEFAULT_LIMITS,
    kinds: KindNames | None = None,
    extensions: Extensions | None = None,
) -> Tree:
    """The tree of one object in a view (``tree`` unless told); raises ``UserError`` where nothing is stored of it.

    With ``extensions`` the spans of other tracing systems that belong to it are fetched from there.
    """
    tree = assemble(reader, key, selection=selection, since=since, until=until, limits=limits, kinds=kinds)
    if extensions is not None:
        tree = extensions.join(tree)
    return (view or builtin_views().view("tree")).arrange(tree)
