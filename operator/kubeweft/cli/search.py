"""``kubeweft search``: find objects by where they are, what they are called and what was said about them."""

from __future__ import annotations

import click

from kubeweft.app.showing import show_search
from kubeweft.cli import options
from kubeweft.model.errors import UserError


@click.command(short_help="Find objects.")
@click.argument("text", default="")
@click.option("--kind", default="", help="Kind, plural or short name: pod, deploy, widgets.example.com.")
@options.namespace
@click.option("--name", default="", help="Name; * stands for anything.")
@click.option("--text", "text_option", default="", help="Text in names, messages, users and changed fields.")
@options.cluster
@options.store
@options.since
@options.until
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="At most so many."
)
@options.local_time
@options.output("text", "json")
def search(
    text: str,
    text_option: str,
    store: str,
    output: str,
    local: bool,
    **narrowing: str | int,
) -> None:
    """Find the objects that something happened to, the latest first.

    \b
    kubeweft search -n default
    kubeweft search --kind pod --name 'demo-*' --since 1h
    kubeweft search "back-off" --since 30m -o json
    kubeweft search --text kubernetes-admin
    """
    if text and text_option:
        raise UserError(f"'{text}' and --text '{text_option}' are two texts: a search is for one")
    show_search(
        options.existing_store(store),
        text=text_option or text,
        form=output,
        local=local,
        console=options.standard_output(),
        **narrowing,  # type: ignore[arg-type]  # click has checked each by its own option
    )
