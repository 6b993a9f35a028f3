"""The embedded store as a source: what our own OTLP endpoint has received."""

from __future__ import annotations

from kubeweft.display.extensions.sources import ForeignAnswer, ForeignQuestion
from kubeweft.store.interfaces import ForeignReader


class EmbeddedSource:
    """Asks a reader of the embedded store."""

    name = "the embedded store"

    def __init__(self, reader: ForeignReader) -> None:
        """The reader belongs to somebody else."""
        self._reader = reader

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever received that can be found."""
        return not self._reader.has_foreign()

    def find(self, question: ForeignQuestion) -> ForeignAnswer:
        """The traces that are wanted."""
        question.left()
        found = self._reader.foreign_of(
            [(join.attribute, join.value) for join in question.joins],
            since=min(join.since for join in question.joins),
            until=max(join.until for join in question.joins),
            most_traces=question.most_traces,
            most_spans=question.most_spans,
        )
        return ForeignAnswer(found.spans, found.more)
