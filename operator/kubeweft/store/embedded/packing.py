"""A span as few bytes: what repeats is written once, in the table ``texts``, and named by number.

Attribute names of one span, in their order, are one text (a *shape*), because a few dozen shapes make up all spans.
Values that many spans share (user, user agent, verb, kind …) become texts when they are met in a sample of the spans,
so that rare ones stay where they are. Both are bounded: what does not fit is written out in the span. Measured on a
recorded rollout: 567 bytes per span become 202, and the writing gets faster, for less is copied.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

import msgspec

from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import SOURCES, Span, SpanLink

MOST_TEXTS = 30_000  # a text is named by two bytes, and all of them are held in memory
MOST_VALUES = 25_000  # the rest is kept for shapes
LONGEST_VALUE = 512
SHORTEST_VALUE = 4  # a reference takes four bytes itself
SAMPLE_EVERY = 16
WRITTEN_OUT = 0  # the shape of a span that carries its attribute names itself
SOURCE_NUMBERS = {source: number for number, source in enumerate(SOURCES)}
REPEATING = frozenset(
    {
        v.AUDIT_LEVEL,
        v.VERB,
        v.USER,
        v.IMPERSONATED_USER,
        v.USER_AGENT,
        v.CLIENT_ADDRESS,
        v.SUBRESOURCE,
        v.FAILURE_REASON,
        v.KIND,
        v.API_VERSION,
        v.CHANGE_TYPE,
        v.TIME_SOURCE,
        v.FIELD_MANAGER,
        v.FIELD_MANAGER_OPERATION,
        v.FIELD_MANAGER_SUBRESOURCE,
        v.EVENT_TYPE,
        v.EVENT_REASON,
        v.EVENT_ACTION,
        v.EVENT_REPORTER,
        v.LINK_ROLE,
        v.LINK_CLASS,
        v.LINK_RULE,
        v.LINK_CLUSTER,
        v.LINK_GROUP,
        v.LINK_RESOURCE,
        v.LINK_NAMESPACE,
        v.GAP_REASON,
        v.GAP_OBSERVER,
    }
)


class Payload(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is stored of a span in its row.

    ``head`` is the shape's number and the source. ``values`` are those of the attributes (a mapping with their names,
    where the shape is ``WRITTEN_OUT``); one that is bytes is the number of a text, for attributes are never bytes.
    """

    head: int
    parent_span_id: bytes
    name: str
    start: int
    duration: int
    values: Any
    links: tuple[SpanLink, ...] = ()
    error: str = ""


_encode = msgspec.msgpack.Encoder().encode
decode_payload = msgspec.msgpack.Decoder(Payload).decode
_encode_names = msgspec.json.Encoder().encode
_decode_names = msgspec.json.Decoder(tuple[str, ...]).decode


class Shape(NamedTuple):
    """The attribute names of a span: their number, and where values stand that may be texts."""

    number: int
    repeating: tuple[int, ...]


