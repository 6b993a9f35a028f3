"""Which field managers can have made a step between two versions, by what their entries in managedFields own.

The newest entry alone would often be wrong: a binding, an eviction and other writes inside the API server leave
managedFields as they were. Whoever added or replaced a field owns it since, so an entry that owns nothing of the kind
did not make the step. What was removed is owned by nobody, and tells nothing. Where an entry cannot tell (it is of
another version of the API than the one watched), it is not held against its manager.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from kubeweft.model.changes import JsonObject, Operation
from kubeweft.model.observations import FieldManager

# The API server writes these by itself: they are in nobody's entry.
OWNED_BY_NOBODY: Final = frozenset(
    {"/metadata/deletionTimestamp", "/metadata/deletionGracePeriodSeconds", "/metadata/generation"}
)
WRITING: Final = frozenset({"add", "replace"})
MOST_ITEMS: Final = 64
"""In a longer list no item is looked for: whoever owns any of it can have changed it."""
LONGEST_KNOWN: Final = 4096
"""Bytes of the largest entry that is remembered, as nearly all may be."""

_key: Final = msgspec.json.Decoder(dict[str, Any])
_item: Final = msgspec.json.Decoder().decode

Owned = dict[str, Any]  # what an entry owns at one level: what lies deeper is decoded where it is looked at
_level: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Entry(NamedTuple):
    """One entry of managedFields. ``fields`` are its fieldsV1, empty where they say nothing of the version watched."""

    manager: str
    operation: str
    subresource: str
    time: int
    fields: msgspec.Raw


def acting_managers(
    entries: Sequence[Entry],
    *,
    in_status: bool,
    operations: Sequence[Operation] = (),
    after: JsonObject | None = None,
) -> tuple[FieldManager, ...]:
    """The field managers that can have made the newest change: those with the newest time that own some of it.

    ``after`` is what the ``operations`` lead to; without any that a manager would own, the time alone decides. Two may
    have written within one second; a change ``in_status`` then belongs to those that write the status. They may write
    metadata with it (the deployment controller does), but nobody else can write the status.
    """
    if not entries:
        return ()
    for candidates in _candidates(entries, in_status=in_status):
        acting = [
            FieldManager(entry.manager, entry.operation, entry.subresource, entry.time)
            for entry in candidates
            if _can_have_made(entry.fields, operations, after)
        ]
        if acting:
            return tuple(acting)
    return ()


def _candidates(entries: Sequence[Entry], *, in_status: bool) -> Sequence[Sequence[Entry]]:
    """Those of the newest time, and before others those that write the part that has changed."""
    if len(entries) == 1:
        return (entries,)
    newest = max([entry.time for entry in entries])
    latest = [entry for entry in entries if entry.time == newest]
    if len(latest) == 1:
        return (latest,)
    fitting = [entry for entry in latest if (entry.subresource == "status") is in_status]
    return fitting, [entry for entry in latest if (entry.subresource == "status") is not in_status]


def _makes_owner(operation: Operation) -> bool:
    """Whether the writer owns the path since: not if it is gone, or was emptied."""
    if operation["op"] not in WRITING or operation["path"] in OWNED_BY_NOBODY:
        return False
    value = operation["value"]
    return value is not None and value != {} and value != []


def _can_have_made(fields: msgspec.Raw, operations: Sequence[Operation], after: JsonObject | None) -> bool:
    """Whether an entry owns some of what was written; so it is of a step that wrote nothing that anybody would own."""
    owned: Owned | None = None
    try:
        for operation in reversed(operations):
            if _makes_owner(operation):
                if owned is None:
                    owned = _all_owned(fields)
                if _owns(owned, operation["path"], after):
                    return True
    except (msgspec.MsgspecError, ValueError, LookupError, AttributeError, TypeError):
        return True  # an entry in a form unknown to us, or without fields
    return owned is None


def _all_owned(fields: msgspec.Raw) -> Owned:
    content = bytes(fields)
    return _known(content) if len(content) <= LONGEST_KNOWN else _level(content)


def _owns(owned: Owned, path: str, value: Any) -> bool:
    """Whether an entry owns anything at a JSON pointer, or all that the pointer is in (atomic maps and lists)."""
    for segment in path.split("/")[1:]:
        if not owned:
            return True
        if type(value) is list:
            if len(owned) > MOST_ITEMS:
                return True
            value = value[int(segment)]
            name = next((name for name in owned if _is_key_of(name, value)), "")
        else:
            field = segment.replace("~1", "/").replace("~0", "~") if "~" in segment else segment
            value = value.get(field) if value else None
            name = f"f:{field}"
        inner = owned.get(name)
        if inner is None:
            return False
        if type(inner) is msgspec.Raw:
            inner = owned[name] = _level(inner)
        owned = inner
    return True


def _is_key_of(name: str, item: Any) -> bool:
    """Whether ``k:{"type":"Ready"}`` (lists by key) or ``v:"some.finalizer"`` (sets) means an item."""
    if name.startswith("k:"):
        return isinstance(item, dict) and all(
            item.get(field, value) == value for field, value in _fields_of_key(name[2:]).items()
        )
    if name.startswith("v:"):
        return isinstance(item, str | int | float) and _item(name[2:]) == item
    return name != "."  # one by position may have moved since


@functools.lru_cache(maxsize=512)
def _known(fields: bytes) -> Owned:
    """What an entry owns: a controller's are the same from version to version, and often from object to object."""
    return _level(fields)


@functools.lru_cache(maxsize=4096)
def _fields_of_key(text: str) -> dict[str, Any]:
    return _key.decode(text)
