"""Compares two bodies of one object: the step between them as a patch and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from kubeweft.model import changes
from kubeweft.model.observations import FieldManager
from kubeweft.sources.objects.acting import OWNED_BY_NOBODY, Entry, acting_managers

STATUS = "status"
METADATA = frozenset({"metadata"})


class Step(NamedTuple):
    """What changed from one version to the next. ``cut`` says that the patch was too large and is left out.

    ``fields`` are the top-level fields that differ; None where there was no version before. ``operations`` are the patch
    even if it was cut, and lead to what ``after`` holds of those fields.
    """

    patch: str
    cut: bool
    words: tuple[str, ...]
    in_status: bool = False
    deletion_only: bool = False
    fields: frozenset[str] | None = frozenset()
    operations: Sequence[changes.Operation] = ()
    after: changes.JsonObject | None = None

    def actors(self, entries: Sequence[Entry]) -> tuple[FieldManager, ...]:
        """The field managers that can have made this step, as far as they tell: who deletes is not among them."""
        if self.deletion_only:
            return ()
        compared = () if self.fields is None else self.operations  # else more may have changed than they say
        return acting_managers(entries, in_status=self.in_status, operations=compared, after=self.after)


NO_STEP = Step(patch="", cut=False, words=())
WHOLE = NO_STEP._replace(fields=None)


def _written(operations: list[changes.Operation]) -> str:
    """The patch as JSON text; empty where it is nested more deeply than can be written, though the object is not."""
    try:
        return orjson.dumps(operations).decode()
    except TypeError:
        return ""


def compare_bodies(before: bytes, after: bytes, *, max_bytes: int) -> Step:
    """The step from one body to another; a patch above ``max_bytes`` is cut."""
    if before == after:
        return NO_STEP
    old, new = changes.differing_fields(before, after)
    operations = changes.diff(old, new)
    if not operations:
        return NO_STEP
    touched = frozenset(old.keys() | new.keys())
    patch = _written(operations)
    cut = not patch or len(patch) > max_bytes
    deletion = touched == METADATA and OWNED_BY_NOBODY.issuperset(
        operation["path"] for operation in operations
    )
    return Step(
        patch="" if cut else patch,
        cut=cut,
        words=changes.describe(old, new, operations),
        in_status=STATUS in touched,
        deletion_only=deletion,
        fields=touched,
        operations=operations,
        after=new,
    )
