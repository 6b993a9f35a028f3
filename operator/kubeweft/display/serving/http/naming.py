"""The parameters that several routes share, and what they mean: in words for the description, and as functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kubeweft.display.answering.contract import TAGS
from kubeweft.display.serving.http import reading
from kubeweft.display.serving.http.describing import Parameter
from kubeweft.display.serving.searches import MOST_TRACES
from kubeweft.model.errors import BadInput

HOURS: Final = 3_600_000_000_000
DEFAULT_LOOKBACK: Final = 48 * HOURS  # Jaeger's own, for clients that send no times
DEFAULT_TRACES: Final = 100

EPOCH = {"type": "integer", "format": "int64"}
MOMENT = {"type": "string", "format": "date-time"}
DURATION = {"type": "string", "examples": ["1.2s", "100ms", "1h30m"]}
TRUTH = {"type": "boolean"}
TRACE_ID = {"type": "string", "pattern": "^[0-9a-fA-F]{1,32}$"}
TAGS_OBJECT = {"type": "string", "contentMediaType": "application/json"}
NUMBER_OF_TRACES = {"type": "integer", "minimum": 1, "default": DEFAULT_TRACES}
HOW_MANY: Final = f"How many traces at most; beyond {MOST_TRACES} the last one says that there may be more."

SELECTING = (
    f"{', '.join(TAGS)} select objects; any other name is an attribute that a span of the tree has to have"
)

TRACE_ID_IN_PATH = Parameter(
    name="trace_id",
    means="The ID of a displayed or stored trace; leading zeros may be missing.",
    read=reading.trace_id,
    schema=TRACE_ID,
    place="path",
    required=True,
)


def limited(traces: int | None) -> int:
    """How many traces a search is asked for."""
    return DEFAULT_TRACES if traces is None or traces <= 0 else traces


def range_of(values: Mapping[str, int | None], since: str, until: str, *, now: int) -> tuple[int, int]:
    """The time to search in: without a beginning, the last two days before its end."""
    end = values[until]
    end = now if end is None else end
    begin = values[since]
    back = values.get("lookback") or DEFAULT_LOOKBACK
    if begin is not None and values[until] is not None and begin > end:
        raise BadInput(f"'{since}' lies after '{until}': nothing can be between")
    return (max(end - back, 0) if begin is None else begin), end
