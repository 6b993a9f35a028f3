"""What limits left out, in words: how many of what, around which object, and how to see them.

The same whatever order spans are stored in, and nothing counted twice: what one limit left out may be shown for
another reason, or be missing under two parents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from kubeweft.display.reading.levels import Found, LeftOut
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import Truncation
from kubeweft.display.words.left_out_wording import EARLIER, FULL, IN_SPACE, IN_TIME, LOWER, OWNED
from kubeweft.model.references import ObjectKey, group_resource

HINTS = {
    "objects": IN_TIME,
    "depth": LOWER,
    "windows": EARLIER,
    "around": EARLIER,
    "contents": IN_SPACE,
    "linked_read": IN_TIME,
    "siblings": FULL,
}


def truncations(
    found: Found, names: Mapping[tuple[str, str], str], selection: Selection
) -> tuple[Truncation, ...]:
    """One entry for each limit that was reached; ``names`` are the kinds of (group, resource)."""
    result = []
    for what, hint in HINTS.items():
        places = _still_missing(found, found.left_out.get(what, {}))
        if not places:
            continue
        objects = {key for place in places.values() for key in place.objects}
        shown = [place.shown for place in places.values()]
        result.append(
            Truncation(
                what=what,
                of=str(next(iter(places)) if len(places) == 1 else found.root),
                shown=sum(shown) if what in ("objects", "siblings") else max(shown),
                more=len(objects) or sum(place.more for place in places.values()),
                hint=OWNED if what == "depth" and not selection.down else hint,
                kinds=_count_kinds(objects, names),
            )
        )
    return tuple(result)


def _still_missing(found: Found, places: Mapping[ObjectKey, LeftOut]) -> dict[ObjectKey, LeftOut]:
    missing = {}
    for of, place in places.items():
        objects = tuple([key for key in place.objects if not found.is_met(key)])
        if objects or not place.objects:
            missing[of] = LeftOut(place.shown, place.more, objects)
    return missing


def _count_kinds(
    objects: Iterable[ObjectKey], names: Mapping[tuple[str, str], str]
) -> tuple[tuple[str, int], ...]:
    """The kinds of objects and how many there are of each, most first."""
    counts = Counter(
        names.get((key.group, key.resource)) or group_resource(key.group, key.resource) for key in objects
    )
    return tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
