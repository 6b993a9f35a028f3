"""Apply the patch of one change to a document that is at hand, and say which fields it touches, by their names in words.

Much quicker than comparing the two versions, where thousands of changes are looked through.
"""

from __future__ import annotations

from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from kubeweft.model.changes import JsonObject, Operation
from kubeweft.model.merge_keys import identify
from kubeweft.model.phrasing import field_label, name_label

WHOLE_DOCUMENT = ""


def apply_here(operations: list[Operation], document: JsonObject) -> list[str] | None:
    """Change the document in place; the labels of all fields that were touched.

    None where the patch does not fit; then the document is no version of anything any more.
    """
    labels: list[str] = []
    try:
        for operation in operations:
            pointer = operation["path"]
            if pointer == WHOLE_DOCUMENT:
                return None
            if operation["op"] != "add":
                labels.append(_label(document, pointer, of_list=operation["op"] == "move"))
            jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
            if operation["op"] == "add":
                labels.append(_label(document, pointer, of_list=False))
    except (jsonpatch.JsonPatchException, JsonPointerException, LookupError, TypeError, ValueError):
        return None
    return labels


def _label(document: JsonObject, pointer: str, *, of_list: bool) -> str:
    """The name of the field at a pointer that leads somewhere; a move is one of the list, not of an item."""
    node: Any = document
    label = field = ""
    tokens = pointer.split("/")[1:]
    for token in tokens[:-1] if of_list else tokens:
        if type(node) is list:
            position = len(node) - 1 if token == "-" else int(token)
            label = f"{label}[{_item_name(node, position, field)}]"
            node, field = node[position], ""
        elif type(node) is not dict:
            raise LookupError(pointer)
        else:
            field = token.replace("~1", "/").replace("~0", "~")
            label = field_label(label, field)
            node = node.get(field)
    return label


def _item_name(items: list[Any], position: int, field: str) -> str:
    item = items[position]
    if type(item) is str:
        return name_label(item)
    if type(item) is dict:
        names = identify(field, items, items)
        if names is not None:
            return name_label(names.old[position])
    return str(position)
