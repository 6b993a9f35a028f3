"""``kubeweft views``: which views and selections there are."""

from __future__ import annotations

from pathlib import Path

import click

from kubeweft.app.showing import show_views
from kubeweft.cli import options


@click.command(short_help="The views and selections there are.")
@options.views
@options.output("text", "json")
def views(views: Path | None, output: str) -> None:
    """List the views (how a story is arranged) and selections (which objects are in it), also to check a file of your own.

    \b
    kubeweft views
    kubeweft views --views ours.yaml
    kubeweft views -o json
    """
    show_views(views, form=output, console=options.standard_output())
