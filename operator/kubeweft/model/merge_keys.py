"""By what the items of a list know each other again in the next version of an object.

Kubernetes writes this down in its schemas (patch merge keys, ``x-kubernetes-list-map-keys``), which are not at hand
here and say nothing for most custom resources. So it is read off the lists: the name of the field chooses the key
where Kubernetes is known to do so, else the first usual key that every item of both lists has and no two items share.
It never guesses: without such a key the answer is None, and the caller compares by content.
"""

from __future__ import annotations

from collections.abc import Hashable
from operator import itemgetter
from typing import Any, Final, NamedTuple

Names = tuple[str, ...]

# The first name of a key has to be present in every item, the others may be absent (an optional protocol).
GENERAL: Final[tuple[Names, ...]] = (
    ("name",),
    ("type",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("mountPath",),
    ("devicePath",),
    ("topologyKey",),
    ("uid",),
    ("key",),
    ("ip",),
    ("conditionType",),
    ("id",),
    ("host",),
    ("path", "pathType"),
    ("address",),
    ("kind", "namespace", "name"),
)

# Where the general order would choose a key that Kubernetes does not, or one that happens to be unique only today.
BY_FIELD: Final[dict[str, tuple[Names, ...]]] = {
    "addresses": (("type", "address"),),
    "conditions": (("type",),),
    "containers": (("name",),),
    "env": (("name",),),
    "hostAliases": (("ip",),),
    "hostIPs": (("ip",),),
    "imagePullSecrets": (("name",),),
    "matchExpressions": (("key", "operator"),),
    "ownerReferences": (("uid",),),
    "paths": (("path", "pathType"),),
    "podIPs": (("ip",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "subjects": (("kind", "namespace", "name"),),
    "taints": (("key", "effect"),),
    "tolerations": (("key", "operator", "value", "effect"),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeDevices": (("devicePath",),),
    "volumeMounts": (("mountPath",),),
}

_FIRST: Final = {names[0]: itemgetter(names[0]) for some in (GENERAL, *BY_FIELD.values()) for names in some}
_CANDIDATES: Final = {field: (*names, *GENERAL) for field, names in BY_FIELD.items()}


class Identities(NamedTuple):
    """The key of every item of the old and of the new list, in the lists' order."""

    old: list[Hashable]
    new: list[Hashable]


def identify(field: str, old: list[Any], new: list[Any]) -> Identities | None:
    """Keys that are present and unique in both lists, or None. ``field`` is the name under which the lists stand."""
    sample = old[0] if old else new[0] if new else None
    if type(sample) is not dict:
        return None
    for names in _CANDIDATES.get(field, GENERAL):
        if names[0] in sample:
            old_keys = _keys(old, names)
            new_keys = _keys(new, names) if old_keys is not None else None
            if old_keys is not None and new_keys is not None:
                return Identities(old_keys, new_keys)
    return None


def is_same_item(field: str, before: Any, after: Any) -> bool:
    """Whether two different objects are one item in two versions, going by the first usual key that it has."""
    if type(before) is dict and type(after) is dict:
        for names in _CANDIDATES.get(field, GENERAL):
            first = names[0]
            if first in before:
                return first in after and all(before.get(name) == after.get(name) for name in names)
    return False


def _keys(items: list[Any], names: Names) -> list[Hashable] | None:
    """The key of each item, or None if an item has none or two have the same."""
    try:
        keys: list[Hashable] = list(map(_FIRST[names[0]], items))
        if len(names) > 1:
            others = names[1:]
            keys = [
                (key, *[item.get(name) for name in others]) for key, item in zip(keys, items, strict=True)
            ]
        return keys if len(set(keys)) == len(keys) else None
    except (
        KeyError,
        TypeError,
        AttributeError,
    ):  # no such field, an item that is no object, a key that is one
        return None
