"""The ``SpanReader`` over any remote source.

An object's windows are asked for by their computed IDs where the time is short, and searched where it is long or open.
Spans come back ordered by time, because no store keeps the order of arrival. What no trace store can tell exactly is
said at the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from kubeweft.model import identity
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.windows import window_start, windows_between
from kubeweft.otlp.regrouping import Part
from kubeweft.store.interfaces import FoundObject, ObjectQuery, Window, WindowQuestion
from kubeweft.store.remote.finding import Finding
from kubeweft.store.remote.matching import overlaps, window_of
from kubeweft.store.remote.slicing import LATEST, Slicing
from kubeweft.store.remote.sources import RemoteOptions, TraceSource
from kubeweft.store.remote.traces import Traces


class RemoteReader:
    """A remote trace store, for reading. Every method may be called from any thread."""

    def __init__(self, source: TraceSource, options: RemoteOptions | None = None) -> None:
        """The source is closed with the reader."""
        self._options = options or RemoteOptions()
        self._source = source
        self._traces = Traces(source, self._options)
        self._finding = Finding(source, Slicing(source, self._traces, self._options), self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the store go; nobody may be reading."""
        self._finding.close()
        self._traces.close()
        self._source.close()

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """All spans of these traces, the object span first and the others by time; unknown IDs are skipped."""
        return [span for part in self._traces.read(trace_ids).values() for span in part.spans]

    def windows_of(self, key: ObjectKey, *, since: int, until: int) -> list[Window]:
        """The windows of one object that overlap a range of time (both ends included), oldest first.

        Of spans that outlast their window only those are seen that began in the window before. Windows without their
        object span, and those of another length than the installation's, are found in one kind of range only: the
        first by computed ID where it is short, the second by search where it is long.
        """
        return self.windows_of_many([WindowQuestion(key, since, until)])[0]

    def windows_of_many(self, questions: Sequence[WindowQuestion]) -> list[list[Window]]:
        """The answers of ``windows_of`` to many questions, in their order: few calls, some of them at once."""
        probed = [(question, self._probed_ids(question)) for question in questions]
        ids = [one for _, some in probed for one in some or ()]
        known = self._read_probed(questions, ids) if ids else {}
        searched = self._finding.at_once(
            self._searched, [question for question, some in probed if some is None]
        )
        rest = iter(searched)
        return [
            _windows(next(rest) if some is None else [known[one] for one in some if one in known], question)
            for question, some in probed
        ]

    def window_of(self, trace_id: bytes) -> Window | None:
        """The window that a trace ID names; None if there is none. It may lack its object span."""
        part = self._traces.read([trace_id]).get(trace_id)
        return None if part is None else window_of(part)

    def nearest_window(self, key: ObjectKey, *, before: int) -> Window | None:
        """The last window of an object that begins at or before a time."""
        for part in self._finding.windows(key, since=0, until=before):
            return window_of(part)
        return None

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        """Objects that match, those with the latest span first; at most ``query.limit`` + 1.

        Raises UserError where the store would have to give too much. Where more objects begin at one moment than the
        store gives at once, it chooses which.
        """
        return self._finding.objects(query)

    def clusters(self) -> list[str]:
        """The clusters of what is newest (``depth`` traces), because a trace store cannot list the values of a tag.

        Another Kubeweft knows them all.
        """
        return self._finding.clusters()

    def known_resources(self) -> list[tuple[str, str, str]]:
        """All (group, resource, kind) of which the store lists names; the kind is empty, for names do not tell it."""
        found = set()
        for name in self._finding.names():
            resource, _, group = name.partition("/")[0].partition(".")
            found.add((group, resource, ""))
        return sorted(found)

    def _probed_ids(self, question: WindowQuestion) -> list[bytes] | None:
        """The computed IDs of the windows asked for; None where a search is cheaper."""
        length = self._options.window_length
        starts = windows_between(max(question.since - length, 0), max(question.until, 0), length)
        if len(starts) > self._source.most_probed:
            return None
        return [identity.trace_id(question.key, start, length) for start in starts]

    def _read_probed(self, questions: Sequence[WindowQuestion], ids: list[bytes]) -> dict[bytes, Part]:
        """The times are no filter, but some databases look into fewer places if they are told."""
        length = self._options.window_length
        since = min(question.since for question in questions)
        until = max(question.until for question in questions)
        return self._traces.read(ids, since=max(since - length, 0), until=min(until + length, LATEST))

    def _searched(self, question: WindowQuestion) -> list[Part]:
        """A search brings whole traces; those in which an exporter has gathered many objects are not asked for again."""
        length = self._options.window_length
        since = window_start(max(question.since - length, 0), length)
        known = {part.place.start: part.trace_id for part in self._traces.guests_at(question.key)}
        parts = list(self._traces.read(known.values()).values())
        for begin, end in _gaps(since, question.until, known, length):
            parts += self._finding.windows(question.key, since=begin, until=end)
        return parts


def _gaps(since: int, until: int, starts: Iterable[int], length: int) -> Iterator[tuple[int, int]]:
    """The times in which other windows can begin than those that are known."""
    begin = since
    for start in sorted(starts):
        if start > begin:
            yield begin, min(start - 1, until)
        begin = max(begin, start + length)
    if begin <= until:
        yield begin, until


def _windows(parts: Iterable[Part], question: WindowQuestion) -> list[Window]:
    inside = [part for part in parts if overlaps(part, question.since, question.until)]
    return [window_of(part) for part in sorted(inside, key=lambda part: part.place)]
