"""The parameters of the v3 dialect: canonical names in camelCase, and those that older clients still send."""

from __future__ import annotations

from kubeweft.display.serving.http import naming, reading
from kubeweft.display.serving.http.describing import Parameter
from kubeweft.model.errors import BadInput


def _refused(_: str) -> str:
    raise BadInput("this server does not take it")


SEARCH = (
    Parameter(
        name="query.serviceName",
        means="A view, alone or with a selection: `tree`, `tree ancestors`.",
        aliases=("query.service_name",),
    ),
    Parameter(
        name="query.operationName",
        means="A cluster.",
        aliases=("query.operation_name", "query.span_name", "query.spanName"),
    ),
    Parameter(
        name="query.attributes",
        means=f"Tags as a JSON object of texts: {naming.SELECTING}.",
        read=reading.tags,
        schema=naming.TAGS_OBJECT,
        repeated=True,
    ),
    Parameter(
        name="query.startTimeMin",
        means="From when; without it, 48 hours before the end.",
        read=reading.unset_or_rfc3339,
        schema=naming.MOMENT,
        aliases=("query.start_time_min",),
    ),
    Parameter(
        name="query.startTimeMax",
        means="Until when; without it, now.",
        read=reading.unset_or_rfc3339,
        schema=naming.MOMENT,
        aliases=("query.start_time_max",),
    ),
    Parameter(
        name="query.durationMin",
        means="How long a tree lasts at least.",
        read=reading.duration,
        schema=naming.DURATION,
        aliases=("query.duration_min",),
    ),
    Parameter(
        name="query.durationMax",
        means="How long a tree lasts at most.",
        read=reading.duration,
        schema=naming.DURATION,
        aliases=("query.duration_max",),
    ),
    Parameter(
        name="query.searchDepth",
        means=naming.HOW_MANY,
        read=reading.whole_number,
        schema=naming.NUMBER_OF_TRACES,
        aliases=("query.search_depth", "query.num_traces", "query.numTraces", "query.pagination.pageSize"),
    ),
    Parameter(
        name="query.rawTraces",
        means="Taken and without effect: nothing here adjusts a trace.",
        read=reading.truth,
        schema=naming.TRUTH,
        aliases=("query.raw_traces",),
    ),
    Parameter(name="query.filter", means="Refused: structured filters are not offered.", read=_refused),
    Parameter(name="query.pagination.pageToken", means="Refused: there is one page.", read=_refused),
)
RANGE = (
    Parameter(
        name="startTime",
        means="From when.",
        read=reading.unset_or_rfc3339,
        schema=naming.MOMENT,
        aliases=("start_time",),
    ),
    Parameter(
        name="endTime",
        means="Until when.",
        read=reading.unset_or_rfc3339,
        schema=naming.MOMENT,
        aliases=("end_time",),
    ),
)
TRACE = (
    naming.TRACE_ID_IN_PATH,
    *RANGE,
    Parameter(
        name="rawTraces",
        means="Taken and without effect: nothing here adjusts a trace.",
        read=reading.truth,
        schema=naming.TRUTH,
        aliases=("raw_traces",),
    ),
)
