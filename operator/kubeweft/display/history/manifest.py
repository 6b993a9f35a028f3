"""The object as it was at some moment: the newest snapshot before it, and the changes since.

Versions are walked backwards from the last change before the moment to one of which the whole object is known, then the
patches are applied forwards. Where a link of that chain is missing, nothing is guessed: the error says from when on
the object is known again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jsonpatch
import orjson
import yaml
from jsonpointer import JsonPointerException

from kubeweft.display.steps.nesting import find_writers
from kubeweft.display.tree.trees import FOREVER, text_of, version_number
from kubeweft.display.words.keys import key_in_words
from kubeweft.display.words.times import in_words
from kubeweft.model import changes as patches
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import SpanReader

WINDOWS_AT_ONCE = 8
MOST_WINDOWS_AT_ONCE = 512
MOST_SPANS = 200_000

Manifest = dict[str, Any]


class WasDeleted(UserError):
    """The object had been deleted at the time asked for; ``time`` says when."""

    def __init__(self, key: ObjectKey, time: int) -> None:
        """``time`` is in nanoseconds."""
        super().__init__(f"{key_in_words(key)} was deleted at {in_words(time)}: ask for an earlier time")
        self.time = time


@dataclass(frozen=True, slots=True)
class Step:
    """One change or sighting, at the time it is shown with."""

    span: Span
    time: int

    @property
    def type(self) -> str:
        """Added, Modified, Deleted or Sighting."""
        return text_of(self.span, v.CHANGE_TYPE)

    @property
    def uid(self) -> str:
        """The life to which it belongs."""
        return text_of(self.span, v.UID)

    @property
    def version(self) -> str:
        """The resourceVersion after it; empty for a deletion that only a relist showed."""
        return text_of(self.span, v.RESOURCE_VERSION)

    @property
    def old_version(self) -> str:
        """The resourceVersion before it."""
        return text_of(self.span, v.OLD_VERSION)


class NotYetKnown(UserError):
    """Nothing was known of the object at the time asked for: it may not have been there.

    ``created`` is when it was created after that (nanoseconds), where that is the first that is known of it; else 0.
    """

    def __init__(self, key: ObjectKey, time: int, following: Step | None) -> None:
        """``following`` is the first that happened to it after that time."""
        known = "no snapshot of it is stored before"
        created = following is not None and following.type == "Added"
        if following is not None:
            known = f"it {'was created' if created else 'is known since'} {in_words(following.time)}"
        super().__init__(f"nothing is known about {key_in_words(key)} at {in_words(time)}: {known}")
        self.created = following.time if following is not None and created else 0


def manifest_at(reader: SpanReader, key: ObjectKey, time: int, *, most_spans: int = MOST_SPANS) -> Manifest:
    """The object as it was at ``time`` (nanoseconds), for which at most so many spans are read.

    Raises ``WasDeleted``, ``NotYetKnown``, or another ``UserError`` where it cannot be rebuilt.
    """
    problem = ""
    spans: list[Span] = []
    for spans in _back_from(reader, key, time, most=most_spans):
        steps = steps_of(spans)
        last = _last_before(steps, time)
        if last is None:
            continue
        if last.type == "Deleted":
            raise WasDeleted(key, last.time)
        manifest = _rebuild(steps, last)
        if manifest is not None:
            return manifest
        problem = problem or _unknown(key, last, steps)
    if problem:
        raise UserError(problem)
    raise NotYetKnown(key, time, _first_after(reader, key, time))


def _back_from(reader: SpanReader, key: ObjectKey, time: int, *, most: int) -> Iterator[list[Span]]:
    """What is stored of the object up to a time: a few windows, and each time twice as many as before.

    All is looked through again each time, which is why it doubles. Raises ``UserError`` where it would be too much.
    """
    windows = reader.windows_of(key, since=0, until=time)
    spans: list[Span] = []
    size = WINDOWS_AT_ONCE
    while windows:
        chunk, windows = windows[-size:], windows[:-size]
        for begin in range(0, len(chunk), MOST_WINDOWS_AT_ONCE):
            part = chunk[begin : begin + MOST_WINDOWS_AT_ONCE]
            spans.extend(reader.spans_of([window.trace_id for window in part]))
            if len(spans) > most:
                raise UserError(
                    f"{key_in_words(key)} cannot be rebuilt as of {in_words(time)}: too much happened since the last time that"
                    f" the whole object was stored ({most} spans): ask for an earlier time"
                )
        yield spans
        size *= 2


def manifest_yaml(manifest: Manifest) -> str:
    """YAML that begins as ``kubectl`` writes it, then in the order of the object's own fields."""
    ordered: Manifest = {
        field: manifest[field] for field in ("apiVersion", "kind", "metadata") if field in manifest
    }
    ordered.update(manifest)
    return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=120)


