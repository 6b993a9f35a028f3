"""The tree as JSON: a shape that others script against, so it only ever grows.

``spans`` are in display order, each with its displayed parent; IDs and attributes are those stored. An object that
lived in several windows is one span, with the ID of its first window.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from kubeweft.display.trees import Fact, Node, Tree
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.timestamps import format_timestamp
from kubeweft.store.interfaces import FoundObject

Json = dict[str, Any]


def tree_as_json(tree: Tree) -> Json:
    """The whole tree as plain values."""
    root = tree.root
    return {
        "object": {**_object(root.key, root.kind), "uids": [life.uid for life in root.lives if life.uid]},
        "windows": len(root.windows),
        "spans": list(_node_spans(root, parent=b"")),
        "truncated": [
            {"what": t.what, "of": t.of, "shown": t.shown, "more": t.more, "hint": t.hint}
            for t in tree.truncated
        ],
    }


def found_as_json(found: FoundObject) -> Json:
    """One object of a search, in the same words."""
    return {
        **_object(found.key, found.kind),
        "first": format_timestamp(found.first),
        "last": format_timestamp(found.last),
        "windows": found.windows,
    }


def to_text(value: Json | list[Json]) -> str:
    """JSON text, indented by two, without a line feed at its end."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _object(key: ObjectKey, kind: str) -> Json:
    return {
        "cluster": key.cluster,
        "group": key.group,
        "resource": key.resource,
        "kind": kind,
        "namespace": key.namespace,
        "name": key.name,
    }


def _node_spans(node: Node, *, parent: bytes) -> Iterator[Json]:
    own = node.span.span_id
    yield _span(node.span, parent=parent, start=node.start, end=node.end)
    for fact in (*node.links, *node.facts):
        yield from _fact_spans(fact, parent=own)
    for child in node.children:
        yield from _node_spans(child, parent=own)


def _fact_spans(fact: Fact, *, parent: bytes) -> Iterator[Json]:
    yield _span(fact.span, parent=parent, start=fact.start, end=fact.end)
    for child in fact.children:
        yield from _fact_spans(child, parent=fact.span.span_id)


def _span(span: Span, *, parent: bytes, start: int, end: int) -> Json:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": parent.hex(),
        "source": span.source,
        "object": str(span.key),
        "name": span.name,
        "start": format_timestamp(start),
        "end": format_timestamp(end),
        "attributes": dict(span.attributes),
    }
