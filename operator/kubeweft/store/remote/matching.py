"""Whether an object fits a query, and what of its windows does: the same rules as in the embedded store.

Remote stores narrow a search by what they index; the rest is decided here, on what they gave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.otlp.regrouping import Part
from kubeweft.store.embedded.finding_text import SEARCHED
from kubeweft.store.embedded.recording import TIMELESS
from kubeweft.store.interfaces import ObjectQuery, Window


class Times(NamedTuple):
    """From the first to the last of what matched."""

    first: int
    last: int


def window_of(part: Part) -> Window:
    """The window that a whole trace covers."""
    key, start, length = part.place
    active = any(span.source not in TIMELESS for span in part.spans)
    return Window(key, start, length, part.trace_id, active)


def overlaps(part: Part, since: int, until: int) -> bool:
    """Whether a window has a moment between two times; it counts as long as its longest span lasts."""
    end = part.place.start + part.place.length
    return part.place.start <= until and (
        end > since or any(span.end >= since for span in part.spans if span.source not in TIMELESS)
    )


def fits(key: ObjectKey, query: ObjectQuery) -> bool:
    """Whether an object is one of those that a query means, its text and time aside."""
    return (
        query.cluster in ("", key.cluster)
        and (
            not query.resources
            or any(group in (None, key.group) and name == key.resource for group, name in query.resources)
        )
        and _fits_pattern(key.namespace, query.namespace)
        and _fits_pattern(key.name, query.name)
    )


def match(part: Part, query: ObjectQuery) -> Times | None:
    """When what a query asks for happened in a window; None if it did not."""
    timed = [span for span in part.spans if span.source not in TIMELESS]
    start, length = part.place.start, part.place.length
    whole = Times(min((s.start for s in timed), default=start), max((s.end for s in timed), default=start))
    if timed and not (whole.first <= query.until and whole.last >= query.since):
        return None
    if not timed and not (start <= query.until and start + length > query.since):
        return None
    text = query.text.casefold()
    if not text or text in part.place.key.name.casefold():
        return whole
    return _match_text(timed, text, query)


def _match_text(spans: Iterable[Span], text: str, query: ObjectQuery) -> Times | None:
    told = [s for s in spans if s.start <= query.until and s.end >= query.since and _tells(s, text)]
    return Times(min(s.start for s in told), max(s.end for s in told)) if told else None


def _tells(span: Span, text: str) -> bool:
    if text in span.name.casefold() or text in span.error.casefold():
        return True
    attributes = span.attributes
    return any(text in str(attributes[name]).casefold() for name in SEARCHED if name in attributes)


def _fits_pattern(value: str, pattern: str) -> bool:
    """Only ``*`` is a wildcard."""
    if "*" not in pattern:
        return pattern in ("", value)
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value, re.DOTALL) is not None
