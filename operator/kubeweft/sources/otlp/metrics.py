"""What the OTLP endpoint tells about itself; every span that is not kept is counted somewhere here."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

REQUESTS = Counter(
    "kubeweft_otlp_requests_total",
    "Answers of the OTLP endpoint: ok, partial (some spans refused), later (come again), bad.",
    ["protocol", "outcome"],
)
SPANS = Counter("kubeweft_otlp_spans_total", "Spans of other systems that are durable.")
REFUSED = Counter(
    "kubeweft_otlp_refused_spans_total",
    "Spans that were refused: ours (Kubeweft's own), or with an ID or a beginning that is none.",
    ["reason"],
)
BYTES_IN_FLIGHT = Gauge("kubeweft_otlp_bytes_in_flight", "Bytes of spans received, not yet answered.")
