"""From a time that somebody asked for to the windows that a displayed trace shows, and back.

A displayed trace begins with a stored window of its object and lasts a number of windows, because that is what fits
into its ID. So what is shown may begin and end up to a window beside what was asked for, never inside it.
"""

from __future__ import annotations

from typing import NamedTuple

from kubeweft.display.displayed_ids import MOST_WINDOWS, Displayed, displayed_id, read_displayed_id
from kubeweft.display.views.definitions import Selection, View
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import SpanReader, Window


class Shown(NamedTuple):
    """What one displayed trace shows: of which object, from when (nanoseconds) until when (both included)."""

    trace_id: bytes
    key: ObjectKey
    since: int
    until: int


def shown_between(
    reader: SpanReader, key: ObjectKey, *, view: View, selection: Selection, since: int, until: int
) -> Shown | None:
    """The displayed trace of an object over a range of time; None where nothing of it is stored then.

    Of a range longer than an ID can tell, the end is shown.
    """
    windows = reader.windows_of(key, since=since, until=until)
    if not windows:
        return None
    last = windows[-1]
    first = _first(windows, earliest=min(until, last.start + last.length) - MOST_WINDOWS * last.length)
    end = max(min(until, first.start + MOST_WINDOWS * first.length - 1), last.start)
    count = (end - first.start) // first.length + 1
    return _shown(first, Displayed(first.trace_id, view.number, selection.number, count))


def shown_by(reader: SpanReader, trace_id: bytes) -> tuple[Displayed, Shown] | None:
    """What a displayed trace ID stands for; None where it is none, or its first window is not stored (any more)."""
    asked = read_displayed_id(trace_id)
    if asked is None:
        return None
    first = reader.window_of(asked.stored)
    return None if first is None else (asked, _shown(first, asked))


def _first(windows: list[Window], *, earliest: int) -> Window:
    return next((window for window in windows if window.start >= earliest), windows[-1])


def _shown(first: Window, asked: Displayed) -> Shown:
    trace_id = displayed_id(asked)
    read = read_displayed_id(trace_id)
    windows = (
        read.windows if read else asked.windows
    )  # many windows are told roughly, and shown as they are told
    return Shown(trace_id, first.key, first.start, first.start + windows * first.length - 1)