def steps_of(spans: Iterable[Span]) -> list[Step]:
    """Changes and sightings, life by life, in the order of their versions where those can be compared."""
    known = {span.span_id: span for span in spans}
    writers = find_writers(known.values())
    lives: dict[str, list[Step]] = {}
    for span in known.values():
        if span.source == "change":
            time = writers[span.span_id].start if span.span_id in writers else span.start
            lives.setdefault(text_of(span, v.UID), []).append(Step(span, time))
    ordered = sorted(lives.items(), key=lambda life: (min(step.time for step in life[1]), life[0]))
    return [step for _, steps in ordered for step in _in_order(steps)]


def _in_order(steps: list[Step]) -> Iterable[Step]:
    """By version, the deletion last; none happened before the one below it, whatever time the object itself told."""
    reached = 0
    for step in sorted(steps, key=lambda s: (s.type == "Deleted", version_number(s.version), s.time)):
        reached = max(reached, step.time)
        yield Step(step.span, reached)


def _last_before(steps: Sequence[Step], time: int) -> Step | None:
    """The last step that had happened: by version, since times within a second say nothing."""
    return next((step for step in reversed(steps) if step.time <= time), None)


def _rebuild(steps: Sequence[Step], last: Step) -> Manifest | None:
    snapshots = _snapshots(steps, last.uid)
    chain = _way_back(steps, last, snapshots)
    if chain is None:
        return None
    base = chain[-1].old_version if chain else last.version
    manifest: Manifest | None = orjson.loads(snapshots[base])
    for step in reversed(chain):
        manifest = apply_step(step, manifest) if manifest is not None else None
    if manifest is None:
        return None
    metadata = manifest.setdefault("metadata", {})
    metadata.pop("resourceVersion", None)  # always the last field, so that two versions differ in one place
    metadata["resourceVersion"] = last.version
    return manifest


def _way_back(steps: Sequence[Step], last: Step, snapshots: dict[str, bytes]) -> list[Step] | None:
    """The fewest steps that lead from ``last`` back to a whole object, newest first; None where there is no way."""
    into: dict[str, list[Step]] = {}
    for step in steps:
        if step.uid == last.uid and is_applicable(step):
            into.setdefault(step.version, []).append(step)
    reached_by: dict[str, Step | None] = {last.version: None}
    waiting = deque([last.version])
    while waiting:
        version = waiting.popleft()
        if version in snapshots:
            return _chain_to(version, reached_by)
        for step in into.get(version, ()):
            if step.old_version not in reached_by:
                reached_by[step.old_version] = step
                waiting.append(step.old_version)
    return None


def _chain_to(version: str, reached_by: dict[str, Step | None]) -> list[Step]:
    chain: list[Step] = []
    while (step := reached_by[version]) is not None:
        chain.append(step)
        version = step.version
    return chain[::-1]


def _snapshots(steps: Sequence[Step], uid: str) -> dict[str, bytes]:
    """Whole objects by version; that of a deletion is the object as it was before."""
    own = [s for s in steps if s.uid == uid and s.span.body]
    before = {s.old_version: s.span.body for s in own if s.type == "Deleted" and s.old_version}
    return before | {s.version: s.span.body for s in own if s.type != "Deleted"}


def is_applicable(step: Step) -> bool:
    """Whether a change says what it starts from and has its whole patch."""
    return (
        step.type == "Modified"
        and bool(step.old_version)
        and text_of(step.span, v.PATCH_TRUNCATED).lower() != "true"
    )


def apply_step(step: Step, manifest: Manifest) -> Manifest | None:
    """The object after an applicable change, which has no patch where nothing that is kept differs; None if it does not fit."""
    try:
        return patches.apply(orjson.loads(text_of(step.span, v.PATCH) or "[]"), manifest)
    except (jsonpatch.JsonPatchException, JsonPointerException, orjson.JSONDecodeError):
        return None  # snapshot and patch were made under different rules of what is left out


def _unknown(key: ObjectKey, last: Step, steps: Sequence[Step]) -> str:
    later = next((s.time for s in steps if s.time > last.time and s.span.body and s.type != "Deleted"), None)
    again = f"; it is known again from {in_words(later)}" if later else ""
    return (
        f"{key_in_words(key)} cannot be rebuilt as of version {last.version} ({in_words(last.time)}):"
        f" a change on the way to it is missing or was cut{again}"
    )


def _first_after(reader: SpanReader, key: ObjectKey, time: int) -> Step | None:
    """What happened to the object first after a time, if that is not long after what is stored next."""
    windows = reader.windows_of(key, since=time, until=FOREVER)[:WINDOWS_AT_ONCE]
    spans = reader.spans_of([window.trace_id for window in windows])
    return min((step for step in steps_of(spans) if step.time > time), key=lambda s: s.time, default=None)
