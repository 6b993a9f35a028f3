"""``kubeweft diff``: one object at two moments, and who changed each field in between."""

from __future__ import annotations

import click

from kubeweft.app.diffing import Form, show_difference
from kubeweft.app.showing import Question
from kubeweft.cli import options
from kubeweft.cli.completing import complete_object

DIFFERENT = 1


@click.command(short_help="What became of an object between two moments, and who did that.")
@click.argument("object_words", nargs=-1, required=True, metavar="KIND/NAME", shell_complete=complete_object)
@click.option(
    "--from", "since", required=True, metavar="TIME", help="The earlier moment: 1h, 10:32, 2026-11-21T10:32Z."
)
@click.option("--to", "until", default="now", show_default=True, metavar="TIME", help="The later moment.")
@options.namespace
@options.cluster
@options.store
@click.option("--exit-code", is_flag=True, help="Exit status 1 where it is not the same.")
@options.local_time
@options.output("diff", "words", "patch", "yaml", "json")
@click.pass_context
def diff(
    ctx: click.Context,
    object_words: tuple[str, ...],
    since: str,
    until: str,
    namespace: str,
    cluster: str,
    store: str,
    exit_code: bool,
    local: bool,
    output: Form,
) -> None:
    """Show one object at two moments: a unified diff of YAML, and for every field who changed it in between.

    An object that was created, deleted or created again in between is said to be so.

    \b
    kubeweft diff deployment/demo -n default --from 1h
    kubeweft diff deploy demo -n default --from 10:32 --to 11:02 -o words
    kubeweft diff deploy/demo -n default --from 10:32 --to 11:02 -o patch      RFC 6902
    kubeweft diff deploy/demo -n default --from 10:32 --exit-code              for scripts: 0 same, 1 different
    """
    question = Question(
        words=object_words,
        namespace=namespace,
        cluster=cluster,
        since=since,
        until=until,
        at="",
        local=local,
    )
    same = show_difference(
        options.existing_store(store), question, form=output, console=options.standard_output()
    )
    if exit_code and not same:
        ctx.exit(DIFFERENT)
