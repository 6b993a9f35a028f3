"""Bytes to audit events: fast as long as all is well, event by event where one of them is not.

One event that cannot be read never takes the others of its batch with it; it is counted with a reason. What is no list
of audit events at all is ``BadInput``. No message quotes what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from kubeweft.model.errors import BadInput
from kubeweft.sources.audit import splitting
from kubeweft.sources.audit.wire import Annotations, RawEvent, ReadEvent, ResponseObject

API_VERSION: Final = "audit.k8s.io/v1"
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# Reasons for which an event is counted as bad: few and fixed, because each becomes a metric label.
WRONG_TYPE: Final = "a field is missing or has a wrong type"
NOT_READABLE: Final = "it cannot be decoded"

MOST_RESCUED: Final = (
    1_000  # a client breaks a few events of a batch; more, and it is no batch of an API server
)
SMALLEST_EVENT: Final = len('{"stage":"","auditID":""},')

ITEMS: Final = b'"items"'
HEAD: Final = (b'"kind"', b'"apiVersion"')
REQUEST_BODY: Final = frozenset({b'"requestObject"'})
RESPONSE_BODY: Final = frozenset({b'"responseObject"'})
BODIES: Final = (REQUEST_BODY, RESPONSE_BODY, REQUEST_BODY | RESPONSE_BODY)

Event = TypeVar("Event", ReadEvent, RawEvent)


class Decoded(NamedTuple):
    """The events of one body in their order, and why others could not be read."""

    events: Sequence[ReadEvent | RawEvent]
    bad: tuple[str, ...] = ()


class _Envelope(msgspec.Struct, rename="camel"):
    kind: str | None = None
    api_version: str | None = None


class _List(_Envelope, Generic[Event]):
    items: list[Event] | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_body = msgspec.json.Decoder(ResponseObject)


class EventDecoder(Generic[Event]):
    """Decodes audit events of one shape."""

    def __init__(self, shape: type[Event]) -> None:
        """``shape`` says what becomes of response bodies."""
        self._list = msgspec.json.Decoder(_List[shape])  # type: ignore[valid-type]  # a type made at run time
        self._event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(shape)

    def decode(self, body: bytes) -> Decoded:
        """What a webhook gets: an ``EventList``. One ``Event`` will do. Raises ``BadInput`` if it is neither."""
        decoded = self.decode_fast(body)
        return self.decode_carefully(body) if decoded is None else decoded

    def decode_fast(self, body: bytes) -> Decoded | None:
        """The same, or None if that takes care."""
        most = splitting.MOST_ELEMENTS
        if len(body) > most * SMALLEST_EVENT and body.count(b'"auditID"') > most:
            raise splitting.too_many()
        try:
            document = self._list.decode(body)
        except UNREADABLE:
            return None
        _check_kind(document.kind, document.api_version)
        if document.kind == "Event":
            return self._decode_each((body,))
        return Decoded(document.items or [])

    def decode_carefully(self, body: bytes) -> Decoded:
        """The same in a slow way: find the events without looking into them, then decode each for itself."""
        if not body.lstrip().startswith(b"{"):
            raise BadInput("no JSON object: an EventList or an Event is expected")
        splitter = splitting.Splitter(body)
        members, events = splitter.members(ITEMS)
        head = [name + b":" + splitter.part(members[name]) for name in HEAD if name in members]
        try:
            envelope = _envelope.decode(b"{" + b",".join(head) + b"}")
        except UNREADABLE:
            raise BadInput("kind or apiVersion is no string") from None
        _check_kind(envelope.kind, envelope.api_version)
        if envelope.kind == "Event":
            return self._decode_each((body,))
        if splitter.part(members.get(ITEMS, (0, 0)))[:1] not in (b"", b"n", b"["):
            raise BadInput("the items of the EventList are no list")
        return self._decode_each(splitter.part(span) for span in events)

    def decode_line(self, line: bytes) -> Decoded:
        """What a line of a log holds: an ``Event``. An ``EventList`` will do. Raises ``BadInput`` if it is neither."""
        try:
            event = self._event.decode(line)
        except UNREADABLE:
            return self.decode(line)
        _check_kind(event.kind, event.api_version)
        return Decoded([event]) if event.kind == "Event" else self.decode(line)

    def _decode_each(self, items: Iterable[bytes]) -> Decoded:
        events: list[Event] = []
        bad: list[str] = []
        for item in items:
            try:
                events.append(self._event.decode(item))
            except UNREADABLE as error:
                event = self._decode_without_bodies(item) if len(bad) < MOST_RESCUED else None
                if event is not None:
                    events.append(event)
                else:
                    bad.append(WRONG_TYPE if isinstance(error, msgspec.ValidationError) else NOT_READABLE)
        return Decoded(events, tuple(bad))

    def _decode_without_bodies(self, item: bytes) -> Event | None:
        """A client can break the bodies, but not what the API server says itself: keep as much as can be read."""
        for names in BODIES:
            try:
                event = self._event.decode(splitting.Splitter(item).without(names))
            except (*UNREADABLE, BadInput):
                continue
            if names >= RESPONSE_BODY:
                event.annotations = Annotations(truncated="true")  # as if the API server had cut it out
            return event
        return None


read_events: Final = EventDecoder(ReadEvent)
raw_events: Final = EventDecoder(RawEvent)


def response_body(event: ReadEvent | RawEvent) -> ResponseObject | None:
    """The response body of either shape; one that cannot be read says nothing."""
    if isinstance(event, ReadEvent):
        return event.response_object
    raw = event.response_object
    if not raw or raw == b"null":
        return None
    try:
        return _body.decode(raw)
    except UNREADABLE:
        return ResponseObject()


def _check_kind(kind: str | None, api_version: str | None) -> None:
    if kind not in ("EventList", "Event"):
        raise BadInput(f"neither an EventList nor an Event of {API_VERSION}: the kind is another or missing")
    if api_version != API_VERSION:
        raise BadInput(f"the apiVersion is not {API_VERSION}: set --audit-webhook-version={API_VERSION}")
