"""The fields of a Kubernetes Event that we read, in both of its forms.

``v1`` and ``events.k8s.io/v1`` are two spellings of one stored object; the API server converts between them without
loss. So that a watch of the one and an audited write of the other tell the same, both spellings are read into one
value here and nowhere else. Every field may be absent or null.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from kubeweft.model.errors import BadInput

Count = Annotated[
    int, msgspec.Meta(ge=-(2**31), lt=2**31)
]  # int32 in the API; more would not fit into a store


class Metadata(msgspec.Struct, gc=False):
    """What is read of the Event's own metadata. managedFields are not: an audit policy may leave them out."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    creation: str | None = msgspec.field(name="creationTimestamp", default=None)


class Involved(msgspec.Struct, gc=False, rename="camel"):
    """The object that the Event is about, as its reporter names it."""

    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    api_version: str | None = None
    field_path: str | None = None


class Source(msgspec.Struct, gc=False):
    """The reporter in the older form."""

    component: str | None = None
    host: str | None = None


class Series(msgspec.Struct, gc=False, rename="camel"):
    """Repeats in the newer form; the count lags behind by up to half an hour."""

    count: Count | None = None
    last_observed_time: str | None = None


class EventBody(msgspec.Struct, gc=False, rename="camel"):
    """One Event; of each pair of spellings, one is set."""

    kind: str | None = None
    metadata: Metadata | None = None
    involved_object: Involved | None = None
    regarding: Involved | None = None
    type: str | None = None
    reason: str | None = None
    action: str | None = None
    message: str | None = None
    note: str | None = None
    source: Source | None = None
    deprecated_source: Source | None = None
    reporting_component: str | None = None
    reporting_controller: str | None = None
    count: Count | None = None
    deprecated_count: Count | None = None
    series: Series | None = None
    event_time: str | None = None
    first_timestamp: str | None = None
    deprecated_first_timestamp: str | None = None
    last_timestamp: str | None = None
    deprecated_last_timestamp: str | None = None


_decoder = msgspec.json.Decoder(EventBody)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_json(raw: bytes | msgspec.Raw) -> EventBody:
    """One Event from JSON; raises ``BadInput`` if it is none."""
    try:
        return _decoder.decode(raw)
    except _UNREADABLE:
        raise BadInput("an Event cannot be read: it is no valid JSON, or a field has a wrong type") from None


def read_object(obj: object) -> EventBody:
    """One Event that has been decoded already, as a dict or with the members of :class:`EventBody` as attributes.

    Raises ``BadInput`` if it is none.
    """
    try:
        return msgspec.convert(obj, EventBody, from_attributes=True)
    except _UNREADABLE:
        raise BadInput("an Event cannot be read: a field has a wrong type") from None
