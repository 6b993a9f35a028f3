"""Keep, of the requests on whole collections, those that ended an object of this tree.

``deletecollection`` is one request on no object, so nothing joins it by UID: it counts where an object of the type and
namespace began to go while it ran, and no other request explains that. Where it was sent to empty a namespace, the request
that deleted the namespace is kept too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from kubeweft.display.tree.trees import Fact, Node, Tree, is_of_namespace, namespace_of, nodes_of, succeeded
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS

NAMESPACE_CONTROLLER = ":namespace-controller"


def keep_deleting_collections(tree: Tree) -> Tree:
    """No ``deletecollection`` at the root but those that took objects of the tree with them."""
    around = [fact for fact in tree.root.facts if _is_around(fact, tree.root.key)]
    if not around:
        return tree
    collections = [f for f in around if not f.span.key.name and succeeded(f.span)]
    collections.sort(key=lambda f: (f.start, f.span.span_id))
    ends = [(node.key, fact.start) for node in nodes_of(tree.root) for fact in _unexplained_ends(node)]
    took = [found for end in ends if (found := _first_that_took(collections, *end))]
    kept = {id(fact) for fact in (*took, *_namespaces_deleted(around, took))}
    facts = [f for f in tree.root.facts if id(f) in kept or not _is_around(f, tree.root.key)]
    return dataclasses.replace(tree, root=dataclasses.replace(tree.root, facts=tuple(facts)))


def _is_around(fact: Fact, root: ObjectKey) -> bool:
    return fact.span.source == "request" and (not fact.span.key.name or is_of_namespace(fact, root))


def _namespaces_deleted(around: Sequence[Fact], took: Sequence[Fact]) -> Iterator[Fact]:
    """For each collection that was emptied because its namespace was to go, the last request for that before it."""
    emptied = [f for f in took if f.text(v.USER).endswith(NAMESPACE_CONTROLLER)]
    for request in emptied:
        asked = [
            f
            for f in around
            if f.span.key == namespace_of(request.span.key) and succeeded(f.span) and f.start <= request.start
        ]
        yield from asked and [max(asked, key=lambda f: (f.start, f.span.span_id))]


def _unexplained_ends(node: Node) -> Iterator[Fact]:
    for fact in node.facts:
        if fact.span.source == "change" and (fact.text(v.CHANGE_TYPE) == "Deleted" or _begins_to_go(fact)):
            yield fact


def _begins_to_go(change: Fact) -> bool:
    in_patch = '"/metadata/deletionTimestamp"' in change.text(v.PATCH)
    return in_patch or "metadata.deletionTimestamp" in change.text(v.WORDS)


def _first_that_took(requests: Sequence[Fact], key: ObjectKey, time: int) -> Fact | None:
    """Whoever empties a collection asks until nothing is left; the first such request took what went while it ran."""
    for request in requests:
        collection = request.span.key
        earliest = request.start - request.start % NANOSECONDS
        is_inside = key[:3] == collection[:3] and collection.namespace in ("", key.namespace)
        if is_inside and earliest <= time <= request.end + NANOSECONDS:
            return request
    return None
