"""Takes JSON apart without judging its contents: the way round a value that breaks the decoder.

Any user who may send a patch can put into the audit log what a strict decoder refuses (thousands of nested brackets,
half a surrogate pair: the API server keeps patches as sent). Refusing the whole batch would let such a user hide the
requests of everybody else in it. This is a few times slower than the decoder, and only used when that has failed.
"""

from __future__ import annotations

import json
import re
from typing import Final

from kubeweft.model.errors import BadInput

DEEPEST: Final = 10_001  # Go's decoder, and so the API server, refuses more than 10,000
MOST_ELEMENTS: Final = 100_000

_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STRUCTURE: Final = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL
)  # the lone quote: an endless string
_SCALAR: Final = re.compile(r'[^\s,\]}\[{"]+')
_SPACE: Final = re.compile(r"[ \t\r\n]*")

# The standard library takes what is no strict JSON too, and says where a value ends. Numbers need not be understood.
_lenient = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)

Span = tuple[int, int]


class Splitter:
    """Finds where the parts of one JSON text begin and end. Raises ``BadInput`` where its structure is broken."""

    def __init__(self, data: bytes) -> None:
        """``data`` may be any bytes."""
        self.data = data
        self._text = data.decode("latin-1")  # a character for each byte: positions are the same in both

    def members(self, array: bytes = b"") -> tuple[dict[bytes, Span], list[Span]]:
        """Where the values of the object are that the whole text is, by their names with quotes; the last counts.

        With the name of an ``array`` among them also where its elements are, if it is one.
        """
        found: dict[bytes, Span] = {}
        elements: list[Span] = []
        position = self._space(self._expect(self._space(0), "{"))
        closed = self._text.startswith("}", position)
        while not closed:
            name = _STRING.match(self._text, position)
            if name is None:
                raise broken()
            key = name.group().encode("latin-1")
            start = self._space(self._expect(self._space(name.end()), ":"))
            if key == array and self._text.startswith("[", start):
                elements, end = self._elements(start)
            else:
                end = self._end_of_value(start)
            found[key] = start, end
            closed, position = self._next(end, "}")
        if self._space(position + 1) != len(self._text):
            raise broken()
        return found, elements

    def _elements(self, start: int) -> tuple[list[Span], int]:
        found: list[Span] = []
        position = self._space(start + 1)
        closed = self._text.startswith("]", position)
        while not closed:
            end = self._end_of_value(position)
            found.append((position, end))
            if len(found) > MOST_ELEMENTS:
                raise too_many()
            closed, position = self._next(end, "]")
        return found, position + 1

    def _next(self, end: int, close: str) -> tuple[bool, int]:
        """Behind a value: whether the bracket closes, and where it does or the next part begins."""
        position = self._space(end)
        if self._text.startswith(close, position):
            return True, position
        return False, self._space(self._expect(position, ","))

    def part(self, span: Span) -> bytes:
        """The bytes at ``span``."""
        return self.data[span[0] : span[1]]

    def without(self, names: frozenset[bytes]) -> bytes:
        """The object that the whole text is, without some of its members."""
        kept = [
            name + b":" + self.part(span) for name, span in self.members()[0].items() if name not in names
        ]
        return b"{" + b",".join(kept) + b"}"

    def _end_of_value(self, start: int) -> int:
        if self._text.startswith(("{", "["), start):
            try:
                return _lenient.raw_decode(self._text, start)[1]
            except (ValueError, RecursionError):
                return self._end_of_brackets(start)
        match = (_STRING if self._text.startswith('"', start) else _SCALAR).match(self._text, start)
        if match is None:
            raise broken()
        return match.end()

    def _end_of_brackets(self, start: int) -> int:
        depth = 0
        for match in _STRUCTURE.finditer(self._text, start):
            token = match.group()
            if token in ("{", "["):
                depth += 1
                if depth > DEEPEST:
                    raise BadInput("the JSON is nested deeper than any API server accepts")
            elif token in ("}", "]"):
                depth -= 1
                if not depth:
                    return match.end()
            elif token == '"':
                break
        raise broken()

    def _expect(self, position: int, what: str) -> int:
        if not self._text.startswith(what, position):
            raise broken()
        return position + 1

    def _space(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        return match.end() if match is not None else position


def broken() -> BadInput:
    """What is said of a text that is no JSON."""
    return BadInput("the JSON is broken or cut off")


def too_many() -> BadInput:
    """What is said of a body that only an attacker would send."""
    return BadInput(f"more than {MOST_ELEMENTS} events in one body: lower --audit-webhook-batch-max-size")
