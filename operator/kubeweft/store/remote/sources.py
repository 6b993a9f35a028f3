"""What a remote trace store has to offer to be read from: traces by ID, and a search by service, name and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from kubeweft.model.errors import NotNow, UserError
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.otlp.jaeger_storage import TraceQuery
from kubeweft.runtime.stopping import Stopped

OBJECT_SERVICE: Final = "kubeweft-object"  # the service under which every exported trace has its object span
STORED_SERVICE: Final = "stored"  # what our own server calls stored traces
MEBIBYTE: Final = 1024 * 1024
AWAY_DELAY: Final = 5.0  # seconds

TOO_DEEP: Final = "search depth"  # Jaeger's memory store refuses to give more traces than it may hold

FoundTraces = Mapping[bytes, list[Span]]
"""Our spans by the ID of the trace in which the store holds them."""


class TooMuch(UserError):
    """One answer was too large, or took too long: asking for less at once may do."""


class TooSlow(TooMuch, Stopped):
    """The store did not answer in time."""


class StoreAway(NotNow):
    """The store cannot be reached, lets us in no more, or fails: nothing is wrong with what was asked."""

    def __init__(self, message: str) -> None:
        """The message says what can be done about the store."""
        super().__init__(message, delay=AWAY_DELAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """How a remote store is read. ``timeout`` is seconds for one call, ``depth`` the most traces of one search.

    ``window_length`` is the setting of the installation that wrote the spans, ``lookback`` how far back searches go
    (0: without limit; both nanoseconds). What was read is remembered for ``fresh`` seconds. ``ca`` is PEM.
    """

    window_length: int = DEFAULT_WINDOW
    timeout: float = 10.0
    depth: int = 1000
    lookback: int = 0
    fresh: float = 2.0
    largest_answer: int = 64 * MEBIBYTE
    tls: bool = False
    ca: bytes = b""
    token: str = field(default="", repr=False)


class TraceSource(Protocol):
    """One way to one store. All methods may be called from any thread.

    They raise ``UserError`` where the question cannot be answered, and ``StoreAway`` where it is the store that fails.
    """

    @property
    def where(self) -> str:
        """The store, as messages name it."""

    @property
    def ids_at_once(self) -> int:
        """How many traces one call fetches."""

    @property
    def most_probed(self) -> int:
        """Up to so many traces are asked for by computed ID; beyond, one search is cheaper."""

    @property
    def object_service(self) -> str:
        """The service under which objects are searched."""

    @property
    def names_are_operations(self) -> bool:
        """Whether an object span is found by its name as the operation."""

    @property
    def finds_by_tags(self) -> bool:
        """Whether a search heeds its attributes; some query services skip them."""

    def get(self, trace_ids: Sequence[bytes], *, since: int | None, until: int | None) -> FoundTraces:
        """Traces by ID, at most ``ids_at_once`` of them; unknown ones are left out. The times are hints."""

    def find(self, query: TraceQuery) -> FoundTraces:
        """Whole traces with a span that fits, at most ``query.depth``; raises TooMuch where fewer may do."""

    def operations(self, service: str) -> list[str]:
        """The names of all spans of a service that the store knows."""

    def close(self) -> None:
        """Let the connection go."""
