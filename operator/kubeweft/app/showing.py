"""What ``show`` and ``search`` do: open the store for reading, find, arrange, write."""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from kubeweft.app.extensions import extensions_of
from kubeweft.app.object_limits import SHOWN, limits_of, show_more
from kubeweft.display.history import manifest
from kubeweft.display.reading.resolving import Wanted, parse_argument, resolve
from kubeweft.display.reading.searching import query_of, search
from kubeweft.display.stories import read_story
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import LinkedMode
from kubeweft.display.views.choosing import choose_selection
from kubeweft.display.views.definitions import View, Views
from kubeweft.display.views.loading import builtin_views, views_with
from kubeweft.display.words import times
from kubeweft.display.writing import json_shape
from kubeweft.display.writing.text import write_found, write_tree
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey, ResourceType, group_resource
from kubeweft.runtime import clock
from kubeweft.store.interfaces import FoundObject, SpanReader
from kubeweft.store.sqlite_reader import SqliteReader

if TYPE_CHECKING:
    from kubeweft.store.opening import OpenedReader

DEFAULT_VIEW = "tree"
NARROWEST = 20  # columns in which text is still folded
REMOTE = "://"  # what only the address of a store somewhere else has


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
    view: str = DEFAULT_VIEW
    select: str = ""
    linked: LinkedMode | None = None
    objects: int = SHOWN
    views: Path | None = None
    extensions: Path | None = None

    @property
    def zone(self) -> tzinfo:
        """Of times read and written."""
        return zone_of(local=self.local)

    def arrangement(self) -> tuple[View, Selection]:
        """The view and selection that are meant; raises ``UserError`` that tells which there are."""
        known = views_of(self.views)
        selection = choose_selection(self.select, known)
        if self.linked is not None:
            selection = dataclasses.replace(selection, linked=self.linked)
        return known.view(self.view), selection


def show_story(store: str, question: Question, *, form: str, console: Console) -> None:
    """Write the tree of an object, as text or JSON."""
    view, selection = question.arrangement()
    since, until = times.parse_range(question.since, question.until, now=clock.now(), zone=question.zone)
    with reading(store) as (reader, kinds):
        key = find_key(reader, kinds, question)
        tree = read_story(
            reader,
            key,
            view=view,
            selection=selection,
            since=since,
            until=until,
            limits=limits_of(question.objects),
            kinds=kinds,
            extensions=extensions_of(str(question.extensions or ""), reader),
        )
    tree = dataclasses.replace(tree, truncated=show_more(tree.truncated, objects=question.objects))
    if form == "json":
        click.echo(json_shape.to_text(json_shape.tree_as_json(tree)))
    else:
        write_tree(tree, console, zone=question.zone)


def show_manifest(store: str, question: Question, *, form: str) -> None:
    """Write an object as it was at a moment, as YAML or JSON."""
    moment = times.parse_time(question.at, now=clock.now(), zone=question.zone)
    with reading(store) as (reader, kinds):
        found = manifest.manifest_at(reader, find_key(reader, kinds, question), moment)
    click.echo(
        json_shape.to_text(found) if form == "json" else manifest.manifest_yaml(found), nl=form == "json"
    )


