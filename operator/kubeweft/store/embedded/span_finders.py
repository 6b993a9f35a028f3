"""Looking for something in the payloads of spans, without making spans of them: most are passed by at a glance."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

import msgspec

from kubeweft.model import vocabulary as v
from kubeweft.model.spans import SOURCES, AttributeValue
from kubeweft.store.embedded.packing import (
    MOST_TEXTS,
    WRITTEN_OUT,
    Payload,
    Unpacker,
    decode_payload,
)
from kubeweft.store.embedded.recording import TIMELESS
from kubeweft.store.interfaces import Told, as_text

TIMELESS_NUMBERS: Final = frozenset(number for number, source in enumerate(SOURCES) if source in TIMELESS)
NEITHER_LINKS_NOR_ERROR: Final = 0x96  # the first byte of a payload of six values, as MessagePack writes them


class Times(NamedTuple):
    """When a span begins and ends."""

    start: int
    end: int


ALWAYS: Final = Times(-(2**63), 2**63 - 1)
"""Of a span without a time of its own, which is in its window all the time."""


class SpanFinder(Protocol):
    """Looks into payloads."""

    def find(self, payload: bytes) -> Times | None:
        """When the span is, if it tells what is looked for."""


class TextFinder:
    """Looks for one text in payloads, without making spans of them."""

    def __init__(self, unpacker: Unpacker, text: str, *, names: frozenset[str]) -> None:
        """``text`` is casefolded; it is looked for in a span's name, its error and its attributes with these ``names``."""
        self._unpacker = unpacker
        self._text = text
        self._names = names
        self._places: dict[int, tuple[int, ...]] = {}
        self._told: dict[bytes | str, bool] = {}  # of texts that spans share, and their names

    def find(self, payload: bytes) -> Times | None:
        """When the span is, if it tells the text; object and link spans tell none that is searched."""
        packed = decode_payload(payload)
        if packed.head & 7 in TIMELESS_NUMBERS:
            return None
        if self._tells(packed.name) or (packed.error and self._text in packed.error.casefold()):
            return Times(packed.start, packed.start + packed.duration)
        for value in self._searched(packed):
            if self._tells(value) if value.__class__ is bytes else self._text in str(value).casefold():
                return Times(packed.start, packed.start + packed.duration)
        return None

    def _searched(self, packed: Payload) -> list[Any]:
        number, values = packed.head >> 3, packed.values
        if number == WRITTEN_OUT:
            return [value for name, value in values.items() if name in self._names]
        places = self._places.get(number)
        if places is None:
            names = self._unpacker.names_of(number)
            places = self._places[number] = tuple(
                index for index, name in enumerate(names) if name in self._names
            )
        return [values[index] for index in places]

    def _tells(self, name: bytes | str) -> bool:
        told = self._told.get(name)
        if told is None:
            if len(self._told) >= MOST_TEXTS:
                self._told.clear()
            text = name if isinstance(name, str) else self._unpacker.text_of(name)
            told = self._told[name] = self._text in text.casefold()
        return told


class _Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The beginning of a payload; the rest is passed over."""

    head: int


_decode_head = msgspec.msgpack.Decoder(_Head).decode


class ToldFinder:
    """Looks for spans that tell an error, or have attributes."""

    def __init__(self, unpacker: Unpacker, told: Told) -> None:
        """Of ``told`` everything has to be in one span; its source counts as an attribute."""
        self._unpacker = unpacker
        self._failed = told.failed
        self._sources = {value for name, value in told.attributes if name == v.SOURCE}
        self._wanted = tuple(one for one in told.attributes if one[0] != v.SOURCE)
        self._places: dict[int, tuple[int, ...] | None] = {}

    def find(self, payload: bytes) -> Times | None:
        """When the span is, if it tells everything."""
        if self._failed and payload[0] == NEITHER_LINKS_NOR_ERROR:
            return None
        head = _decode_head(payload).head
        places = self._places_in(head >> 3)
        if places is None or (self._sources and self._sources != {SOURCES[head & 7]}):
            return None
        packed = decode_payload(payload)
        if (self._failed and not packed.error) or not self._has_all(packed, places):
            return None
        return ALWAYS if head & 7 in TIMELESS_NUMBERS else Times(packed.start, packed.start + packed.duration)

    def _places_in(self, shape: int) -> tuple[int, ...] | None:
        """Where a span of this shape has the attributes; None where it has not all of them."""
        if shape not in self._places:
            names = () if shape == WRITTEN_OUT else self._unpacker.names_of(shape)
            known = {name: index for index, name in enumerate(names)}
            has_all = all(name in known for name, _ in self._wanted)
            here = tuple(known[name] for name, _ in self._wanted) if has_all else None
            self._places[shape] = () if shape == WRITTEN_OUT else here
        return self._places[shape]

    def _has_all(self, packed: Payload, places: tuple[int, ...]) -> bool:
        values = packed.values
        if packed.head >> 3 == WRITTEN_OUT:
            return all(name in values and as_text(values[name]) == value for name, value in self._wanted)
        return all(
            self._text(values[index]) == value for index, (_, value) in zip(places, self._wanted, strict=True)
        )

    def _text(self, value: AttributeValue | bytes) -> str:
        return self._unpacker.text_of(value) if isinstance(value, bytes) else as_text(value)


class BothFinder:
    """Looks for spans that two finders find; the first is asked first, and its time counts."""

    def __init__(self, first: SpanFinder, second: SpanFinder) -> None:
        self._first = first
        self._second = second

    def find(self, payload: bytes) -> Times | None:
        """When the span is, if both find it."""
        times = self._first.find(payload)
        return times if times is not None and self._second.find(payload) is not None else None
