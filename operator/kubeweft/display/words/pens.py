"""How words are written: styles for a terminal or plain text, in which zone, and what objects are called.

Names and messages come from a cluster, so anybody may have written them: control characters (which could drive the
terminal) are shown, never sent.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from rich.text import Text

from kubeweft.display.tree.made import tag
from kubeweft.display.tree.trees import USUAL, Fact, Label, Node, Tree, facts_of, is_of_namespace, shown_nodes
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey, group_resource

Piece = tuple[str, str]
"""Text and its style."""

ASCII = str.maketrans(
    {"→": "->", "×": "x", "·": "-", "├": "|", "└": "`", "│": "|", "─": "-", "…": "..."}
    | {"↔": "<->", "↑": "^", "↓": "v", "⇢": "~>"}
)
LINE_FEEDS = {"\n": " ", "\r": " ", "\t": " "}


@dataclass(frozen=True, slots=True)
class Pen:
    """How to write: in which zone, whether the output takes ASCII only, and whether room is scarce (a terminal).

    Where objects of several clusters are written, each says its own. ``kinds`` are known by (group, resource);
    ``clusters`` are called otherwise than they are named; under ``shared`` objects stand facts of others too, so that
    every fact says whose it is.
    """

    zone: tzinfo = UTC
    ascii_only: bool = False
    brief: bool = False
    several_clusters: bool = False
    kinds: Mapping[tuple[str, str], str] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[ObjectKey] = frozenset()

    def write(self, *pieces: Piece) -> Text:
        """Styled text; empty pieces leave no trace."""
        text = Text(no_wrap=False, end="")
        for content, style in pieces:
            if content:
                text.append(self.clean(content), style or None)
        return text

    def plain(self, pieces: list[Piece]) -> str:
        """The same text without its styles."""
        return self.clean("".join([content for content, _ in pieces]))

    def clean(self, text: str) -> str:
        """Text in which nothing can drive a terminal."""
        if not text.isprintable():
            text = "".join([c if c.isprintable() else _visible(c) for c in text])
        if self.ascii_only and not text.isascii():
            text = text.translate(ASCII).encode("ascii", "backslashreplace").decode()
        return text

    def cluster(self, name: str) -> str:
        """What a cluster is called."""
        return self.clusters.get(name, name)


def pen_of(tree: Tree, *, zone: tzinfo = UTC, ascii_only: bool = False, brief: bool = False) -> Pen:
    """The pen that a tree is written with."""
    return Pen(
        zone=zone,
        ascii_only=ascii_only,
        brief=brief,
        several_clusters=len({key.cluster for key in _keys(tree)}) > 1,
        kinds=tree.kinds,
        clusters=_cluster_names(tree),
        shared=frozenset(_shared(tree)),
    )


def name_of(key: ObjectKey, seen_from: ObjectKey, pen: Pen) -> str:
    """``node/n1``, ``configmap/c in kube-system``, ``[member-1] pod/p``: with what differs from where one looks from."""
    kind = pen.kinds.get((key.group, key.resource), "").lower() or group_resource(key.group, key.resource)
    cluster = f"[{pen.cluster(key.cluster)}] " if key.cluster != seen_from.cluster else ""
    namespace = f" in {key.namespace}" if key.namespace and key.namespace != seen_from.namespace else ""
    return f"{cluster}{kind}/{key.name}{namespace}"


def about_a_type(fact: Fact, node: Node, pen: Pen) -> list[Piece]:
    """Of what the fact is, where that is no object but a whole type or collection."""
    key = fact.span.key
    if key.name or key == node.key:
        return []
    where = f" in {key.namespace}" if key.namespace else ""
    where += f" of cluster {pen.cluster(key.cluster)}" if key.cluster != node.key.cluster else ""
    return [(f" of all {group_resource(key.group, key.resource)}{where}", "cyan")]


def _keys(tree: Tree) -> Iterator[ObjectKey]:
    for node in shown_nodes(tree):
        yield node.key
        for fact in node.facts:
            yield fact.span.key


def _cluster_names(tree: Tree) -> dict[str, str]:
    labels: dict[str, Label] = {}
    for node in shown_nodes(tree):
        if node.label is not USUAL:
            labels[node.key.cluster] = node.label
        for fact in facts_of(node.facts):
            if fact.label is not USUAL:
                labels.setdefault(fact.span.key.cluster, fact.label)
    names = {cluster: tag(label, v.CLUSTER) for cluster, label in labels.items()}
    return {cluster: name for cluster, name in names.items() if name}


def _shared(tree: Tree) -> Iterator[ObjectKey]:
    for node in shown_nodes(tree):
        own = node.key
        if any(_is_of_another(fact, own) for fact in node.facts):
            yield own


def _is_of_another(fact: Fact, own: ObjectKey) -> bool:
    key = fact.span.key
    return key != own and bool(key.name) and fact.span.source != "group" and not is_of_namespace(fact, own)


def _visible(character: str) -> str:
    """How an unprintable character is shown; a lone surrogate cannot even be encoded."""
    known = LINE_FEEDS.get(character)
    if known is not None:
        return known
    if unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
