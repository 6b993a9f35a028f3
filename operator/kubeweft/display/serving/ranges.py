"""From a time that somebody asked for to the windows that a displayed trace shows, and back.

A displayed trace is whole windows before and after a stored one of its object, because that is what fits into its ID.
So what is shown may begin and end beside what was asked for, never inside it: by less than a window, over days by hours.
"""

from __future__ import annotations

from typing import NamedTuple

from kubeweft.display.answering.addressing import Addresses
from kubeweft.display.answering.displayed_ids import Displayed, read_displayed_id
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import MergedWindow
from kubeweft.display.views.definitions import View
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import SpanReader, Window


class Shown(NamedTuple):
    """What one displayed trace shows: of which object, from when (nanoseconds) until when (both included).

    ``stored`` is the trace of the object that the ID names.
    """

    trace_id: bytes
    key: ObjectKey
    since: int
    until: int
    stored: bytes


def shown_between(
    reader: SpanReader, key: ObjectKey, *, view: View, selection: Selection, since: int, until: int
) -> Shown | None:
    """The displayed trace of an object over a range of time; None where nothing of it is stored then.

    Of a range longer than an ID can tell, the part around the object's last window is shown. A moment at which nothing
    happened to the object is shown with what happened last before.
    """
    windows = reader.windows_of(key, since=since, until=until)
    last = windows[-1] if windows else None
    if last is None and since == until:
        last = reader.nearest_window(key, before=until)
    if last is None:
        return None
    addresses = Addresses(
        view=view.number, selection=selection.number, since=min(since, last.start), until=until
    )
    trace_id = addresses.trace(MergedWindow(last.start, last.length, last.trace_id))
    read = read_displayed_id(trace_id)
    return None if read is None else _shown(trace_id, read, last)


def shown_by(reader: SpanReader, trace_id: bytes) -> tuple[Displayed, Shown] | None:
    """What a displayed trace ID stands for; None where it is none, or the window it names is not stored (any more)."""
    asked = read_displayed_id(trace_id)
    if asked is None:
        return None
    last = reader.window_of(asked.stored)
    return None if last is None else (asked, _shown(trace_id, asked, last))


def _shown(trace_id: bytes, asked: Displayed, last: Window) -> Shown:
    """Many windows are told roughly, and shown as they are told."""
    since = max(last.start - (asked.windows - 1) * last.length, 0)
    until = last.start + (asked.later + 1) * last.length - 1
    return Shown(trace_id, last.key, since, until, asked.stored)
