"""``kubeweft show``: the story of one object and what it owns, or its manifest at a moment."""

from __future__ import annotations

import click

from kubeweft.app.showing import Question, show_manifest, show_story
from kubeweft.cli import options


@click.command(short_help="The story of one object and what it owns.")
@click.argument("object_words", nargs=-1, required=True, metavar="KIND/NAME")
@options.namespace
@options.cluster
@options.store
@options.since
@options.until
@click.option("--at", default="", help="The manifest as it was at this moment (-o yaml or json).")
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
    local: bool,
    output: str,
) -> None:
    """Show what happened to an object and to what it owns: requests, changes and Events on one time axis.

    \b
    kubeweft show deployment/demo -n default
    kubeweft show deploy demo -n default --since 2h --until 30m
    kubeweft show pod/demo-6d4b75cb6d-x2x5p -n default -o json
    kubeweft show deployment/demo -n default --at 10:32 -o yaml
    """
    if output == "yaml":
        at = at or "now"
    elif at and output == "text":
        output = "yaml"
    question = Question(
        words=object_words, namespace=namespace, cluster=cluster, since=since, until=until, at=at, local=local
    )
    file = options.existing_store(store)
    if at:
        show_manifest(file, question, form=output)
    else:
        show_story(file, question, form=output, console=options.standard_output())
