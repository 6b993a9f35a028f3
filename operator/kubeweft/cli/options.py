"""Options that several commands share, so that they read and behave alike."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from kubeweft.app.object_limits import MOST_OBJECTS
from kubeweft.model.errors import UserError

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

REMOTE = "://"  # what only the address of a store somewhere else has


def _store(means: str) -> Decorator:
    return click.option(
        "--store", default="kubeweft.db", show_default=True, envvar="KUBEWEFT_STORE", help=means
    )


store: Decorator = _store(
    "File of the embedded store, or the address of another: grpc://HOST:PORT (Jaeger's storage API),"
    " http://HOST:PORT (the query API of a Jaeger)."
)
written_store: Decorator = _store("File of the embedded store; made where there is none.")
cluster: Decorator = click.option(
    "--cluster", default="", help="Name of the cluster, where the store has several."
)
namespace: Decorator = click.option("-n", "--namespace", default="", help="Namespace; without it, any.")
since: Decorator = click.option(
    "--since", default="", help="From then on: 10m, 2h30m, 1d, 10:32, 2026-11-21T10:32Z."
)
until: Decorator = click.option(
    "--until",
    default="",
    help="Until then, written like --since; a date is its midnight: the day itself is left out.",
)
views: Decorator = click.option(
    "--views",
    type=click.Path(path_type=Path),
    default=None,
    help="YAML file with views and selections of your own, beside those that are shipped.",
)
extensions: Decorator = click.option(
    "--extensions",
    type=click.Path(path_type=Path),
    default=None,
    envvar="KUBEWEFT_EXTENSIONS",
    help="YAML file that names other trace stores (Jaeger, Tempo), whose spans are shown with what they belong to.",
)
local_time: Decorator = click.option("--local", is_flag=True, help="Times in the local zone instead of UTC.")


def objects(default: int, what: str) -> Decorator:
    """``--objects``; ``what`` says what it bounds."""
    return click.option(
        "--objects",
        default=default,
        show_default=True,
        type=click.IntRange(1, MOST_OBJECTS),
        metavar="N",
        help=f"{what}; what is left out is told.",
    )


def output(*choices: str) -> Decorator:
    """``-o``, of which the first choice is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="Output format.",
    )


def existing_store(path: str) -> str:
    """Where the store is; raises ``UserError`` that says how one comes to be, if it is a file that is not there."""
    if REMOTE in path:
        return path
    file = Path(path)
    if not file.exists():
        raise UserError(
            f"there is no store at {path}: name one with --store, or make one with 'kubeweft run' or 'kubeweft import'"
        )
    return path


class Output(Console):
    """A console that leaves a closed pipe to whoever runs the command."""

    def on_broken_pipe(self) -> None:
        """Say so, instead of ending the process as a failure."""
        raise BrokenPipeError


def standard_output() -> Output:
    """Colours on a terminal (and where NO_COLOR is not set), plain text in full width elsewhere."""
    return Output(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