def show_search(
    store: str,
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
    with reading(store) as (reader, kinds):
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
        found = dataclasses.replace(found, objects=tuple([_with_kind(one, kinds) for one in found.objects]))
        why_none = "" if found.objects else _unknown(reader, kinds, cluster=cluster, kind=kind)
    if form == "json":
        click.echo(json_shape.to_text([json_shape.found_as_json(item) for item in found.objects]))
    else:
        write_found(found, console, zone=zone, why_none=why_none)


def _unknown(reader: SpanReader, kinds: Kinds, *, cluster: str, kind: str) -> str:
    """What a search named that there is not."""
    clusters = reader.clusters()
    if not clusters:
        return "the store is empty"
    if cluster and cluster not in clusters:
        return f"there is no cluster {cluster}, but {', '.join(sorted(clusters))}"
    return f"no kind {kind} is known" if kind and not kinds.lookup(kind) else ""


def _with_kind(found: FoundObject, kinds: Kinds) -> FoundObject:
    """The same with the kind that such objects usually have, where none was stored."""
    known = None if found.kind else kinds.kind_of(found.key.group, found.key.resource)
    return found if known is None else found._replace(kind=known.kind)


def show_views(file: Path | None, *, form: str, console: Console) -> None:
    """Write the views and selections there are."""
    known = views_of(file)
    offered: dict[str, Mapping[str, View | Selection]] = {
        "views": known.views,
        "selections": known.selections,
    }
    if form == "json":
        shape = {
            what: [{"name": one.name, "number": one.number, "title": one.title} for one in some.values()]
            for what, some in offered.items()
        }
        click.echo(json_shape.to_text(shape))
        return
    widest = max(len(name) for some in offered.values() for name in some)
    for what, some in offered.items():
        console.print(f"{what}:", style="bold", highlight=False)
        for name, one in some.items():
            for line in _hanging(f"  {name.ljust(widest)}  ", one.title, console):
                console.print(line, highlight=False, markup=False, soft_wrap=True)


def _hanging(name: str, title: str, console: Console) -> list[str]:
    """A name and its title beside it, on as many lines as a terminal needs."""
    room = console.width - len(name)
    if not console.is_terminal or room < NARROWEST:
        return [f"{name}{title}".rstrip()]
    lines = textwrap.wrap(title, room) or [""]
    return [f"{name if number == 0 else ' ' * len(name)}{line}".rstrip() for number, line in enumerate(lines)]


def stored_clusters(store: str) -> list[str]:
    """The names of the clusters in a store; none where there is no store."""
    if REMOTE not in store and not Path(store).exists():
        return []
    with _opened(store) as reader:
        return reader.clusters()


def stored_kinds(store: str) -> list[str]:
    """The kinds of what is stored, as people type them: in lower case, with their group where two share a name."""
    with _opened(store) as reader:
        known = {(group, resource): kind for group, resource, kind in reader.known_resources() if kind}
    names = Counter(kind.lower() for kind in known.values())
    return sorted(
        kind.lower() if names[kind.lower()] == 1 else group_resource(group, resource)
        for (group, resource), kind in known.items()
    )


def stored_names(
    store: str, *, kind: str, beginning: str, namespace: str = "", cluster: str = "", most: int
) -> list[str]:
    """The names of stored objects of a kind that begin like this, at most so many."""
    with reading(store) as (reader, kinds):
        query = query_of(
            kinds, cluster=cluster, kind=kind, namespace=namespace, name=f"{beginning}*", limit=most
        )
        return sorted({found.key.name for found in search(reader, query).objects if found.key.name})


def views_of(file: Path | None) -> Views:
    """All views and selections: those that are shipped, and those of a file."""
    if file is None:
        return builtin_views()
    try:
        return views_with([(str(file), file.read_text(encoding="utf-8"))])
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read the views in {file}: {reason}") from None


def zone_of(*, local: bool) -> tzinfo:
    """UTC, or the zone of this machine."""
    return (datetime.now(UTC).astimezone().tzinfo or UTC) if local else UTC


VIRTUAL_KINDS = {("helm.sh", "releases"): "Release"}
"""What no API server serves, so that no span can tell its kind: it is known by links only."""


@contextmanager
def reading(store: str) -> Iterator[tuple[SpanReader, Kinds]]:
    """The store of a file or an address, and the kinds that it knows beside the built-in ones."""
    with _opened(store) as reader:
        kinds = Kinds()
        for group, resource, told in reader.known_resources():
            kind = told or VIRTUAL_KINDS.get((group, resource), "")
            if kind and kinds.kind_of(group, resource) is None:
                kinds.learn(ResourceType(group, "", resource, kind, True))
        yield reader, kinds


def _opened(store: str) -> OpenedReader:
    """Stores elsewhere need gRPC and more, which would cost every command a moment."""
    if REMOTE not in store:
        return SqliteReader(store)
    from kubeweft.store.opening import open_reader

    return open_reader(store)


def find_key(reader: SpanReader, kinds: Kinds, question: Question) -> ObjectKey:
    """The stored object that is meant; raises ``UserError``."""
    kind, name = parse_argument(question.words)
    wanted = Wanted(kind=kind, name=name, namespace=question.namespace, cluster=question.cluster)
    return resolve(reader, kinds, wanted)
