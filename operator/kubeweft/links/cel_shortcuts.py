"""Conditions answered without the evaluator: whether a field is there, and whether it is, or holds, a certain text.

A rule may read every object in order to find the few that bear an annotation. Turning each object into values of the
evaluator costs many times what the answer costs. So the parts of a condition that only look something up are looked up
here; whatever is not that plain, and whatever goes wrong, is left to the evaluator. A shortcut never gives another
answer than the evaluator, only sooner; and it does not fail for an object that is too large to be evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kubeweft.links.cel_tree import Call, Const, Ident, Node, Select

Shortcut = Callable[[Mapping[str, Any]], bool | None]  # None: ask the evaluator
Path = tuple[str, ...]

_NOWHERE: Final = object()
_UNSEEN: Final = ("metadata", "managedFields")  # which the evaluator is not shown
_REPLACEMENTS: Final = ("\ufffd", "?")  # what characters become that the evaluator does not take


def shortcut_of(node: Node) -> Shortcut | None:
    """What answers at least some cases of an expression, or None if nothing in it can be answered."""
    if isinstance(node, Select) and node.tested:
        path = _path(node._replace(tested=False))
        return _is_there(path[:-1], path[-1]) if path else None
    if not isinstance(node, Call):
        return None
    if node.function == "_&&_":
        return _joined(node, decisive=False)
    if node.function == "_||_":
        return _joined(node, decisive=True)
    if node.function == "!_":
        inner = shortcut_of(node.items[0])
        return _negated(inner) if inner else None
    if node.function == "@in":
        return _lookup(node.items[0], node.items[1], _holds)
    if node.function in ("_==_", "_!=_"):
        one, other = node.items
        same = _lookup(one, other, _is) or _lookup(other, one, _is)
        return _negated(same) if same and node.function == "_!=_" else same
    return None


def _joined(node: Call, *, decisive: bool) -> Shortcut | None:
    """One decisive part decides, even where another part fails: that is so in CEL, whatever their order."""
    parts = tuple(part for part in map(shortcut_of, node.items) if part is not None)
    if not parts:
        return None
    whole = len(parts) == len(node.items)

    def answer(obj: Mapping[str, Any]) -> bool | None:
        sure = whole
        for part in parts:
            found = part(obj)
            if found is decisive:
                return decisive
            sure = sure and found is not None
        return not decisive if sure else None

    return answer


def _negated(inner: Shortcut) -> Shortcut:
    def answer(obj: Mapping[str, Any]) -> bool | None:
        found = inner(obj)
        return None if found is None else not found

    return answer


def _is_there(path: Path, field: str) -> Shortcut:
    def answer(obj: Mapping[str, Any]) -> bool | None:
        value = _at(obj, path)
        return field in value if type(value) is dict else None

    return answer


def _lookup(literal: Node, place: Node, ask: Callable[[Any, str], bool | None]) -> Shortcut | None:
    path = _path(place)
    if path is None or not isinstance(literal, Const) or not literal.is_string:
        return None
    text = literal.text
    if any(each in text for each in _REPLACEMENTS):
        return None
    return lambda obj: ask(_at(obj, path), text)


def _holds(value: Any, text: str) -> bool | None:
    return text in value if type(value) is dict else None


def _is(value: Any, text: str) -> bool | None:
    return bool(value == text) if type(value) is str else None


def _path(node: Node) -> Path | None:
    """The fields that lead from the object to a place in it, or None if that is not the way to it."""
    if node == Ident("object"):
        return ()
    if not isinstance(node, Select) or node.tested:
        return None
    before = _path(node.operand)
    path = None if before is None else (*before, node.field)
    return None if path is None or path[:2] == _UNSEEN else path


def _at(obj: Any, path: Path) -> Any:
    for field in path:
        if type(obj) is not dict:
            return _NOWHERE
        obj = obj.get(field, _NOWHERE)
    return obj
