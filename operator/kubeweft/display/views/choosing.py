"""A selection as people write it in one word: ``ancestors``, ``owned,down=1``, ``siblings,up=3,role=Peer,class=RunsOn``.

It begins with the name of a selection (without one: ``owned``); what follows changes it. Every mistake says what there is.
"""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import LinkedMode
from kubeweft.display.views.definitions import Views
from kubeweft.model.errors import UserError

DEFAULT = "owned"
DEEPEST = 32
ROLES = ("Parent", "Child", "Peer")
FORMS = f"up=0..{DEEPEST}, down=0..{DEEPEST}, siblings, linked={'|'.join(get_args(LinkedMode))}, role={'|'.join(ROLES)}, class=CLASS"
SETS = ("roles", "classes")
TRUTHS = {"": True, "true": True, "yes": True, "false": False, "no": False}


def choose_selection(text: str, views: Views) -> Selection:
    """The selection that ``text`` means. ``role`` and ``class`` may stand more than once. Raises ``UserError``."""
    name, changes = _parts(text)
    chosen = views.selection(name or DEFAULT)
    fields: dict[str, Any] = {}
    for change in changes:
        field, value = _field(change, text)
        fields[field] = fields.get(field, frozenset()) | value if field in SETS else value
    return dataclasses.replace(chosen, **fields)


def _parts(text: str) -> tuple[str, list[str]]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words and "=" not in words[0] and words[0] != "siblings":
        return words[0], words[1:]
    return "", words


def _field(change: str, text: str) -> tuple[str, Any]:
    what, _, value = change.partition("=")
    if what in ("up", "down"):
        return what, _distance(change, value)
    if what == "siblings" and value.lower() in TRUTHS:
        return what, TRUTHS[value.lower()]
    if what == "linked":
        return what, _one_of(change, value, get_args(LinkedMode))
    if what == "role":
        return "roles", frozenset({_one_of(change, value, ROLES)})
    if what == "class" and value:
        return "classes", frozenset({value})
    raise UserError(
        f"'{change}' in --select {text} is nothing that a selection has: after its name come {FORMS}"
    )


def _distance(change: str, value: str) -> int:
    if value.isdecimal() and int(value) <= DEEPEST:
        return int(value)
    raise UserError(f"'{change}': a distance is a number of levels from 0 to {DEEPEST}")


def _one_of(change: str, value: str, known: tuple[Any, ...]) -> Any:
    for one in known:
        if one.lower() == value.lower():
            return one
    raise UserError(f"'{change}': choose one of {', '.join(known)}")
