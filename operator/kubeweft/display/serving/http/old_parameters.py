"""The parameters of the old dialect, under the names that Jaeger's UI and Grafana use."""

from __future__ import annotations

from kubeweft.display.serving.http import naming, reading
from kubeweft.display.serving.http.describing import Parameter

SERVICE = Parameter(name="service", means="A view, alone or with a selection: `tree`, `tree ancestors`.")
PRETTY = Parameter(
    name="prettyPrint", means="Write the JSON for people.", read=reading.truth, schema=naming.TRUTH
)
RAW = Parameter(
    name="raw",
    means="Taken and without effect: nothing here adjusts a trace.",
    read=reading.truth,
    schema=naming.TRUTH,
)
SINCE = Parameter(
    name="start",
    means="From when, in microseconds since the epoch (small numbers are taken for milliseconds).",
    read=reading.epoch,
    schema=naming.EPOCH,
)
UNTIL = Parameter(
    name="end",
    means="Until when, in microseconds since the epoch (small numbers are taken for milliseconds).",
    read=reading.epoch,
    schema=naming.EPOCH,
)
SEARCH = (
    SERVICE,
    Parameter(name="operation", means="A cluster."),
    Parameter(
        name="tags",
        means=f"Tags as a JSON object of texts: {naming.SELECTING}.",
        read=reading.tags,
        schema=naming.TAGS_OBJECT,
        repeated=True,
    ),
    Parameter(name="tag", means="One tag as `key:value`.", read=reading.tag, repeated=True),
    SINCE,
    UNTIL,
    Parameter(
        name="lookback",
        means="How far back from `end`, where `start` is missing: `1h`, `2d`.",
        read=reading.lookback,
        schema=naming.DURATION,
    ),
    Parameter(
        name="limit",
        means=naming.HOW_MANY,
        read=reading.whole_number,
        schema=naming.NUMBER_OF_TRACES,
    ),
    Parameter(
        name="minDuration",
        means="How long a tree lasts at least.",
        read=reading.duration,
        schema=naming.DURATION,
    ),
    Parameter(
        name="maxDuration",
        means="How long a tree lasts at most.",
        read=reading.duration,
        schema=naming.DURATION,
    ),
    Parameter(
        name="traceID",
        means="Give these traces instead of searching; those that there are not stand under `errors`.",
        read=reading.trace_id,
        schema=naming.TRACE_ID,
        repeated=True,
    ),
    PRETTY,
    RAW,
)
