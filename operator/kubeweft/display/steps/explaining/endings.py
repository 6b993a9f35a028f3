"""What follows from an end: the end of all that is in it, or that something takes its place."""

from __future__ import annotations

from kubeweft.display.steps.explaining.chronicles import Chronicle
from kubeweft.display.steps.explaining.deeds import Deed
from kubeweft.display.steps.explaining.recorded import EMPTY, Recorded, first_ends
from kubeweft.display.tree.trees import is_namespace, namespace_of
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS


class Endings:
    """The ends of objects, and deletions of whole collections and of namespaces."""

    def __init__(self, recorded: Recorded) -> None:
        """Gather all that ended something."""
        self._parents = recorded.parents
        self._of_siblings = recorded.by_parent([list(first_ends(deeds)) for deeds in recorded.wishes])
        self._of_object = [Chronicle(d for d in deeds if d.ends) for deeds in recorded.wishes]
        around: dict[ObjectKey, list[Deed]] = {}
        for deed in [deed for deeds in recorded.deeds for deed in deeds]:
            if deed.ends and deed.done and not recorded.is_on_object(deed):
                around.setdefault(deed.fact.span.key, []).append(deed)
        for node, deeds in zip(recorded.nodes, recorded.wishes, strict=True):
            if is_namespace(node.key):
                around.setdefault(node.key, []).extend(deed for deed in deeds if deed.ends and deed.done)
        self._around = {key: Chronicle(deeds) for key, deeds in around.items()}

    def of_space(self, collection: Deed) -> Deed | None:
        """The deletion of the namespace because of which a collection in it was emptied."""
        space = namespace_of(collection.fact.span.key)
        return None if space is None else self._around.get(space, EMPTY).last_before(collection)

    def of_collection(self, deed: Deed) -> Deed | None:
        """The emptying of a collection that an object went with."""
        key = deed.fact.span.key
        asked = [self._around.get(key._replace(namespace=n, name=""), EMPTY) for n in {"", key.namespace}]
        known = [found for whole in asked if (found := whole.last_before(deed)) is not None]
        last = max(known, key=lambda d: (d.time, d.index), default=None)
        return last if last is not None and deed.time <= last.fact.end + NANOSECONDS else None

    def replaced_by(self, creation: Deed) -> Deed | None:
        """The end of the former life of the name, or when another object of the parent began to go."""
        parent = self._parents.get(creation.place)
        if parent is None:
            return None
        former = self._of_object[creation.place].last_before(creation)
        return former or self._of_siblings.get(parent, EMPTY).last_before(creation)
