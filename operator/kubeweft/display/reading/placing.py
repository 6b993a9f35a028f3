"""Which parent an object stands under, where links lead to it in more ways than one.

Rules may link anything with anything, so what they make is no tree: an object may be a child of several, and even of
its own child. Each is shown once. Owner references decide before rules, because what Kubernetes itself made stands
where everybody looks for it: a Pod under its ReplicaSet, also where a rule says that a Helm release holds both. Among
equals the parent that was met first decides, which is the nearest to the root.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubeweft.model.references import ObjectKey

Children = dict[ObjectKey, list[ObjectKey]]
Ways = dict[ObjectKey, list[tuple[bool, int, ObjectKey]]]
"""For each child its possible parents, each with whether it is none by owner reference, and when it was met."""


def place(
    root: ObjectKey,
    *,
    met_by: Mapping[ObjectKey, ObjectKey],
    linked_down: Mapping[ObjectKey, Mapping[ObjectKey, bool]],
    depth: int,
) -> Children:
    """The children of every object, in the order in which they were met.

    ``met_by`` tells for every object but the root, nearest first, from which it was met; ``linked_down`` all links to
    children, and which are owner references. ``depth`` bounds how deep owner references may put an object.
    """
    ways = _ways(root, met_by, linked_down)
    best = {child: min(ways[child])[2] for child in met_by}
    levels = _reached(root, best, depth)
    parents = {child: best[child] for child in met_by if child in levels}
    for child, nearest in met_by.items():
        if (
            child not in parents
        ):  # a cycle, or too deep: then by the best way that does not lead through itself
            open_ways = [way for way in ways[child] if levels.get(way[2], depth) < depth]
            parent = min(open_ways)[2] if open_ways else nearest
            parents[child], levels[child] = parent, levels[parent] + 1
    children: Children = {}
    for child in met_by:
        children.setdefault(parents[child], []).append(child)
    return children


def _ways(
    root: ObjectKey,
    met_by: Mapping[ObjectKey, ObjectKey],
    linked_down: Mapping[ObjectKey, Mapping[ObjectKey, bool]],
) -> Ways:
    ways: Ways = {}
    for number, parent in enumerate((root, *met_by)):
        for child, is_owned in linked_down.get(parent, {}).items():
            if child in met_by:
                ways.setdefault(child, []).append((not is_owned, number, parent))
    return ways


def _reached(root: ObjectKey, parents: Mapping[ObjectKey, ObjectKey], depth: int) -> dict[ObjectKey, int]:
    """What is under the root if everything stands under these parents, and how deep."""
    children: Children = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    levels = {root: 0}
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        if levels[parent] < depth:
            levels.update(dict.fromkeys(children.get(parent, ()), levels[parent] + 1))
            waiting.extend(children.get(parent, ()))
    return levels
