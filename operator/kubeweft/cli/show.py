"""``kubeweft show``: the story of one object and its children, or its manifest at a moment."""

from __future__ import annotations

from typing import get_args

import click

from kubeweft.app.showing import Question, show_manifest, show_story
from kubeweft.cli import options
from kubeweft.display.trees import LinkedMode


@click.command(short_help="The story of one object and what it owns.")
@click.argument("object_words", nargs=-1, required=True, metavar="KIND/NAME")
@options.namespace
@options.cluster
@options.store
@options.since
@options.until
@click.option("--at", default="", help="The manifest as it was at this moment (-o yaml or json).")
@click.option(
    "--linked",
    type=click.Choice(get_args(LinkedMode)),
    default="auto",
    show_default=True,
    help="Objects that are linked but no children: not at all, their names, or also what happened to them"
    " (auto: to those to which something happened that may matter here).",
)
@options.local_time
@options.output("text", "json", "yaml")
def show(
    object_words: tuple[str, ...],
    namespace: str,
    cluster: str,
    store: str,
    since: str,
    until: str,
    at: str,
    linked: LinkedMode,
    local: bool,
    output: str,
) -> None:
    """Show what happened to an object, to its children and to what they are linked with, on one time axis.

    Children are the objects it owns, and those that link rules make its children, also in other clusters.

    \b
    kubeweft show deployment/demo -n default
    kubeweft show deploy demo -n default --since 2h --until 30m
    kubeweft show pod/demo-6d4b75cb6d-x2x5p -n default -o json
    kubeweft show deployment/demo -n default --linked full
    kubeweft show deployment/demo -n default --at 10:32 -o yaml
    """
    if output == "yaml":
        at = at or "now"
    elif at and output == "text":
        output = "yaml"
    question = Question(
        words=object_words,
        namespace=namespace,
        cluster=cluster,
        since=since,
        until=until,
        at=at,
        local=local,
        linked=linked,
    )
    file = options.existing_store(store)
    if at:
        show_manifest(file, question, form=output)
    else:
        show_story(file, question, form=output, console=options.standard_output())
