"""Keep, of the requests on whole collections, those that ended an object of this tree.

``deletecollection`` is one request on no object, so nothing joins it by UID: it counts where an object of the type and
namespace began to go while it ran, and no other request explains that. Who deletes an object while its collection is
being deleted finds it marked already: the mark is the collection's. What a collection took was not before its request.
Where that was sent to empty a namespace, the request that deleted the namespace is kept too. And where the tree begins
with a Namespace, what it was emptied of is its own story: of each type first the first request and the last that failed.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from kubeweft.display.steps.explaining.deeds import asks_to_end
from kubeweft.display.tree.changing import relabelled
from kubeweft.display.tree.made import SHOWN_TAKEN, with_tags
from kubeweft.display.tree.trees import (
    NAMESPACE_CONTROLLER,
    Fact,
    Node,
    Tree,
    Truncation,
    each_node,
    is_namespace,
    is_of_namespace,
    namespace_of,
    succeeded,
)
from kubeweft.display.words.actors import requester
from kubeweft.display.words.left_out_wording import EARLIER
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS

MOST_EMPTYING = 100  # requests; a Namespace is emptied type by type, again and again until nothing is left
BEGINNING = "+ metadata.deletionTimestamp"

Place = tuple[tuple[str, str, str], str]


def keep_deleting_collections(tree: Tree) -> Tree:
    """No ``deletecollection`` at the root but those that took objects of the tree, or emptied the Namespace it is of."""
    around = [fact for fact in tree.root.facts if _is_around(fact, tree.root.key)]
    if not around:
        return tree
    collections = [f for f in around if not f.span.key.name and succeeded(f.span)]
    collections.sort(key=_when)
    took: list[Fact] = []
    inside_of = _requests_by_place(collections)
    ended = each_node(tree, lambda node: _with_what_took_it(node, inside_of, took))
    emptying = _emptying(tree, around)
    told = emptying[:MOST_EMPTYING]
    kept = {f.span.span_id for f in (*took, *_namespaces_deleted(around, took), *told)}
    facts = [f for f in ended.root.facts if f.span.span_id in kept or not _is_around(f, tree.root.key)]
    return dataclasses.replace(
        ended,
        root=msgspec.structs.replace(ended.root, facts=tuple(facts)),
        truncated=(*ended.truncated, *_left_out(tree, shown=len(told), all_=len(emptying))),
    )


def _emptying(tree: Tree, around: Sequence[Fact]) -> list[Fact]:
    """The requests that emptied the Namespace which the tree begins with, those first that tell the most."""
    root = tree.root
    if not is_namespace(root.key):
        return []
    deletions = sorted((f.start, f.text(v.UID)) for f in root.facts if f.text(v.VERB) == "delete")
    by_type: dict[tuple[ObjectKey, str], list[Fact]] = {}
    for fact in sorted(around, key=_when):
        if _is_emptying(fact, root.key) and fact.end >= tree.since and fact.start <= tree.until:
            lives = ["", *[uid for start, uid in deletions if start <= fact.start]]
            by_type.setdefault((fact.span.key, lives[-1]), []).append(fact)
    first = [facts[0] for facts in by_type.values()]
    failed = [f for facts in by_type.values() for f in [f for f in facts if not succeeded(f.span)][-1:]]
    others = [fact for facts in by_type.values() for fact in facts]
    return list({fact.span.span_id: fact for fact in (*first, *failed, *others)}.values())


def _is_emptying(fact: Fact, space: ObjectKey) -> bool:
    own = fact.span.key
    return not own.name and namespace_of(own) == space and fact.text(v.USER).endswith(NAMESPACE_CONTROLLER)


def _left_out(tree: Tree, *, shown: int, all_: int) -> Iterator[Truncation]:
    if all_ > shown:
        of = str(tree.root.key)
        yield Truncation(what="collections", of=of, shown=shown, more=all_ - shown, hint=EARLIER)


def _requests_by_place(collections: Iterable[Fact]) -> Callable[[ObjectKey], list[Fact]]:
    """The requests for a whole collection that an object was in, in their order."""
    places: dict[Place, list[Fact]] = {}
    for request in collections:
        places.setdefault((request.span.key[:3], request.span.key.namespace), []).append(request)

    @functools.cache
    def inside(place: Place) -> list[Fact]:
        kind, namespace = place
        return sorted(
            itertools.chain.from_iterable(places.get((kind, space), ()) for space in {"", namespace}),
            key=_when,
        )

    return lambda key: inside((key[:3], key.namespace))


def _with_what_took_it(node: Node, inside_of: Callable[[ObjectKey], list[Fact]], took: list[Fact]) -> Node:
    """The object with its ends at the times of the collections that it went with, which are added to ``took``."""
    inside = inside_of(node.key)
    if not inside:
        return node
    facts = []
    for fact in _without_marks_of(node.facts, inside):
        request = _first_that_took(inside, fact.start) if _is_end(fact) else None
        facts.append(fact if request is None else _taken(fact, request))
        if request is not None:
            took.append(request)
    return msgspec.structs.replace(node, facts=tuple(facts))


def _without_marks_of(facts: Sequence[Fact], collections: Sequence[Fact]) -> Iterator[Fact]:
    """Facts in which the mark of an object that goes stands alone, where a collection was deleted when it was asked for."""
    for fact in facts:
        marks = [child for child in fact.children if _marks(child) and _was_late(fact, collections)]
        if not marks:
            yield fact
            continue
        yield fact.holding(tuple([child for child in fact.children if child not in marks]))
        yield from [mark.moved(mark.span.start, mark.span.end) for mark in marks]


def _was_late(request: Fact, collections: Sequence[Fact]) -> bool:
    """Whether a deletion began after that of a whole collection, and before what this did may have been seen."""
    return request.span.source == "request" and any(
        whole.start < request.start <= whole.end + NANOSECONDS for whole in collections
    )


def _taken(end: Fact, request: Fact) -> Fact:
    label = with_tags(end.label, (SHOWN_TAKEN, requester(request).name))
    start = max(end.start, request.start)
    if end.text(v.TIME_SOURCE) == "receipt":
        start = min(start, request.end)  # it was gone when that was answered, and heard of afterwards
    return relabelled(end.moved(start, max(start, end.end)), label, end.children)


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


def _is_end(fact: Fact) -> bool:
    is_change = fact.span.source == "change"
    return is_change and (fact.text(v.CHANGE_TYPE) == "Deleted" or asks_to_end(fact))


def _marks(change: Fact) -> bool:
    """Whether a change says of an object for the first time that it is to go."""
    is_change = change.span.source == "change"
    return is_change and any(line.startswith(BEGINNING) for line in change.text(v.WORDS).splitlines())


def _when(fact: Fact) -> tuple[int, bytes]:
    return fact.start, fact.span.span_id


def _first_that_took(requests: Sequence[Fact], time: int) -> Fact | None:
    """Whoever empties a collection asks until nothing is left; the first such request took what went while it ran."""
    for request in requests:
        if request.start - request.start % NANOSECONDS <= time <= request.end + NANOSECONDS:
            return request
    return None
