"""What finders see of an object, and what they give: the names of targets, as far as the object says them.

A name is not yet an object key: namespace, resource type and cluster may still have to come from the rule or from the
source. :mod:`kubeweft.links.placing` completes them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kubeweft.links.cel import ClusterFacts, EvaluationFailed, Scene
from kubeweft.model.references import ObjectKey, group_of

LONGEST_NAME: Final = 253
_NOTHING: Final[dict[str, Any]] = {}
_MAP_FIELDS: Final = frozenset(
    {"group", "resource", "namespace", "name", "uid", "cluster", "kind", "apiVersion", "apiGroup"}
)


class Named(NamedTuple):
    """One target as the source names it. ``group`` None: not said; ``kind`` is said where no ``resource`` is."""

    name: str
    namespace: str = ""
    group: str | None = None
    resource: str = ""
    kind: str = ""
    cluster: str = ""


class Subject:
    """The source of a rule as finders see it: parsed once, converted for CEL at most once."""

    __slots__ = (
        "_facts",
        "_namespace_object",
        "_scene",
        "annotations",
        "body",
        "key",
        "labels",
        "metadata",
        "walked",
    )

    def __init__(
        self,
        key: ObjectKey,
        body: dict[str, Any],
        *,
        facts: ClusterFacts,
        namespace_object: Mapping[str, Any] | None = None,
    ) -> None:
        """``body`` is the parsed object, which is not changed."""
        self.key = key
        self.body = body
        self.walked: dict[Any, list[Any]] = {}  # what paths have led to
        self.metadata = mapping(body.get("metadata"))
        self.labels: dict[str, Any] = mapping(self.metadata.get("labels"))
        self.annotations: dict[str, Any] = mapping(self.metadata.get("annotations"))
        self._facts = facts
        self._namespace_object = namespace_object
        self._scene: Scene | None = None

    @property
    def scene(self) -> Scene:
        """The object as CEL sees it. There is no old object here: relations follow from how an object is now."""
        if self._scene is None:
            self._scene = Scene(self.body, cluster=self._facts, namespace_object=self._namespace_object)
        return self._scene


Find = Callable[[Subject], Sequence[Named]]


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is a map, else an empty one that must not be changed."""
    return value if type(value) is dict else _NOTHING


def is_name(value: Any) -> bool:
    """Whether a value can be the name of an object in a URL of the API, as Kubernetes checks it."""
    return type(value) is str and 0 < len(value) <= LONGEST_NAME and _is_segment(value)


@functools.lru_cache(maxsize=8192)
def _is_segment(text: str) -> bool:
    return "/" not in text and "%" not in text and text not in {".", ".."} and text.isprintable()


def named_by(value: Any) -> list[Named]:
    """Names from a value of CEL or JSON: text, a map, or a list of either. Null and empty text name nothing.

    A map has ``name`` and may have ``namespace``, ``group`` and ``resource`` (or ``kind``, with ``group`` or
    ``apiVersion`` or ``apiGroup``), ``cluster``, and ``uid``, which is passed over because objects are known by name.
    Raises ``EvaluationFailed`` for anything else.
    """
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return [name for item in value for name in _named_one(item)]
    return _named_one(value)


def _named_one(value: Any) -> list[Named]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [Named(value)]
    if isinstance(value, dict):
        return [_named_map(value)]
    raise EvaluationFailed("a target must be text or a map with a name")


def _named_map(value: dict[str, Any]) -> Named:
    odd = sorted(set(value) - _MAP_FIELDS)
    if odd:
        raise EvaluationFailed(f"the map of a target has the unknown key {odd[0][:64]!r}")
    texts = {key: item for key, item in value.items() if item is not None}
    if not all(isinstance(item, str) for item in texts.values()):
        raise EvaluationFailed("the values in the map of a target must be text")
    if "name" not in texts:
        raise EvaluationFailed("the map of a target needs a name")
    group = texts.get("group", texts.get("apiGroup"))
    if group is None and "apiVersion" in texts:
        group = group_of(texts["apiVersion"])
    return Named(
        texts["name"],
        texts.get("namespace", ""),
        group,
        texts.get("resource", ""),
        texts.get("kind", ""),
        texts.get("cluster", ""),
    )
