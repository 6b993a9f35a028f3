"""A store as one person may see it: what Kubernetes would not let them get is not there.

Everything is decided by the key of an object, and a link by both of its ends, because each names the other. What an object
tells about itself (its content, its Events, who acted on it) goes with the right to get the object. What is not decided, by
error or for want of time, is not shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

import msgspec

from kubeweft.display.serving.permitted_places import PermittedPlaces, permitted_places
from kubeweft.display.tree.trees import Tree, Truncation, link_target, shown_nodes
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import (
    FoundObject,
    ObjectQuery,
    SpanReader,
    Window,
    WindowQuestion,
    places_of,
    windows_of_many,
)

MOST_EXAMINED: Final = (
    5000  # objects, or types and namespaces, that one search looks at to find some that may be seen
)
TOLD_OF_GAPS: Final = (v.GAP_REASON,)


class Viewer(Protocol):
    """Whoever asks, for as long as one answer takes."""

    def allowed(self, keys: Collection[ObjectKey], *, by_name: bool = True) -> AbstractSet[ObjectKey]:
        """Those of the objects that may be seen; a key without a name stands for all objects of the type in there.

        Without ``by_name`` only rights to all objects of a type or namespace count. What cannot be decided may not be seen.
        """

    def clusters(self, names: Iterable[str]) -> list[str]:
        """Those of the clusters in which the viewer is somebody."""

    @property
    def undecided(self) -> int:
        """How many objects were left out because asking about them would have been too much for one answer."""


class AllowedReader:
    """A :class:`~kubeweft.store.interfaces.SpanReader` that leaves out what a viewer may not see; make one for each answer."""

    def __init__(self, reader: SpanReader, viewer: Viewer, *, most_examined: int = MOST_EXAMINED) -> None:
        """Everything is read from ``reader``."""
        self._reader = reader
        self._viewer = viewer
        self._most_examined = most_examined
        self._types_seen: set[tuple[str, str, str]] = set()
        self._glimpsed: set[bytes] = set()
        self._permitted_places: dict[tuple[object, ...], PermittedPlaces] = {}
        self.searches_cut = 0  # so often objects that match and may be seen were perhaps not reached

    @property
    def undecided(self) -> int:
        """How many objects were left out because deciding about them would have been too much."""
        return self._viewer.undecided

    def spans_of(self, trace_ids: Iterable[bytes]) -> list[Span]:
        """Spans of objects that may be seen, without links to others."""
        spans = self._reader.spans_of(trace_ids)
        allowed = self._allowed({key for span in spans for key in _named_by(span)})
        return list(self._shown(spans, allowed))

    def windows_of(self, key: ObjectKey, *, since: int, until: int) -> list[Window]:
        """The windows of an object that may be seen; none of any other."""
        return self.windows_of_many([WindowQuestion(key, since, until)])[0]

    def windows_of_many(self, questions: Sequence[WindowQuestion]) -> list[list[Window]]:
        """The same for many objects at once."""
        allowed = self._allowed({question.key for question in questions})
        asked = [
            question for question in questions if question.key in allowed or self._is_glimpse(question.key)
        ]
        found = dict(zip(asked, windows_of_many(self._reader, asked), strict=True))
        self._glimpsed.update(
            window.trace_id for windows in found.values() for window in windows if window.key not in allowed
        )
        return [found.get(question, []) for question in questions]

    def window_of(self, trace_id: bytes) -> Window | None:
        """The window that a trace ID names, if its object may be seen."""
        return self._if_allowed(self._reader.window_of(trace_id))

    def nearest_window(self, key: ObjectKey, *, before: int) -> Window | None:
        """The last window of an object that may be seen, that begins at or before a time."""
        if key not in self._allowed({key}):
            return None
        return self._if_allowed(self._reader.nearest_window(key, before=before))

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        """Objects that match and may be seen, as many as were asked for.

        As for ``kubectl get``, a right to one object finds it only by its name: to ask about each of thousands would be
        too much. Where what is found first may not be seen, rights to types and namespaces are asked, and only those
        are searched. What could not be asked is left out, and ``searches_cut`` counts that; raises ``UserError`` where
        nothing else is left.
        """
        by_name = bool(query.name) and "*" not in query.name
        shown, complete = self._examined(query, by_name=by_name)
        if complete or len(shown) > query.limit:
            return shown
        if by_name:
            shown, complete = self._examined(query, by_name=True, most=self._most_examined)
        else:
            shown, complete = self._found_where_permitted(query)
        if not complete and not shown:
            raise UserError(
                "there is too much that you may not see for a search this wide: narrow it by namespace, kind or name"
            )
        self.searches_cut += not complete
        return shown

    def _examined(
        self, query: ObjectQuery, *, by_name: bool, most: int = 0
    ) -> tuple[list[FoundObject], bool]:
        """What may be seen of the first ``most`` that are found, and whether there can be no more of it."""
        before, most = self.undecided, max(most, query.limit)
        found = self._reader.find_objects(dataclasses.replace(query, limit=most))
        allowed = self._allowed({one.key for one in found}, by_name=by_name)
        shown = [one for one in found if one.key in allowed][: query.limit + 1]
        is_all = len(found) <= most and self.undecided == before
        return shown, is_all or len(shown) > query.limit

    def _found_where_permitted(self, query: ObjectQuery) -> tuple[list[FoundObject], bool]:
        """What is found where everything may be seen, and whether there can be no more of it."""
        permitted = self._permitted(query)
        if not permitted.keys:
            return [], permitted.complete
        narrowed = dataclasses.replace(query, among=tuple(sorted(permitted.keys)))
        shown: list[FoundObject] = []
        for most in (
            query.limit,
            max(query.limit, self._most_examined),
        ):  # not every store can search places only
            found = self._reader.find_objects(dataclasses.replace(narrowed, limit=most))
            shown = [one for one in found if one.key._replace(name="") in permitted.keys][: query.limit + 1]
            is_all = len(found) <= most
            if is_all or len(shown) > query.limit:
                break
        self._types_seen.update(one.key[:3] for one in shown)
        return shown, (is_all and permitted.complete) or len(shown) > query.limit

    def _permitted(self, query: ObjectQuery) -> PermittedPlaces:
        """Where everything may be seen: asked once for what is searched in several steps."""
        asked = (query.cluster, query.resources, query.namespace, query.name)
        known = self._permitted_places.get(asked)
        if known is None:
            before = self.undecided
            there, complete = places_of(self._reader, query, most=self._most_examined)
            known = permitted_places(there, lambda keys: self._allowed(keys, by_name=False))
            complete = complete and known.complete and self.undecided == before
            known = self._permitted_places[asked] = known._replace(complete=complete)
        return known

    def clusters(self) -> list[str]:
        """The clusters in which the viewer is known."""
        return self._viewer.clusters(self._reader.clusters())

    def _allowed(self, keys: Collection[ObjectKey], *, by_name: bool = True) -> AbstractSet[ObjectKey]:
        allowed = self._viewer.allowed(keys, by_name=by_name) if keys else frozenset[ObjectKey]()
        self._types_seen.update(key[:3] for key in allowed if key.name)
        return allowed

    def _if_allowed(self, window: Window | None) -> Window | None:
        return window if window is not None and window.key in self._allowed({window.key}) else None

    def _is_glimpse(self, key: ObjectKey) -> bool:
        """Whether it is a whole type of which the viewer has been shown an object: then gaps in its watch concern them."""
        return not key.name and key[:3] in self._types_seen

    def _shown(self, spans: Iterable[Span], allowed: AbstractSet[ObjectKey]) -> Iterator[Span]:
        for span in spans:
            if all(key in allowed for key in _named_by(span)):
                yield _alone(span) if span.source == "object" and span.links else span
            elif span.source == "gap" and not span.key.name and span.trace_id in self._glimpsed:
                yield _that_it_was(span)


def _named_by(span: Span) -> tuple[ObjectKey, ...]:
    """The objects that a span names: its own, and the other end of a link."""
    return (span.key, link_target(span)) if span.source == "link" else (span.key,)


def _alone(root: Span) -> Span:
    """An object span without the links that a trace store may have kept with it: what they lead to is not said."""
    return msgspec.structs.replace(root, links=())


def _that_it_was(gap: Span) -> Span:
    """A gap in the watch of a whole type without what it says of others: that something was missed, when and why."""
    attributes = {name: gap.attributes[name] for name in TOLD_OF_GAPS if name in gap.attributes}
    return msgspec.structs.replace(gap, attributes=attributes, links=(), error="", body=b"")


def searches_cut(reader: SpanReader) -> int:
    """How many searches of a reader have perhaps not reached all that match, because of what may not be seen."""
    return reader.searches_cut if isinstance(reader, AllowedReader) else 0


def tell_undecided(tree: Tree, reader: SpanReader) -> Tree:
    """A tree that says so, where objects were left out because asking about each of them would have been too much."""
    undecided = reader.undecided if isinstance(reader, AllowedReader) else 0
    if not undecided:
        return tree
    told = Truncation(
        what="permission",
        of=str(tree.root.key),
        shown=sum(1 for _ in shown_nodes(tree)),
        more=undecided,
        hint="whether you may see them was too much to ask at once, so ask for a smaller part of it",
    )
    return dataclasses.replace(tree, truncated=(*tree.truncated, told))
