"""Finding objects: from what somebody typed to a query of the store, and what it found."""

from __future__ import annotations

from dataclasses import dataclass

from kubeweft.display.reading.resolving import KindLookup, resources_of
from kubeweft.display.tree.trees import FOREVER
from kubeweft.store.interfaces import FoundObject, ObjectQuery, SpanReader


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, those with the latest span first; ``more`` says that the limit left some out."""

    objects: tuple[FoundObject, ...]
    more: bool


def query_of(
    kinds: KindLookup,
    *,
    cluster: str = "",
    kind: str = "",
    namespace: str = "",
    name: str = "",
    text: str = "",
    since: int = 0,
    until: int = FOREVER,
    limit: int = 100,
) -> ObjectQuery:
    """A query from words as kubectl takes them; raises ``UserError`` where ``kind`` cannot be one."""
    return ObjectQuery(
        cluster=cluster,
        resources=resources_of(kind, kinds) if kind else (),
        namespace=namespace,
        name=name,
        text=text,
        since=since,
        until=until,
        limit=limit,
    )


def search(reader: SpanReader, query: ObjectQuery) -> Found:
    """The objects that match, at most ``query.limit``."""
    objects = reader.find_objects(query)
    return Found(objects=tuple(objects[: query.limit]), more=len(objects) > query.limit)
