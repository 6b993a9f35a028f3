"""The tree as JSON: a shape that others script against, so it only ever grows.

``spans`` are in display order, each with its displayed parent; IDs and attributes are those stored. An object that
lived in several windows is one span, with the ID of its first window. ``linked`` are all objects that are linked with
one of the tree but are not in it; the ``span_id`` of those that are shown with what happened to them leads to their
spans, which stand last, under the root. ``via`` are the links by which an object stands where it does, if they are no
owner references: whose link it is, what the object is to that one, and the rules that made the link. ``label`` is what
a view calls a span, and the tags that it adds; ``object`` says whose a fact is, also where it stands under another's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from kubeweft.display.tree.trees import (
    USUAL,
    Fact,
    Label,
    Node,
    Tree,
    facts_of,
    is_owner_link,
    link_target,
    nodes_of,
)
from kubeweft.model import vocabulary as v
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
        "spans": list(_tree_spans(tree)),
        "linked": list(_linked(tree)),
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


def _tree_spans(tree: Tree) -> Iterator[Json]:
    """The root encloses everything, also the linked objects."""
    root = msgspec.structs.replace(tree.root, start=tree.start, end=tree.end)
    yield from _node_spans(root, parent=b"")
    for node in tree.linked:
        yield from _node_spans(node, parent=root.span.span_id)


def _linked(tree: Tree) -> Iterator[Json]:
    """In the order in which they are shown, then those that are only named."""
    nodes = list(nodes_of(tree.root))
    shown = {node.key: node.span.span_id.hex() for node in tree.linked}
    inside = {node.key for node in nodes}
    named = {link_target(link.span): None for node in nodes for link in _links(node)}
    for key in {**dict.fromkeys(shown), **named}:
        if key not in inside:
            kind = tree.kinds.get((key.group, key.resource), "")
            yield {**_object(key, kind), "span_id": shown.get(key, "")}


def _links(node: Node) -> Iterator[Fact]:
    """Those that rules made, also where a view gathered them among the facts."""
    for fact in (*node.links, *facts_of(node.facts)):
        if fact.span.source == "link" and not is_owner_link(fact):
            yield fact


def _node_spans(node: Node, *, parent: bytes) -> Iterator[Json]:
    own = node.span.span_id
    span = _span(node.span, parent=parent, start=node.start, end=node.end, label=node.label)
    if node.via:
        span["via"] = [_way(link) for link in node.via]
    yield span
    for fact in (*node.links, *node.facts):
        yield from _fact_spans(fact, parent=own)
    for child in node.children:
        yield from _node_spans(child, parent=own)


def _way(link: Fact) -> Json:
    return {
        "cluster": link.span.key.cluster,
        "object": str(link.span.key),
        "role": link.text(v.LINK_ROLE),
        "class": link.text(v.LINK_CLASS),
        "rules": list(link.rules),
    }


def _fact_spans(fact: Fact, *, parent: bytes) -> Iterator[Json]:
    span = _span(fact.span, parent=parent, start=fact.start, end=fact.end, label=fact.label)
    if fact.span.source == "link":
        span["rules"] = list(fact.rules)
    yield span
    for child in fact.children:
        yield from _fact_spans(child, parent=fact.span.span_id)


def _span(span: Span, *, parent: bytes, start: int, end: int, label: Label) -> Json:
    value = {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": parent.hex(),
        "source": span.source,
        "cluster": span.key.cluster,
        "object": str(span.key),
        "name": span.name,
        "start": format_timestamp(start),
        "end": format_timestamp(end),
        "attributes": dict(span.attributes),
        "spanLinks": [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": dict(link.attributes),
            }
            for link in span.links
        ],
    }
    if label is not USUAL:
        value["label"] = {
            "service": label.service,
            "operation": label.operation,
            "tags": dict(label.tags),
        }
    return value
