"""Owner references of an object, and which of them leads on to its root owner."""

from __future__ import annotations

from typing import Any

from kubeweft.links.owners import CONTROLS, KindTable, Parent, parent_of
from kubeweft.links.placing import Unknown
from kubeweft.model.references import ObjectKey, OwnerReference, group_of


def owners_of(key: ObjectKey, metadata: dict[str, Any], kinds: KindTable, unknown: Unknown) -> list[Parent]:
    """The owners in the order of the references; ``unknown`` is told of kinds not known yet."""
    found = []
    for reference in _references(metadata):
        parent = parent_of(key, reference, kinds)
        if parent is None:
            unknown(group_of(reference.api_version), "", reference.kind)
        else:
            found.append(parent)
    return found


def next_owner(owners: list[Parent], *, controller_only: bool) -> ObjectKey | None:
    """The one owner that the way to the root goes through: the controller, else the first by key."""
    controllers = [owner.key for owner in owners if owner.link_class == CONTROLS]
    if controllers or controller_only:
        return controllers[0] if controllers else None
    return min((owner.key for owner in owners), default=None)


def _references(metadata: dict[str, Any]) -> list[OwnerReference]:
    found = []
    entries = metadata.get("ownerReferences")
    for entry in entries if type(entries) is list else ():
        if type(entry) is not dict:
            continue
        api_version, kind, name = (str(entry.get(field) or "") for field in ("apiVersion", "kind", "name"))
        if api_version and kind and name:
            controls = entry.get("controller") is True
            found.append(OwnerReference(api_version, kind, name, str(entry.get("uid") or ""), controls))
    return found
