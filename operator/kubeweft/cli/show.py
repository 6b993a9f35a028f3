"""``kubeweft show``: the story of one object and its children, or its manifest at a moment."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click
from click.core import ParameterSource

from kubeweft.app.object_limits import SHOWN
from kubeweft.app.showing import DEFAULT_VIEW, Question, show_manifest, show_story
from kubeweft.cli import options
from kubeweft.cli.completing import complete_object, complete_selection, complete_view
from kubeweft.display.tree.trees import LinkedMode
from kubeweft.model.errors import UserError

OF_STORIES = ("since", "until", "view", "select", "linked", "objects", "views", "extensions")


@click.command(short_help="The story of one object and what it owns.")
@click.argument("object_words", nargs=-1, required=True, metavar="KIND/NAME", shell_complete=complete_object)
@options.namespace
@options.cluster
@options.store
@options.since
@options.until
@click.option("--at", default="", help="The manifest as it was at this moment (-o yaml or json).")
@click.option(
    "--view",
    default=DEFAULT_VIEW,
    show_default=True,
    shell_complete=complete_view,
    help="How it is arranged.",
)
@click.option(
    "--select",
    default="",
    shell_complete=complete_selection,
    help="Which objects around it: the name of a selection, and after commas up=N, down=N, siblings, linked=…,"
    " role=…, class=…. (`kubeweft views` lists views and selections.)",
)
@click.option(
    "--linked",
    type=click.Choice(get_args(LinkedMode)),
    default=None,
    help="Objects that are linked but no children: not at all, their names, or also what happened to them"
    " (auto: to those to which something happened that may matter here). Default: what the selection says.",
)
@options.objects(SHOWN, "So many objects at most are shown")
@options.views
@options.extensions
@options.local_time
@options.output("text", "json", "yaml")
@click.pass_context
def show(
    ctx: click.Context,
    object_words: tuple[str, ...],
    namespace: str,
    cluster: str,
    store: str,
    since: str,
    until: str,
    at: str,
    view: str,
    select: str,
    linked: LinkedMode | None,
    objects: int,
    views: Path | None,
    extensions: Path | None,
    local: bool,
    output: str,
) -> None:
    """Show what happened to an object, to its children and to what they are linked with, on one time axis.

    Children are the objects it owns, and those that link rules make its children, also in other clusters.

    \b
    kubeweft show deployment/demo -n default
    kubeweft show deploy demo -n default --since 2h --until 30m
    kubeweft show pod/demo-6d4b75cb6d-x2x5p -n default -o json
    kubeweft show deployment/demo -n default --view timeline --select owned,down=1
    kubeweft show pod/demo-6d4b75cb6d-x2x5p -n default --select ancestors,linked=full
    kubeweft show deployment/demo -n default --at 10:32 -o yaml
    """
    if at or output == "yaml":
        _check_alone(ctx, "--at" if at else "-o yaml")
        at = at or "now"
        output = "yaml" if output == "text" else output
    question = Question(
        words=object_words,
        namespace=namespace,
        cluster=cluster,
        since=since,
        until=until,
        at=at,
        local=local,
        view=view,
        select=select,
        linked=linked,
        objects=objects,
        views=views,
        extensions=extensions,
    )
    place = options.existing_store(store)
    if at:
        show_manifest(place, question, form=output)
    else:
        show_story(place, question, form=output, console=options.standard_output())


def _check_alone(ctx: click.Context, asked: str) -> None:
    """Raise ``UserError`` where somebody asks for a manifest, and with what only a story has."""
    given = [name for name in OF_STORIES if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        flags = " and ".join(f"--{name}" for name in given)
        raise UserError(
            f"{asked} writes the manifest of one moment, for which {flags} {'say' if len(given) > 1 else 'says'}"
            " nothing: leave one or the other out"
        )
