"""Which types of objects are linked with which: what Jaeger draws as the architecture of a system.

Counted are links of the objects that were active last, up to a limit: it is a picture, not a statistic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from kubeweft.display.reading.assembling import KindNames
from kubeweft.display.tree.trees import link_target, text_of
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey, group_resource
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import ObjectQuery, SpanReader, WindowQuestion, windows_of_many

MOST_OBJECTS: Final = 500
AT_ONCE: Final = 50


class TypeLink(NamedTuple):
    """Objects of a type ``parent`` have ``links`` links to those of a type ``child``."""

    parent: str
    child: str
    links: int


def type_links(reader: SpanReader, kinds: KindNames, *, since: int, until: int) -> list[TypeLink]:
    """The links between types in a range of time (nanoseconds), each pair of objects counted once."""
    pairs = {_pair(link) for link in _links(reader, since=since, until=until)}
    counted = Counter((_name(parent, kinds), _name(child, kinds)) for parent, child in pairs)
    return [TypeLink(*names, count) for names, count in sorted(counted.items())]


def _links(reader: SpanReader, *, since: int, until: int) -> Iterator[Span]:
    try:
        found = reader.find_objects(ObjectQuery(since=since, until=until, limit=MOST_OBJECTS))
    except UserError:  # nothing that may be seen was met: a picture of nothing is better than none
        return
    questions = [WindowQuestion(one.key, since, until) for one in found]
    traces = [windows[-1].trace_id for windows in windows_of_many(reader, questions) if windows]
    for begin in range(0, len(traces), AT_ONCE):
        spans = reader.spans_of(traces[begin : begin + AT_ONCE])
        yield from (span for span in spans if span.source == "link")


def _pair(link: Span) -> tuple[ObjectKey, ObjectKey]:
    """Parent first; peers are no parents of each other, so the order of their names decides."""
    target, role = link_target(link), text_of(link, v.LINK_ROLE)
    if role == "Parent":
        return target, link.key
    if role == "Child":
        return link.key, target
    return min(link.key, target), max(link.key, target)


def _name(key: ObjectKey, kinds: KindNames) -> str:
    known = kinds.kind_of(key.group, key.resource)
    return known.kind if known else group_resource(key.group, key.resource)
