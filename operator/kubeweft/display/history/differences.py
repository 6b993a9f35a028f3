"""One object at two moments: what differs, who changed each field in between, and whether it is still the same object.

Both ends are rebuilt as in :mod:`kubeweft.display.history.manifest`, and so is every version between them, so that a field is told
with all who wrote it, also where it was changed back. Nothing is guessed: a change that cannot be read is counted.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from kubeweft.display.history.field_changes import FieldChange, field_changes, label_of_line, overlap
from kubeweft.display.history.manifest import (
    MOST_SPANS,
    MOST_WINDOWS_AT_ONCE,
    Manifest,
    NotYetKnown,
    Step,
    WasDeleted,
    is_applicable,
    manifest_at,
    steps_of,
)
from kubeweft.display.history.patching import apply_here
from kubeweft.display.steps.nesting import find_writers
from kubeweft.display.tree.trees import text_of, version_number
from kubeweft.display.words.keys import key_in_words
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import SpanReader

_POSITION: Final = re.compile(r"\[\d+\](?=[.\[]|$)")

Presence = Literal["there", "deleted", "not there yet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The object at a time (nanoseconds); ``manifest`` is None unless it is ``there``, and has no resourceVersion.

    ``deleted`` is when it had been deleted, and ``created`` when it was to be created, where that is known.
    """

    time: int
    presence: Presence
    manifest: Manifest | None = None
    version: str = ""
    uid: str = ""
    deleted: int = 0
    created: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Somebody changed the object: ``change`` is what happened, ``request`` who did it (None where no audit log tells).

    ``labels`` are the fields that it touched; there may be others where it is not ``is_read``.
    """

    time: int
    change: Span
    request: Span | None
    labels: tuple[str, ...] = ()
    is_read: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldHistory:
    """A field that differs at the end, and all that touched it in between, oldest first."""

    field: FieldChange
    by: tuple[Writing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What became of one object between two moments.

    ``lives`` are the creations and deletions in between. ``changed_back`` are fields that were changed and are as before;
    ``unread`` changes cannot be read field by field, or not wholly.
    """

    key: ObjectKey
    old: Moment
    new: Moment
    fields: tuple[FieldHistory, ...] = ()
    lives: tuple[Writing, ...] = ()
    writings: tuple[Writing, ...] = ()
    changed_back: tuple[str, ...] = ()
    unread: int = 0
    usual_kind: str = ""

    @property
    def is_same(self) -> bool:
        """Whether it is the same object with the same content, or neither was there."""
        return not self.fields and self.old.uid == self.new.uid

    @property
    def kind(self) -> str:
        """What it calls itself, else what such objects are called."""
        known = self.new.manifest or self.old.manifest or {}
        return str(known.get("kind", "")) or self.usual_kind


def difference(
    reader: SpanReader,
    key: ObjectKey,
    *,
    since: int,
    until: int,
    kind: str = "",
    most_spans: int = MOST_SPANS,
) -> Difference:
    """The object at two times (nanoseconds, the first not later) compared; ``kind`` is for where it was there at neither.

    Raises ``UserError`` where it cannot be rebuilt, nothing at all is known of it, or too much happened in between.
    """
    spans = _spans_between(reader, key, since=since, until=until, most=most_spans)
    steps = steps_of(spans)
    old, new = _moment(reader, key, since), _moment(reader, key, until)
    between = [step for step in steps if since < step.time <= until and _is_between(step, old, new)]
    writers = find_writers({span.span_id: span for span in spans}.values())
    writings = tuple(_writings(between, old, writers))
    fields = field_changes(old.manifest or {}, new.manifest or {})
    histories = [FieldHistory(field=field, by=_writers_of(field.label, writings)) for field in fields]
    there = old.manifest is not None or new.manifest is not None
    touched = dict.fromkeys(
        label for writing in writings if there and not _is_life(writing) for label in writing.labels
    )
    return Difference(
        key=key,
        old=old,
        new=new,
        fields=tuple(histories),
        lives=tuple([w for w in writings if _is_life(w)]),
        writings=writings,
        changed_back=tuple([t for t in touched if not any(overlap(t, field.label) for field in fields)]),
        unread=sum(1 for w in writings if not w.is_read),
        usual_kind=kind,
    )


def _spans_between(reader: SpanReader, key: ObjectKey, *, since: int, until: int, most: int) -> list[Span]:
    stored = reader.windows_of(key, since=since, until=until)
    spans: list[Span] = []
    for begin in range(0, len(stored), MOST_WINDOWS_AT_ONCE):
        part = stored[begin : begin + MOST_WINDOWS_AT_ONCE]
        spans.extend(reader.spans_of([window.trace_id for window in part]))
        if len(spans) > most:
            raise UserError(
                f"too much happened to {key_in_words(key)} in between (more than {most} spans): narrow --from and --to"
            )
    return spans


