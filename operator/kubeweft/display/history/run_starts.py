"""Where the run that somebody means begins, and where the next one does.

The newest windows of an object say nothing of an older rollout. So they are read a piece at a time: back from the time
asked for until a start is found, then forward until the next one. What a limit left out on the way is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kubeweft.display.history.runs import choose_start, starts_of
from kubeweft.display.reading.assembling import KindNames
from kubeweft.display.reading.levels import DEFAULT_LIMITS
from kubeweft.display.stories import read_story
from kubeweft.display.tree.selection import OWNED
from kubeweft.display.tree.trees import FOREVER, Fact, Node, Truncation
from kubeweft.display.words.keys import key_in_words
from kubeweft.display.words.times import in_words
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS
from kubeweft.store.interfaces import SpanReader, Window

ALONE = dataclasses.replace(OWNED, down=0, linked="none")
PIECE = 64  # windows read at once
LIMITS = dataclasses.replace(DEFAULT_LIMITS, windows=2 * PIECE)
OF_ITSELF = ("windows", "around")  # what is left out beside: whose children it has does not matter here
TOLERANCE = 5 * NANOSECONDS  # a change that is joined with its request may be told later than it happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run begins at ``time``, with ``fact`` where that is known; the next one begins right after ``until``."""

    time: int
    until: int = FOREVER
    fact: Fact | None = None
    truncated: tuple[Truncation, ...] = ()


@dataclass(slots=True)
class RunStarts:
    """The starts of the runs of one object, as far as they have been read."""

    reader: SpanReader
    key: ObjectKey
    kinds: KindNames | None = None
    _found: dict[int, Fact] = field(default_factory=dict)
    _truncated: dict[Truncation, None] = field(default_factory=dict)

    def at(self, time: int, *, precision: int) -> Begun:
        """The run that a time names (see ``choose_start``); raises ``UserError`` where none had begun by then."""
        last = time + max(precision, 1) - 1
        for first, _ in self._back(until=min(last + TOLERANCE, FOREVER)):
            if first <= time and choose_start(self._starts(), time, precision=precision) is not None:
                break
        chosen = choose_start(self._starts(), time, precision=precision)
        if chosen is None:
            raise UserError(self._none_at(time, precision=precision))
        following = self._next(chosen.start)
        until = FOREVER if following is None else following - 1
        return Begun(time=chosen.start, until=until, fact=chosen, truncated=tuple(self._truncated))

    def of_last_life(self) -> Begun:
        """From the creation of the last object of this name on; else from when something first happened to it."""
        uid, created, seen = "", None, FOREVER
        for first, node in self._back(until=FOREVER):
            life = node.lives[-1] if node.lives else None
            if life and uid and life.uid and life.uid != uid:
                break
            own = [fact.start for fact in node.facts if not node.lives or fact.life == len(node.lives) - 1]
            seen = min([seen, *own])
            if life is not None:
                uid = uid or life.uid
                created = created if life.created is None else life.created
            if created is not None and first <= created:
                break
        begin = seen if created is None else created
        if begin == FOREVER:
            raise UserError(
                f"nothing is stored that happened to {key_in_words(self.key)}: it is only named by others"
            )
        return Begun(time=begin, fact=self._found.get(begin), truncated=tuple(self._truncated))

    def _starts(self) -> list[Fact]:
        return [self._found[time] for time in sorted(self._found)]

    def _next(self, time: int) -> int | None:
        """When the first run after a time begins."""
        stored = self.reader.windows_of(self.key, since=time + 1, until=FOREVER)
        known = [start for start in self._found if start > time]
        while stored and not known:
            self._take(self._read(stored[:PIECE]), since=time + 1)
            known = [start for start in self._found if start > time]
            stored = stored[PIECE - 1 :] if len(stored) > PIECE else []
        return min(known, default=None)

    def _back(self, *, until: int) -> Iterator[tuple[int, Node]]:
        """The object in pieces, the newest first, with the time from which on each is known.

        Two pieces share a window, so that a request and its change in the next window are seen together.
        """
        stored = self.reader.windows_of(self.key, since=0, until=until)
        while stored:
            piece, more = stored[-PIECE:], len(stored) > PIECE
            node = self._read(piece)
            since = piece[1].start if more else 0
            self._take(node, since=since)
            yield since, node
            stored = stored[: 1 - PIECE] if more else []

    def _read(self, windows: Sequence[Window]) -> Node:
        since, until = windows[0].start, windows[-1].start + windows[-1].length - 1
        tree = read_story(
            self.reader,
            self.key,
            selection=ALONE,
            since=since,
            until=until,
            limits=LIMITS,
            kinds=self.kinds,
        )
        self._truncated |= dict.fromkeys(cut for cut in tree.truncated if cut.what in OF_ITSELF)
        return tree.root

    def _take(self, node: Node, *, since: int) -> None:
        self._found |= {fact.start: fact for fact in starts_of(node) if fact.start >= since}

    def _none_at(self, time: int, *, precision: int) -> str:
        end = time + max(precision, 1)
        following = self._next(end - 1)
        if following is None:
            return (
                f"no rollout of {key_in_words(self.key)} is stored: compare the object as such, without @TIME"
            )
        return (
            f"no rollout of {key_in_words(self.key)} is stored {f'before {in_words(end)}' if precision > 1 else f'up to {in_words(time)}'}:"
            f" the first stored began {in_words(following)}"
        )
