"""What ``diff`` does: one object at two moments, in the form that was asked for."""

from __future__ import annotations

from typing import Literal

import click
import yaml
from rich.console import Console

from kubeweft.app.showing import Question, find_key, reading
from kubeweft.display.history.difference_shapes import as_json, as_patch
from kubeweft.display.history.difference_text import write_difference
from kubeweft.display.history.differences import Difference, difference
from kubeweft.display.words import times
from kubeweft.display.writing import json_shape
from kubeweft.model.errors import UserError
from kubeweft.runtime import clock

Form = Literal["diff", "words", "patch", "yaml", "json"]


def show_difference(store: str, question: Question, *, form: Form, console: Console) -> bool:
    """Write what became of an object between two moments; whether it is still the same."""
    now = clock.now()
    since = times.parse_time(question.since, now=now, zone=question.zone)
    until = times.parse_time(question.until, now=now, zone=question.zone)
    if since > until:
        raise UserError(
            f"--from {question.since} lies after --to {question.until}: write the earlier one first"
        )
    with reading(store) as (reader, kinds):
        key = find_key(reader, kinds, question)
        known = kinds.kind_of(key.group, key.resource)
        found = difference(reader, key, since=since, until=until, kind=known.kind if known else "")
    _write(found, question, form=form, console=console)
    return found.is_same


def _write(found: Difference, question: Question, *, form: Form, console: Console) -> None:
    if form == "json":
        click.echo(json_shape.to_text(as_json(found)))
    elif form == "patch":
        click.echo(json_shape.to_text(as_patch(found)))
    elif form == "yaml":
        click.echo(yaml.safe_dump(as_json(found), sort_keys=False, allow_unicode=True, width=120), nl=False)
    else:
        write_difference(found, console, zone=question.zone, with_diff=form == "diff")
