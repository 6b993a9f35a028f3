"""The fields of Events that a policy hides, in whichever of the two spellings it names them.

Nearly all policies hide none, so that is found out once: by handing over an Event and looking whether it comes back
as it was. Messages are another matter: they go through the patterns for texts in any case.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from kubeweft.sources.events.body import EventBody, Involved, Metadata, Series, Source, read_object

SPELLINGS: Final = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "reportingComponent": "reportingController",
    "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
}
TYPES: Final = (("", "events"), ("events.k8s.io", "events"))

_PROBE: Final = EventBody(
    metadata=Metadata(name="probe", namespace="probe", uid="probe", creation="2026-01-01T00:00:00Z"),
    involved_object=Involved(*["probe"] * 6),
    type="probe",
    reason="probe",
    action="probe",
    message="probe",
    source=Source("probe", "probe"),
    reporting_component="probe",
    count=1,
    series=Series(1, "2026-01-01T00:00:00Z"),
    event_time="2026-01-01T00:00:00Z",
    first_timestamp="2026-01-01T00:00:00Z",
    last_timestamp="2026-01-01T00:00:00Z",
)


class ObjectRedactor(Protocol):
    """What is asked of :class:`kubeweft.model.redaction.Redactor` for fields."""

    def redact_object(self, group: str, resource: str, obj: dict[str, Any]) -> None:
        """Take secret fields out of an object, in place."""


def hides_fields(redactor: ObjectRedactor) -> bool:
    """Whether any policy hides a field that Events are read from."""
    return hide_fields(_PROBE, redactor) != _PROBE


def hide_fields(body: EventBody, redactor: ObjectRedactor) -> EventBody:
    """The Event without the fields that policies hide. Raises ``BadInput`` if nothing usable is left."""
    sent = _only_set(msgspec.to_builtins(body))
    spelled_alike = {core: sent.get(core, sent.get(newer)) for core, newer in SPELLINGS.items()}
    both = {**sent, **spelled_alike, **{newer: spelled_alike[core] for core, newer in SPELLINGS.items()}}
    shown = _only_set(both)
    for group, resource in TYPES:
        redactor.redact_object(group, resource, shown)
    for core, newer in SPELLINGS.items():
        if shown.get(core) == spelled_alike[core]:
            shown[core] = shown.get(newer)
        shown.pop(newer, None)
    return read_object(shown)


def _only_set(fields: dict[str, Any]) -> dict[str, Any]:
    """Without nulls, at any depth: there is nothing to hide in them. Nested values are copied."""
    return {
        name: _only_set(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if value is not None
    }
