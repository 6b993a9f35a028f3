"""What ``show`` and ``search`` do: open the store for reading, find, arrange, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import click
from rich.console import Console

from kubeweft.display import json_shape, manifest, times
from kubeweft.display.resolving import Wanted, parse_argument, resolve
from kubeweft.display.searching import query_of, search
from kubeweft.display.stories import read_story
from kubeweft.display.text import write_found, write_tree
from kubeweft.display.trees import LinkedMode
from kubeweft.display.views.definitions import OWNED
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.runtime import clock
from kubeweft.store.sqlite_reader import SqliteReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody asked about one object, in their own words."""

    words: tuple[str, ...]
    namespace: str
    cluster: str
    since: str
    until: str
    at: str
    local: bool
    linked: LinkedMode = "auto"

    @property
    def zone(self) -> tzinfo:
        """Of times read and written."""
        return zone_of(local=self.local)


def show_story(file: Path, question: Question, *, form: str, console: Console) -> None:
    """Write the tree of an object, as text or JSON."""
    since, until = times.parse_range(question.since, question.until, now=clock.now(), zone=question.zone)
    with _reading(file) as (reader, kinds):
        key = _key(reader, kinds, question)
        tree = read_story(
            reader,
            key,
            since=since,
            until=until,
            kinds=kinds,
            selection=dataclasses.replace(OWNED, linked=question.linked),
        )
    if form == "json":
        click.echo(json_shape.to_text(json_shape.tree_as_json(tree)))
    else:
        write_tree(tree, console, zone=question.zone)


def show_manifest(file: Path, question: Question, *, form: str) -> None:
    """Write an object as it was at a moment, as YAML or JSON."""
    moment = times.parse_time(question.at, now=clock.now(), zone=question.zone)
    with _reading(file) as (reader, kinds):
        found = manifest.manifest_at(reader, _key(reader, kinds, question), moment)
    click.echo(
        json_shape.to_text(found) if form == "json" else manifest.manifest_yaml(found), nl=form == "json"
    )


def show_search(
    file: Path,
    *,
    form: str,
    local: bool,
    console: Console,
    since: str,
    until: str,
    kind: str,
    namespace: str,
    name: str,
    text: str,
    cluster: str,
    limit: int,
) -> None:
    """Write the objects that a search finds."""
    zone = zone_of(local=local)
    begin, end = times.parse_range(since, until, now=clock.now(), zone=zone)
    with _reading(file) as (reader, kinds):
        query = query_of(
            kinds,
            cluster=cluster,
            kind=kind,
            namespace=namespace,
            name=name,
            text=text,
            since=begin,
            until=end,
            limit=limit,
        )
        found = search(reader, query)
    if form == "json":
        click.echo(json_shape.to_text([json_shape.found_as_json(item) for item in found.objects]))
    else:
        write_found(found, console, zone=zone)


def zone_of(*, local: bool) -> tzinfo:
    """UTC, or the zone of this machine."""
    return (datetime.now(UTC).astimezone().tzinfo or UTC) if local else UTC


VIRTUAL_KINDS = {("helm.sh", "releases"): "Release"}
"""What no API server serves, so that no span can tell its kind: it is known by links only."""


@contextmanager
def _reading(file: Path) -> Iterator[tuple[SqliteReader, Kinds]]:
    """The store, and the kinds that it knows beside the built-in ones."""
    with SqliteReader(file) as reader:
        kinds = Kinds()
        for group, resource, told in reader.known_resources():
            kind = told or VIRTUAL_KINDS.get((group, resource), "")
            if kind and kinds.kind_of(group, resource) is None:
                kinds.learn(ResourceType(group, "", resource, kind, True))
        yield reader, kinds


def _key(reader: SqliteReader, kinds: Kinds, question: Question) -> ObjectKey:
    kind, name = parse_argument(question.words)
    wanted = Wanted(kind=kind, name=name, namespace=question.namespace, cluster=question.cluster)
    return resolve(reader, kinds, wanted)