def _moment(reader: SpanReader, key: ObjectKey, time: int) -> Moment:
    try:
        manifest = manifest_at(reader, key, time)
    except WasDeleted as error:
        return Moment(time=time, presence="deleted", deleted=error.time)
    except NotYetKnown as error:
        if not error.created:
            raise
        return Moment(time=time, presence="not there yet", created=error.created)
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        raise UserError(f"what is stored of {key_in_words(key)} is no whole object")
    version = str(metadata.pop("resourceVersion", ""))
    return Moment(
        time=time, presence="there", manifest=manifest, version=version, uid=str(metadata.get("uid", ""))
    )


def _is_between(step: Step, old: Moment, new: Moment) -> bool:
    """Whether a step that is timed between two moments is so by its version too, and no mere sighting."""
    if step.type == "Sighting":
        return False
    number = version_number(step.version)
    if number < 0:
        return True
    return not (
        (step.uid == old.uid and number <= version_number(old.version))
        or (step.uid == new.uid and 0 <= version_number(new.version) < number)
    )


def _writings(steps: Iterable[Step], old: Moment, writers: dict[bytes, Span]) -> Iterable[Writing]:
    """Each step with the fields it changed: as rebuilt, else as its own words tell."""
    state = _State(old)
    for step in _smallest(steps):
        labels, is_read = state.after(step)
        yield Writing(
            time=step.time,
            change=step.span,
            request=writers.get(step.span.span_id),
            labels=labels,
            is_read=is_read,
        )


def _smallest(steps: Iterable[Step]) -> Iterable[Step]:
    """Of steps to one version, which two observers may tell, the one from the nearest version before."""
    best: dict[tuple[str, str, bool], Step] = {}
    for step in steps:
        version = (step.uid, step.version, step.type == "Deleted")
        known = best.get(version)
        if known is None or version_number(known.old_version) < version_number(step.old_version):
            best[version] = step
    return best.values()


class _State:
    """The object while its changes are applied one after another; unknown where one is missing."""

    def __init__(self, moment: Moment) -> None:
        self._manifest, self._version = copy.deepcopy(moment.manifest), moment.version

    def after(self, step: Step) -> tuple[tuple[str, ...], bool]:
        """The labels of what the step changed, none for a creation and a deletion, and whether these are all."""
        before = self._manifest if step.old_version == self._version else None
        labels, is_read = self._patch(step, before), True
        if labels is None:
            self._manifest = (
                orjson.loads(step.span.body) if step.span.body and step.type != "Deleted" else None
            )
            labels, is_read = ([], True) if _ends_or_begins(step) else _told_in_words(step)
        self._version = step.version
        return tuple(dict.fromkeys(labels)), is_read

    @staticmethod
    def _patch(step: Step, before: Manifest | None) -> list[str] | None:
        """Apply its patch to the object in place; None where that cannot be done."""
        if before is None or not is_applicable(step):
            return None
        try:
            return apply_here(orjson.loads(text_of(step.span, v.PATCH) or "[]"), before)
        except orjson.JSONDecodeError:
            return None


def _told_in_words(step: Step) -> tuple[list[str], bool]:
    """The fields that the words of a change name, and whether these are all that it changed."""
    labels = [label_of_line(line) for line in text_of(step.span, v.WORDS).splitlines()]
    is_empty = is_applicable(step) and not text_of(step.span, v.PATCH)  # nothing that is kept differs
    return list(filter(None, labels)), all(labels) and (bool(labels) or is_empty)


def _ends_or_begins(step: Step) -> bool:
    return step.type in ("Added", "Deleted")


def _is_life(writing: Writing) -> bool:
    return text_of(writing.change, v.CHANGE_TYPE) in ("Added", "Deleted")


def _writers_of(label: str, writings: Sequence[Writing]) -> tuple[Writing, ...]:
    """All that touched a field; where a list has only positions for its items, all that touched the list.

    What was written before the object was last created or deleted is lost, and told by that.
    """
    lists = [label[: found.start()] for found in _POSITION.finditer(label)]
    for field in (label, *reversed(lists)):
        if found := tuple([writing for writing in writings if _touches(writing, field)]):
            begin = max((number for number, one in enumerate(found) if _is_life(one)), default=0)
            return found[begin:]
    return ()


def _touches(writing: Writing, label: str) -> bool:
    return _is_life(writing) or any(overlap(touched, label) for touched in writing.labels)
