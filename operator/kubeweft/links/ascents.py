"""The way from objects to their root owners, kept up to date as owners come and go.

An object knows only its direct owners, so every object on the way is remembered with its next owner, and each source
is found by all the objects that its way goes through. A way that runs in a circle, or further than 32 owners, ends
where it is.
"""

from __future__ import annotations

from typing import Final

from kubeweft.model.references import ObjectKey

LONGEST_WAY: Final = 32
Step = tuple[ObjectKey | None, ObjectKey | None]  # the next owner: by controllers only, by any owner


class Ascent:
    """The way up from one object; ``root`` is None while it has no owner."""

    __slots__ = ("any_owner", "root", "start", "way")

    def __init__(self, start: ObjectKey, *, controller_only: bool) -> None:
        """It leads nowhere until it is added."""
        self.start = start
        self.any_owner = not controller_only
        self.root: ObjectKey | None = None
        self.way: tuple[ObjectKey, ...] = ()


class Ascents:
    """All ways of interest, and the next owner of every object."""

    def __init__(self) -> None:
        """Nothing known."""
        self._steps: dict[ObjectKey, Step] = {}
        self._through: dict[ObjectKey, dict[Ascent, None]] = {}

    def put(self, key: ObjectKey, step: Step) -> list[Ascent]:
        """The next owner of an object is now this; gives the ways whose root has changed."""
        if self._steps.get(key, (None, None)) == step:
            return []
        if step == (None, None):
            del self._steps[key]
        else:
            self._steps[key] = step
        return [ascent for ascent in list(self._through.get(key, ())) if self._walk(ascent)]

    def add(self, ascent: Ascent) -> None:
        """From now on this way is kept up to date."""
        self._through.setdefault(ascent.start, {})[ascent] = None
        ascent.way = (ascent.start,)
        self._walk(ascent)

    def remove(self, ascent: Ascent) -> None:
        """The way is not asked for any more."""
        self._lift(ascent)

    def clear(self) -> None:
        """Forget the owners of all objects, because no rule asks for roots."""
        self._steps.clear()

    def _walk(self, ascent: Ascent) -> bool:
        """Go the way again; whether it ends elsewhere than before."""
        way = [ascent.start]
        while len(way) <= LONGEST_WAY:
            onward = self._steps.get(way[-1], (None, None))[ascent.any_owner]
            if onward is None or onward in way:
                break
            way.append(onward)
        self._lift(ascent)
        ascent.way = tuple(way)
        for key in way:
            self._through.setdefault(key, {})[ascent] = None
        before, ascent.root = ascent.root, way[-1] if len(way) > 1 else None
        return before != ascent.root

    def _lift(self, ascent: Ascent) -> None:
        for key in ascent.way:
            through = self._through.get(key)
            if through is not None:
                through.pop(ascent, None)
                if not through:
                    del self._through[key]
        ascent.way = ()
