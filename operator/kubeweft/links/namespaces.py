"""Namespaces as their objects see them: for namespace selectors and for ``namespaceObject`` in CEL.

A namespace may become known after its objects, or change its labels: then its objects are examined again. One that is
gone is remembered as long as objects of it are, because they go after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kubeweft.links.naming import mapping
from kubeweft.links.reading import NAMESPACES
from kubeweft.links.sources import Source
from kubeweft.model.references import ObjectKey

_CHANGING: Final = ("resourceVersion", "managedFields")
_NO_LABELS: Final[Mapping[str, str]] = {}


class Namespaces:
    """What is known of namespaces, and the sources that depend on them."""

    def __init__(self) -> None:
        """None known."""
        self._objects: dict[tuple[str, str], tuple[dict[str, Any], int]] = {}
        self._sources: dict[tuple[str, str], dict[ObjectKey, Source]] = {}
        self._gone: set[tuple[str, str]] = set()

    def take(self, key: ObjectKey, obj: dict[str, Any], *, time: int, whole: bool) -> bool:
        """A namespace is now so; whether that can matter to its objects. Only labels do, unless the ``whole`` does."""
        place = key.cluster, key.name
        self._gone.discard(place)
        now = _kept(obj, whole=whole)
        before = self._objects.get(place)
        if before is not None and before[0] == now:
            return False
        self._objects[place] = now, time
        return True

    def gone(self, key: ObjectKey) -> None:
        """The namespace is no more."""
        place = key.cluster, key.name
        if place in self._sources:
            self._gone.add(place)
        else:
            self._objects.pop(place, None)

    def of(self, key: ObjectKey) -> dict[str, Any] | None:
        """The namespace of an object; None for cluster-scoped objects and while it is not known."""
        known = self._objects.get((key.cluster, key.namespace)) if key.namespace else None
        return known[0] if known is not None else None

    def labels_for(self, key: ObjectKey, own: Mapping[str, str]) -> Mapping[str, str] | None:
        """The labels that a selector of namespaces is matched with, as in admission: a namespace has its own.

        Other cluster-scoped objects have none. None while the namespace is not known.
        """
        if not key.namespace:
            return own if key[1:3] == NAMESPACES else _NO_LABELS
        namespace = self.of(key)
        return mapping(mapping(namespace.get("metadata")).get("labels")) if namespace is not None else None

    def time_for(self, key: ObjectKey) -> int:
        """Since when the namespace of an object is as it is; 0 while it is not known."""
        known = self._objects.get((key.cluster, key.namespace)) if key.namespace else None
        return known[1] if known is not None else 0

    def sources_in(self, key: ObjectKey) -> list[Source]:
        """The sources that live in this namespace and depend on it."""
        return list(self._sources.get((key.cluster, key.name), {}).values())

    def put_source(self, source: Source) -> None:
        """This source depends on its namespace."""
        if source.key.namespace:
            self._sources.setdefault((source.key.cluster, source.key.namespace), {})[source.key] = source

    def drop_source(self, source: Source) -> None:
        """This source is no more."""
        place = source.key.cluster, source.key.namespace
        sources = self._sources.get(place)
        if sources is None or sources.pop(source.key, None) is None or sources:
            return
        del self._sources[place]
        if place in self._gone:
            self._gone.discard(place)
            self._objects.pop(place, None)


def _kept(obj: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    metadata = mapping(obj.get("metadata"))
    if not whole:
        return {"metadata": {"labels": metadata.get("labels")}}
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key not in _CHANGING}}
