"""From a Kubernetes Event to an observation about the object it involves. Pure.

An Event seen by a watch and the same Event in the body of an audited write must give the same observation, byte for
byte. Therefore only fields are used that both always have: never managedFields, never the time of receipt.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, Protocol

from kubeweft.model.errors import BadInput
from kubeweft.model.observations import EventSeen
from kubeweft.model.references import ObjectKey, ResourceType, group_of
from kubeweft.model.timestamps import NANOSECONDS, parse_timestamp
from kubeweft.sources.events.body import EventBody, Involved, read_json, read_object
from kubeweft.sources.events.redacting import ObjectRedactor, hide_fields, hides_fields

MOST_SKEW = 60 * NANOSECONDS
LATEST = 2**63 - 1  # stores and OTLP hold times in 64 bits
LONGEST_NAME = 253
LONGEST_WORD = 1024  # the newer API allows 128; the older one anything
LONGEST_MESSAGE = 4096  # the newer API allows 1024; the older one anything


class KindTable(Protocol):
    """What has to be known about kinds; :class:`kubeweft.model.kinds.Kinds` is one."""

    def resource_of(self, group: str, kind: str) -> ResourceType | None:
        """The resource type of a kind, or None while it is unknown."""

    def lookup(self, word: str) -> list[ResourceType]:
        """All resource types a word may mean."""


class EventRedactor(ObjectRedactor, Protocol):
    """What is asked of :class:`kubeweft.model.redaction.Redactor` here."""

    def redact_text(self, text: str) -> str:
        """The text without what looks like a secret."""


class Unresolved(NamedTuple):
    """An Event about an object whose kind is not known (yet): it cannot be placed until the kind is learned."""

    group: str
    kind: str
    body: EventBody


class Times(NamedTuple):
    """When an Event happened first and last, and how many seconds its reporter's clock was ahead."""

    first: int
    last: int
    skew_seconds: int


def parse_event(
    cluster: str, obj: dict[str, Any], kinds: KindTable, redactor: EventRedactor
) -> EventSeen | Unresolved:
    """One decoded Event in either form. Raises ``BadInput`` if it is none."""
    return EventReader(cluster, kinds=kinds, redactor=redactor).read(obj)


class EventReader:
    """Reads the Events of one cluster under one set of rules."""

    def __init__(self, cluster: str, *, kinds: KindTable, redactor: EventRedactor) -> None:
        """A changed plan takes a new reader."""
        self._cluster = cluster
        self._kinds = kinds
        self._redactor = redactor
        self._hides_fields = hides_fields(redactor)

    def read(self, obj: object) -> EventSeen | Unresolved:
        """One decoded Event: a dict, or a value that has its members as attributes.

        Raises ``BadInput`` if it is none: it names no object, or has neither a UID nor any time.
        """
        return self.resolve(read_object(obj))

    def read_json(self, raw: bytes) -> EventSeen | Unresolved:
        """One Event as JSON. Raises ``BadInput`` if it is none."""
        return self.resolve(read_json(raw))

    def resolve(self, body: EventBody) -> EventSeen | Unresolved:
        """The observation that ``body`` makes, or ``Unresolved`` while the kind of its object is unknown."""
        if self._hides_fields:
            body = hide_fields(body, self._redactor)
        metadata, involved = body.metadata, body.involved_object or body.regarding
        if metadata is None or not metadata.uid:
            raise BadInput("an Event has no metadata.uid")
        if involved is None or not involved.kind or not is_name(involved.name):
            raise BadInput("an Event names no object that can exist")
        times = times_of(body)
        group, kind = group_of(involved.api_version or ""), involved.kind
        resource = self._kinds.resource_of(group, kind) or self._only_kind(involved)
        if resource is None:
            return Unresolved(group, kind, body)
        name = involved.name or ""
        namespace = (involved.namespace or metadata.namespace or "") if resource.namespaced else ""
        return EventSeen(
            key=ObjectKey(self._cluster, resource.group, resource.resource, namespace, name),
            kind=kind,
            api_version=involved.api_version or "",
            uid="" if involved.uid == name else (involved.uid or "")[:LONGEST_NAME],  # kubelet: a Node's name
            field_path=(involved.field_path or "")[:LONGEST_WORD],
            event_uid=metadata.uid[:LONGEST_NAME],
            event_name=(metadata.name or "")[:LONGEST_NAME],
            type=(body.type or "")[:LONGEST_WORD],
            reason=(body.reason or "")[:LONGEST_WORD],
            action=(body.action or "")[:LONGEST_WORD],
            message=self._redactor.redact_text(body.message or body.note or "")[:LONGEST_MESSAGE],
            reporter=_reporter(body)[:LONGEST_WORD],
            count=count_of(body),
            series=body.series is not None,
            first=times.first,
            last=times.last,
            skew_seconds=times.skew_seconds,
        )

    def _only_kind(self, involved: Involved) -> ResourceType | None:
        """Some reporters name the kind only: that will do if there is just one of that name."""
        if involved.api_version:
            return None
        named = [known for known in self._kinds.lookup(involved.kind or "") if known.kind == involved.kind]
        return named[0] if len(named) == 1 else None


def count_of(body: EventBody) -> int:
    """How often it has happened so far: with the UID, this names one state of the Event."""
    series = body.series.count if body.series is not None else None
    return max(series or body.count or body.deprecated_count or 1, 1)


def times_of(body: EventBody) -> Times:
    """The Event's own times, brought back to the API server's where the reporter's clock was ahead of it.

    The clock is judged by what cannot be: that the Event first happened after the API server created it. What was
    ahead then is taken off the last time too. To compare the last time itself with the creation would be wrong (an
    Event may be repeated for hours), and to compare it with a newer write would need managedFields. Raises
    ``BadInput`` if no time is told.
    """
    created = _time(body.metadata.creation if body.metadata is not None else None)
    happened = _time(body.event_time)
    last = (
        _time(body.series.last_observed_time if body.series is not None else None)
        or _time(body.last_timestamp or body.deprecated_last_timestamp)
        or happened
        or created
    )
    if not last:
        raise BadInput("an Event tells no time")
    first = _time(body.first_timestamp or body.deprecated_first_timestamp) or happened
    if not first:
        first = last if count_of(body) == 1 else created or last
    ahead = first - created
    if created and ahead > MOST_SKEW:
        return Times(created, max(created, last - ahead), ahead // NANOSECONDS)
    return Times(min(first, last), last, 0)


def is_name(name: str | None) -> bool:
    """Whether an object can have this name. Events, and requests that fail, may name anything."""
    return name is not None and 0 < len(name) <= LONGEST_NAME and "/" not in name and name.isprintable()


def _reporter(body: EventBody) -> str:
    source = body.source or body.deprecated_source
    component = (source.component if source is not None else None) or (
        body.reporting_component or body.reporting_controller or ""
    )
    return f"{component}, {source.host}" if source is not None and source.host else component


@functools.lru_cache(maxsize=4096)  # the times of an Event are whole seconds, and mostly one and the same
def _time(text: str | None) -> int:
    time = parse_timestamp(text) if text else 0
    return time if 0 < time <= LATEST else 0
