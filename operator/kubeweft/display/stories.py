"""The story of one object: what is stored, assembled, and arranged in a view."""

from __future__ import annotations

import dataclasses

from kubeweft.display.extensions.joining import Extensions
from kubeweft.display.reading.assembling import KindNames, NothingStored, assemble
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

    def assembled(begin: int) -> Tree:
        return assemble(
            reader, key, selection=selection, since=begin, until=until, limits=limits, kinds=kinds
        )

    try:
        tree = assembled(since)
        if extensions is not None:
            tree = extensions.join(tree)
    except NothingStored:
        known = reader.windows_of(key, since=0, until=since) if extensions is not None else ()
        if extensions is None or not known or known[-1].start >= since:
            raise
        # Nothing has happened to it for a while; that its program was at work all the same only other systems tell.
        tree = extensions.join(dataclasses.replace(assembled(known[-1].start), since=since))
        if not tree.foreign:
            raise
    return (view or builtin_views().view("tree")).arrange(tree)
