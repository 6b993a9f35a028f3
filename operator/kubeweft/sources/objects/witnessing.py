"""Tells the chooser what the watch of one resource type sees, and all of it again when something else is asked.

The chooser looks into objects, but sees none itself (:mod:`kubeweft.sources.objects.choosing`). The watch of Namespaces
has a part of its own: the other watches wait for it.
"""

from __future__ import annotations

import asyncio

from kubeweft.model.plan import NAMESPACES
from kubeweft.model.references import ObjectKey
from kubeweft.sources.objects.differing import Differ

TOLD_AT_ONCE = 500  # then others get their turn


class Witness:
    """What one watch tells the chooser of the rules in force, if they have one."""

    def __init__(self, differ: Differ) -> None:
        """The ``differ`` remembers what has been seen, and knows the rules."""
        self._differ = differ
        self._answered: tuple[object, ...] = ()

    @property
    def is_asked(self) -> bool:
        """Whether objects of this type have to be told."""
        chooser, resource = self._differ.rules.chooser, self._differ.resource
        return chooser is not None and chooser.judges(resource.group, resource.resource)

    @property
    def is_done(self) -> bool:
        """Whether everything remembered has been told since the question was last changed."""
        chooser = self._differ.rules.chooser
        return chooser is None or not self.is_asked or self._answered == chooser.question

    def tell(self, key: ObjectKey, body: bytes) -> None:
        """An object is now so."""
        if self._differ.rules.chooser is not None:
            self._differ.rules.chooser.judge(key, body)

    def tell_gone(self, key: ObjectKey) -> None:
        """An object was deleted."""
        if self._differ.rules.chooser is not None:
            self._differ.rules.chooser.gone(key)

    async def tell_all(self) -> None:
        """Everything that is remembered, a part at a time. The question may change meanwhile: look at ``is_done``."""
        chooser = self._differ.rules.chooser
        assert chooser is not None
        question = chooser.question
        for number, (key, body, _) in enumerate(self._differ.bodies(), start=1):
            chooser.judge(key, body)
            if number % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._answered = chooser.question if self._sees_namespaces else question  # telling them changes it

    async def wait_for_namespaces(self) -> None:
        """Until their watch has told them all, if policies look at them."""
        if not self._sees_namespaces and self._differ.rules.chooser is not None:
            await self._differ.rules.chooser.wait_for_namespaces()

    def has_told_all(self) -> None:
        """Everything of this type has been told once: if it is Namespaces, nobody has to wait for them any more."""
        if self._sees_namespaces and self._differ.rules.chooser is not None:
            self._differ.rules.chooser.namespaces_are_told()

    @property
    def _sees_namespaces(self) -> bool:
        return (self._differ.resource.group, self._differ.resource.resource) == NAMESPACES
