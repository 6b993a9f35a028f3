"""What the query API tells about itself."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter("kubeweft_query_requests_total", "Answers of the query API.", ["route", "status"])
SECONDS = Histogram(
    "kubeweft_query_seconds",
    "Time to the end of an answer.",
    ["route"],
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60),
)
BROKEN_OFF = Counter(
    "kubeweft_query_broken_off_total", "Answers that ended before they were complete.", ["why"]
)
