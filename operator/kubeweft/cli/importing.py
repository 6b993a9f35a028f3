"""``kubeweft import``: audit logs from files into the store, with a progress bar."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from kubeweft.app.importing import Importer, Report
from kubeweft.cli import options
from kubeweft.model.errors import UserError
from kubeweft.model.windows import DEFAULT_WINDOW_SECONDS, NANOSECONDS
from kubeweft.runtime.logs import configure_logging
from kubeweft.sources.audit.files import STANDARD_INPUT, read_lines, size_of
from kubeweft.store.sqlite import SqliteStore

MOST_REASONS = 5
NOT_TOLD = "the logs do not tell: import them again after logs that do"


@click.command("import", short_help="Read audit logs from files, no cluster needed.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--cluster", default="local", show_default=True, help="Name of the cluster the logs are from.")
@options.written_store
@click.option(
    "--window-seconds",
    default=DEFAULT_WINDOW_SECONDS,
    show_default=True,
    type=click.IntRange(60, 86_400),
    envvar="KUBEWEFT_WINDOW_SECONDS",
    help="Length of a trace window: the same as that of 'kubeweft run' on this store.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no report, only errors.")
def import_(inputs: tuple[str, ...], cluster: str, store: str, window_seconds: int, quiet: bool) -> None:
    """Read audit logs (JSON lines; plain, gzip or zstd; - for standard input) into the store.

    Changes are made from the response bodies of level RequestResponse. Importing twice adds nothing.

    \b
    kubeweft import audit.log audit-2026-11-20.log.gz
    ssh control-plane cat /var/log/kubernetes/audit.log | kubeweft import --cluster prod -
    kubeweft import --store incident.db audit.jsonl.zst && kubeweft search --store incident.db
    """
    configure_logging(level="warning", form="text")
    _check(inputs)
    with SqliteStore(store) as target:
        importer = Importer(target, cluster=cluster, window_length=window_seconds * NANOSECONDS)
        with _progress(quiet=quiet) as progress:
            for source in inputs:
                _read(importer, source, progress)
            comparing = progress.add_task("comparing versions", total=None, unit="objects")
            report = importer.finish(
                lambda done, every: progress.update(comparing, completed=done, total=every)
            )
    if not quiet:
        _tell(report, store)
    if report.lines and sum(report.bad.values()) >= report.lines:
        raise UserError("no line was an audit event: is this an audit log in JSON lines?")


def _check(inputs: tuple[str, ...]) -> None:
    """Before anything is read or made: an input that is not there must not be found out after an hour."""
    problems = []
    for source in inputs:
        try:
            if source != STANDARD_INPUT:
                Path(source).open("rb").close()
        except OSError as error:
            problems.append(f"cannot read {source}: {error.strerror}")
    if problems:
        raise UserError("\n".join(problems))


def _read(importer: Importer, source: str, progress: Progress) -> None:
    name = "standard input" if source == STANDARD_INPUT else source
    task = progress.add_task(name, total=size_of(source))
    lines = read_lines(source, progress=lambda position: progress.update(task, completed=position))
    importer.read(lines, source=name)


def _progress(*, quiet: bool) -> Progress:
    """A bar on a terminal; nothing elsewhere, where the report at the end has to do."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)


def _tell(report: Report, store: str) -> None:
    click.echo(
        f"{report.lines:,} lines: {report.requests:,} requests, {report.events:,} Events and {report.changes:,} changes "
        f"of {report.objects:,} objects; {report.new_spans:,} new spans in {store}"
    )
    if report.ignored:
        click.echo(f"{report.ignored:,} lines are about no object, or only read one")
    if report.unresolved:
        click.echo(f"{report.unresolved:,} Events are about objects of kinds that {NOT_TOLD}", err=True)
    if report.unlinked:
        click.echo(f"{report.unlinked:,} owners are of kinds that {NOT_TOLD}", err=True)
    for reason, count in report.bad.most_common(MOST_REASONS):
        source, line = report.first_bad[reason]
        click.echo(f"{count:,} could not be read: {reason} (first: line {line:,} of {source})", err=True)
