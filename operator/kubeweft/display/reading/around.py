"""What concerned all objects of a type at once: gaps in their watch, and deletions of whole collections.

Traces of types may hold much more than that (where an audit log tells little, every create whose name the server made),
and a store gives a trace only whole. So they have a limit of their own beside that of all spans, and are read in
pieces that grow as far as what has been read says that there is room. What a Namespace is emptied of when it is deleted
has no link with it: there all its types are looked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from kubeweft.display.reading.levels import Found, LeftOut, Reading
from kubeweft.display.tree.trees import (
    NAMESPACE_CONTROLLER,
    Fact,
    fact_of,
    is_namespace,
    namespace_of,
    succeeded,
    text_of,
)
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import (
    ObjectQuery,
    Places,
    Told,
    Window,
    WindowQuestion,
    places_of,
    windows_of_many,
)

EMPTYING: Final = "deletecollection"
MOST_TYPES: Final = 200  # of which a Namespace is emptied
FIRST_PIECE: Final = 2  # windows
GROWTH: Final = 4  # times the piece before


def around_types(reading: Reading, found: Found) -> list[Fact]:
    """What concerned all objects of a type or of its namespace: gaps in their watch, and ``deletecollection``.

    Where there is the latter, somebody may have deleted the namespace: then also who. Of a Namespace that is deleted,
    what it was emptied of.
    """
    keys = [found.root, *found.met_by]
    types = {ObjectKey(*key[:3], space, ""): None for key in keys for space in ("", key.namespace)}
    told = _spans_about(reading, types, found)
    around = [s for s in told if s.source == "gap" or text_of(s, v.VERB) == EMPTYING]
    emptied = {space: None for s in around if s.source == "request" and (space := namespace_of(s.key))}
    spaces = [space for space in emptied if space not in keys]
    told = _spans_about(reading, spaces, found) if spaces else []
    around.extend(s for s in told if _deletes(s))
    around.extend(_emptying(reading, found))
    return [fact_of(span) for span in around]


def _deletes(span: Span) -> bool:
    return text_of(span, v.VERB) == "delete" and not text_of(span, v.SUBRESOURCE)


def _emptying(reading: Reading, found: Found) -> list[Span]:
    """The requests on whole collections in a Namespace that begins the tree, since it was to go."""
    space = found.root
    ending = [span for span in found.spans[space] if _ends_namespace(span)] if is_namespace(space) else []
    if not ending:
        return []
    asked = min([span.start for span in ending if _deletes(span)], default=0)
    since_then = dataclasses.replace(reading, since=max(reading.since, asked))
    there = _types_in(since_then, space)
    types = dict.fromkeys(key._replace(name="") for key in there.keys[:MOST_TYPES])
    if not there.complete:
        found.leave_out("contents", of=space, shown=len(types), more=1)
    return [span for span in _spans_about(since_then, types, found) if text_of(span, v.VERB) == EMPTYING]


def _ends_namespace(span: Span) -> bool:
    """Whether somebody deleted it, or the controller wrote to it that has to do only with those that are to go."""
    return succeeded(span) and (_deletes(span) or text_of(span, v.USER).endswith(NAMESPACE_CONTROLLER))


def _types_in(reading: Reading, space: ObjectKey) -> Places:
    query = ObjectQuery(
        cluster=space.cluster,
        namespace=space.name,
        told=Told(attributes=((v.VERB, EMPTYING),)),
        since=reading.since,
        until=reading.until,
    )
    try:
        return places_of(reading.reader, query, most=MOST_TYPES)
    except UserError:  # too much to search, which is no reason to show nothing of the Namespace itself
        return Places([], complete=False)


def _spans_about(reading: Reading, keys: Iterable[ObjectKey], found: Found) -> list[Span]:
    """The spans of the windows that matter most; what is read counts among all spans, and what is not is told."""
    limits = reading.limits
    unread, more = _windows_about(reading, keys, found)
    spans: list[Span] = []
    looked, size = 0, FIRST_PIECE
    while unread and size > 0:
        piece, unread = unread[:size], unread[size:]
        read = reading.reader.spans_of([window.trace_id for window in piece])
        spans += read
        looked, found.spans_read = looked + len(piece), found.spans_read + len(read)
        left = min(limits.around - len(spans), limits.spans - found.spans_read)
        size = min(GROWTH * size, limits.at_once, left * looked // max(len(spans), 1))
    before = found.left_out.get("around", {}).get(found.root, LeftOut(0, 0))
    more += before.more + len(unread)
    found.leave_out("around", of=found.root, shown=before.shown + looked, more=more)
    return spans


def _windows_about(reading: Reading, keys: Iterable[ObjectKey], found: Found) -> tuple[list[Window], int]:
    """Windows of types within the limit of each, and how many are beyond it.

    First come those in the time from which there is something of the objects shown, the newest first.
    """
    known = [window for windows in found.windows.values() for window in windows]
    since = min((window.start for window in known), default=0)
    until = max((window.start + window.length - 1 for window in known), default=0)

    def order(window: Window) -> tuple[bool, int, ObjectKey]:
        outside = window.start > until or window.start + window.length <= since
        return outside, -window.start, window.key

    questions = [WindowQuestion(key, reading.since, reading.until) for key in keys]
    stored = windows_of_many(reading.reader, questions)
    near = [window for some in stored for window in sorted(some, key=order)[: reading.limits.windows]]
    return sorted(near, key=order), sum(map(len, stored)) - len(near)
