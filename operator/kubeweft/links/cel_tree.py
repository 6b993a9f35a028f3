"""The compiled form of a CEL expression as a tree of a few kinds of nodes.

The evaluator hands out the form only as a serialized ``cel.expr.CheckedExpr``, whose message types no package brings
along; the wire format of protocol buffers is simple enough to read what is needed. Unknown parts are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kubeweft.model.errors import BadInput


class Const(NamedTuple):
    """A literal; ``text`` is empty for what is neither text nor bytes."""

    text: str
    is_string: bool = False


class Ident(NamedTuple):
    """A variable."""

    name: str


class Select(NamedTuple):
    """A field of something; ``tested``: not its value is asked for, but whether it is there."""

    operand: Node
    field: str
    tested: bool = False


class Call(NamedTuple):
    """A function or operator; the target of a method is the first item."""

    function: str
    items: tuple[Node, ...]


class Listing(NamedTuple):
    """A list, map or message literal with its keys and values."""

    items: tuple[Node, ...]


class Loop(NamedTuple):
    """A comprehension: what macros such as ``map`` and ``exists`` become."""

    variable: str
    second: str
    range: Node
    result: str
    start: Node
    condition: Node
    step: Node
    outcome: Node


Node = Const | Ident | Select | Call | Listing | Loop
_NOTHING = Const("")


def read_tree(serialized: bytes) -> Node:
    """The tree of a serialized expression. Raises ``BadInput`` where it has another form."""
    try:
        checked = serialized
        wrapped = _message(serialized)
        if isinstance(wrapped.get(1), bytes) and bytes(wrapped[1]).startswith(b"type.googleapis.com/"):
            checked = _bytes(wrapped, 2)
        return _node(_bytes(_message(checked), 4))
    except (IndexError, KeyError, TypeError, UnicodeDecodeError, RecursionError):
        raise BadInput("the expression has a form that cannot be bounded") from None


def _node(data: bytes) -> Node:
    message = _message(data)
    if 3 in message:
        return _constant(_bytes(message, 3))
    if 4 in message:
        return Ident(_text(_message(_bytes(message, 4)), 1))
    if 5 in message:
        select = _message(_bytes(message, 5))
        return Select(_child(select, 1), _text(select, 2), tested=bool(select.get(3)))
    if 6 in message:
        return _call(_bytes(message, 6))
    if 7 in message:
        return Listing(tuple(_node(value) for value in _repeated(_bytes(message, 7), 1)))
    if 8 in message:
        entries = [_message(value) for value in _repeated(_bytes(message, 8), 2)]
        return Listing(tuple(_child(entry, field) for entry in entries for field in (3, 4)))
    if 9 in message:
        return _loop(_message(_bytes(message, 9)))
    return _NOTHING


def _constant(data: bytes) -> Const:
    message = _message(data)
    texts = [value for value in message.values() if isinstance(value, bytes)]
    return Const(texts[0].decode(errors="replace") if texts else "", is_string=6 in message)


def _call(data: bytes) -> Call:
    message = _message(data)
    target = (_child(message, 1),) if 1 in message else ()
    return Call(_text(message, 2), (*target, *(_node(value) for value in _repeated(data, 3))))


def _loop(message: dict[int, bytes | int]) -> Loop:
    return Loop(
        variable=_text(message, 1),
        second=_text(message, 8),
        range=_child(message, 2),
        result=_text(message, 3),
        start=_child(message, 4),
        condition=_child(message, 5),
        step=_child(message, 6),
        outcome=_child(message, 7),
    )


def _child(message: dict[int, bytes | int], field: int) -> Node:
    return _node(_bytes(message, field)) if field in message else _NOTHING


def _text(message: dict[int, bytes | int], field: int) -> str:
    return _bytes(message, field).decode() if field in message else ""


def _bytes(message: dict[int, bytes | int], field: int) -> bytes:
    value = message[field]
    if not isinstance(value, bytes):
        raise TypeError(field)
    return value


def _message(data: bytes) -> dict[int, bytes | int]:
    return dict(_fields(data))


def _repeated(data: bytes, field: int) -> list[bytes]:
    return [value for number, value in _fields(data) if number == field and isinstance(value, bytes)]


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field; groups do not occur in these messages."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, place = _varint(data, place)
        else:
            length = {1: 8, 5: 4}[kind]
        if place + length > len(data):
            raise IndexError(place)
        content = data[place : place + length]
        yield tag >> 3, content if kind == 2 else int.from_bytes(content, "little")
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
        shift += 7