class Packer:
    """Makes payloads, inside a transaction of a writing connection."""

    def __init__(
        self, connection: sqlite3.Connection, *, most_values: int = MOST_VALUES, most_texts: int = MOST_TEXTS
    ) -> None:
        """Texts are looked up as they are needed; values become texts until there are ``most_values``."""
        self._connection = connection
        self._most_values = most_values
        self._most_texts = most_texts
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._texts: dict[str, bytes] = {}
        self._free: list[int] | None = None  # numbers of no text, the lowest last; None if they are unknown

    def forget(self) -> None:
        """Forget what was learned: the transaction has been rolled back, or texts have been removed."""
        self._shapes.clear()
        self._texts.clear()
        self._free = None

    def learn(self, spans: list[Span]) -> None:
        """Make texts of the values that repeat, from a sample of ``spans``."""
        for span in spans[::SAMPLE_EVERY]:
            for name, value in span.attributes.items():
                if name in REPEATING and value not in self._texts:
                    self._learn_value(value)

    def pack(self, span: Span) -> bytes:
        """The payload of a span: all of it but its trace, object, ID and body."""
        attributes = span.attributes
        names = tuple(attributes)
        shape = self._shapes.get(names) or self._shape(names)
        number, repeating = shape
        source = SOURCE_NUMBERS[span.source]
        values: Any
        if number == WRITTEN_OUT:
            values = attributes
        else:
            values = list(attributes.values())
            texts = self._texts
            for index in repeating:
                value = values[index]
                values[index] = texts.get(value, value)
        start = span.start
        always = (number * 8 + source, span.parent_span_id, span.name, start, span.end - start, values)
        if span.links or span.error:
            return _encode((*always, span.links, span.error))
        return _encode(always)

    def _learn_value(self, value: object) -> None:
        if not isinstance(value, str) or not SHORTEST_VALUE < len(value) <= LONGEST_VALUE:
            return
        number = self._text(value, keep=self._most_texts - self._most_values)
        if number:
            self._texts[value] = number.to_bytes(2, "big")

    def _shape(self, names: tuple[str, ...]) -> Shape:
        number = self._text(_encode_names(names).decode(), keep=0)
        shape = Shape(number, tuple(index for index, name in enumerate(names) if name in REPEATING))
        if number:
            self._shapes[names] = shape
        return shape

    def _text(self, text: str, *, keep: int) -> int:
        """The number of a text, which may be new; 0 if no more than ``keep`` numbers are left."""
        connection = self._connection
        known = connection.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
        if known is not None:
            return int(known[0])
        free = self._free_numbers()
        while len(free) > keep:
            number = free.pop()
            added = connection.execute(
                "INSERT OR IGNORE INTO texts(id, text) VALUES(?, ?)", (number, text)
            ).rowcount
            if added:  # else another process has used it meanwhile
                return number
        return 0

    def _free_numbers(self) -> list[int]:
        if self._free is None:
            used = {number for (number,) in self._connection.execute("SELECT id FROM texts")}
            self._free = [number for number in range(self._most_texts, 0, -1) if number not in used]
        return self._free


class Place(NamedTuple):
    """Where the spans of one window belong."""

    trace_id: bytes
    key: ObjectKey
    type: int


class Unpacker:
    """Makes spans of payloads again, on a reading connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Texts are read as they are met; they do not change until they are removed."""
        self._connection = connection
        self._texts: dict[int, str] = {}
        self._values: dict[bytes, str] = {}
        self._shapes: dict[int, tuple[str, ...]] = {}

    def forget(self) -> None:
        """Forget all texts: numbers may mean something else now."""
        self._texts.clear()
        self._values.clear()
        self._shapes.clear()

    def unpack(self, place: Place, *, span_id: bytes, payload: bytes, body: bytes) -> Span:
        """The span, equal to the one written, its attributes in their order."""
        packed = decode_payload(payload)
        number = packed.head >> 3
        values = packed.values
        if number == WRITTEN_OUT:
            attributes = values
        else:
            names = self._shapes.get(number) or self._shape(number)
            texts = self._values
            for index, value in enumerate(values):
                if value.__class__ is bytes:
                    values[index] = texts.get(value) or self._value(value)
            attributes = dict(zip(names, values, strict=True))
        return Span(
            place.trace_id,
            span_id,
            packed.parent_span_id,
            SOURCES[packed.head & 7],
            place.key,
            packed.name,
            packed.start,
            packed.start + packed.duration,
            attributes,
            packed.links,
            packed.error,
            body,
        )

    def names_of(self, shape: int) -> tuple[str, ...]:
        """The attribute names of a shape."""
        return self._shapes.get(shape) or self._shape(shape)

    def text_of(self, number: bytes) -> str:
        """The text that a value refers to."""
        return self._values.get(number) or self._value(number)

    def _value(self, number: bytes) -> str:
        text = self._values[number] = self._text(int.from_bytes(number, "big"))
        return text

    def _shape(self, number: int) -> tuple[str, ...]:
        names = self._shapes[number] = _decode_names(self._text(number))
        return names

    def _text(self, number: int) -> str:
        if not self._texts:  # all that there are by now
            self._texts.update(self._connection.execute("SELECT id, text FROM texts"))
        if number not in self._texts:
            query = "SELECT text FROM texts WHERE id = ?"
            self._texts[number] = self._connection.execute(query, (number,)).fetchone()[0]
        return self._texts[number]


def texts_used(payload: bytes) -> set[int]:
    """The numbers of the texts that a payload refers to; 0, which is none, may be among them."""
    packed = decode_payload(payload)
    values = packed.values
    used = {packed.head >> 3}
    if values.__class__ is list:
        used.update(int.from_bytes(value, "big") for value in values if value.__class__ is bytes)
    return used


def start_in(payload: bytes) -> int:
    """When the span of a payload begins."""
    return decode_payload(payload).start
