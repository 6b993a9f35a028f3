"""What a shell proposes: for ``KIND/NAME`` and ``KIND NAME`` what the store holds, the names of views and selections.

Nothing at all where these cannot be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import click
from click.shell_completion import CompletionItem

from kubeweft.app.showing import stored_kinds, stored_names, views_of
from kubeweft.cli import options
from kubeweft.display.tree.selection import Selection
from kubeweft.display.views.definitions import View, Views
from kubeweft.model.errors import NotNow, UserError

DEFAULT_STORE = "kubeweft.db"
MOST = 200


def complete_object(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kinds for the first word, names after a slash or for the second."""
    store = ctx.params.get("store") or os.environ.get("KUBEWEFT_STORE") or DEFAULT_STORE
    before = ctx.params.get("object_words") or ()
    kind, slash, beginning = incomplete.partition("/")
    if before:
        kind, slash, beginning = before[0], " ", incomplete
    try:
        options.existing_store(store)
        if not slash:
            return [CompletionItem(one) for one in stored_kinds(store) if one.startswith(incomplete.lower())]
        names = stored_names(
            store,
            kind=kind,
            beginning=beginning,
            namespace=ctx.params.get("namespace") or "",
            cluster=ctx.params.get("cluster") or "",
            most=MOST,
        )
    except (UserError, NotNow):
        return []
    return [CompletionItem(name if before else f"{kind}/{name}") for name in names]


def complete_view(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of views, each with what it shows."""
    return _named(ctx, incomplete, lambda known: known.views)


def complete_selection(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of selections, each with what is in it."""
    return _named(ctx, incomplete, lambda known: known.selections)


def _named(
    ctx: click.Context, incomplete: str, part: Callable[[Views], Mapping[str, View | Selection]]
) -> list[CompletionItem]:
    try:
        offered = part(views_of(ctx.params.get("views")))
    except UserError:
        return []
    return [CompletionItem(n, help=one.title) for n, one in offered.items() if n.startswith(incomplete)]
