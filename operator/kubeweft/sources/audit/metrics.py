"""What the audit webhook tells about itself; every event that made no observation is counted somewhere here."""

from __future__ import annotations

from collections import Counter as Tally

from prometheus_client import Counter, Gauge

from kubeweft.sources.audit.parsed import Parsed

REQUESTS = Counter("kubeweft_audit_requests_total", "Answers of the audit webhook.", ["status"])
BYTES = Counter("kubeweft_audit_bytes_total", "Bytes of audit events received whole.")
BYTES_IN_FLIGHT = Gauge("kubeweft_audit_bytes_in_flight", "Bytes of audit events received, not yet answered.")
EVENTS = Counter(
    "kubeweft_audit_events_total",
    "Audit events: accepted (durable), omitted (wanted by no policy), ignored (no request on an object), unresolved "
    "(a Kubernetes Event about an unknown kind), bad (not readable).",
    ["outcome"],
)
BAD_EVENTS = Counter("kubeweft_audit_bad_events_total", "Audit events that could not be read.", ["reason"])
UNTRUSTED_BODIES = Counter(
    "kubeweft_audit_untrusted_bodies_total", "Bodies of successful writes that do not fit their object."
)
UNRESOLVED_DROPPED = Counter(
    "kubeweft_audit_unresolved_dropped_total", "Kubernetes Events given up because their kind stayed unknown."
)
LAST_EVENT = Gauge("kubeweft_audit_last_event_timestamp_seconds", "Newest completion of an audited request.")


def count(parsed: Parsed) -> None:
    """Count one slice; call it after what it holds is durable."""
    for outcome, number in (
        ("accepted", len(parsed.observations)),
        ("omitted", parsed.omitted),
        ("ignored", parsed.ignored),
        ("unresolved", len(parsed.unresolved)),
        ("bad", len(parsed.bad)),
    ):
        if number:
            EVENTS.labels(outcome=outcome).inc(number)
    for reason, number in Tally(parsed.bad).items():
        BAD_EVENTS.labels(reason=reason).inc(number)
    UNTRUSTED_BODIES.inc(parsed.untrusted)
    if parsed.last_time:
        LAST_EVENT.set(parsed.last_time / 1e9)
