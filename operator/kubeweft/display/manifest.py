"""The object as it was at some moment: the newest snapshot before it, and the changes since.

Versions are walked backwards from the last change before the moment to one of which the whole object is known, then the
patches are applied forwards. Where a link of that chain is missing, nothing is guessed: the error says from when on
the object is known again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jsonpatch
import orjson
import yaml
from jsonpointer import JsonPointerException

from kubeweft.display.steps.nesting import find_writers
from kubeweft.display.trees import text_of, version_number
from kubeweft.model import changes as patches
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.timestamps import format_timestamp
from kubeweft.store.interfaces import SpanReader

WINDOWS_AT_ONCE = 8

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Step:
    """One change or sighting, at the time it is shown with."""

    span: Span
    time: int

    @property
    def type(self) -> str:
        return text_of(self.span, v.CHANGE_TYPE)

    @property
    def uid(self) -> str:
        return text_of(self.span, v.UID)

    @property
    def version(self) -> str:
        return text_of(self.span, v.RESOURCE_VERSION)

    @property
    def old_version(self) -> str:
        return text_of(self.span, v.OLD_VERSION)


def manifest_at(reader: SpanReader, key: ObjectKey, time: int) -> Manifest:
    """The object as it was at ``time`` (nanoseconds); raises ``UserError`` where it was not there or is not known."""
    windows = reader.windows_of(key, since=0, until=time)
    spans: list[Span] = []
    problem = ""
    while windows:
        chunk, windows = windows[-WINDOWS_AT_ONCE:], windows[:-WINDOWS_AT_ONCE]
        spans.extend(reader.spans_of([window.trace_id for window in chunk]))
        steps = _steps(spans)
        last = _last_before(steps, time)
        if last is None:
            continue
        if last.type == "Deleted":
            raise UserError(f"{key} was deleted at {format_timestamp(last.time)}: ask for an earlier time")
        manifest = _rebuild(steps, last)
        if manifest is not None:
            return manifest
        problem = problem or _unknown(key, last, steps)
    raise UserError(problem or _not_yet(key, time, _steps(spans)))


def manifest_yaml(manifest: Manifest) -> str:
    """YAML that begins as ``kubectl`` writes it, then in the order of the object's own fields."""
    ordered: Manifest = {
        field: manifest[field] for field in ("apiVersion", "kind", "metadata") if field in manifest
    }
    ordered.update(manifest)
    return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=120)


def _steps(spans: Iterable[Span]) -> list[_Step]:
    """Changes and sightings, life by life, in the order of their versions where those can be compared."""
    known = {span.span_id: span for span in spans}
    writers = find_writers(known.values())
    lives: dict[str, list[_Step]] = {}
    for span in known.values():
        if span.source == "change":
            time = writers[span.span_id].start if span.span_id in writers else span.start
            lives.setdefault(text_of(span, v.UID), []).append(_Step(span, time))
    ordered = sorted(lives.items(), key=lambda life: (min(step.time for step in life[1]), life[0]))
    return [step for _, steps in ordered for step in _in_order(steps)]


def _in_order(steps: list[_Step]) -> Iterable[_Step]:
    """By version, the deletion last; none happened before the one below it, whatever time the object itself told."""
    reached = 0
    for step in sorted(steps, key=lambda s: (s.type == "Deleted", version_number(s.version), s.time)):
        reached = max(reached, step.time)
        yield _Step(step.span, reached)


def _last_before(steps: Sequence[_Step], time: int) -> _Step | None:
    """The last step that had happened: by version, since times within a second say nothing."""
    return next((step for step in reversed(steps) if step.time <= time), None)


def _rebuild(steps: Sequence[_Step], last: _Step) -> Manifest | None:
    snapshots = _snapshots(steps, last.uid)
    chain = _way_back(steps, last, snapshots)
    if chain is None:
        return None
    base = chain[-1].old_version if chain else last.version
    manifest: Manifest = orjson.loads(snapshots[base])
    try:
        for step in reversed(chain):
            manifest = patches.apply(orjson.loads(text_of(step.span, v.PATCH)), manifest)
    except (jsonpatch.JsonPatchException, JsonPointerException):
        return None  # snapshot and patch were made under different rules of what is left out
    manifest.setdefault("metadata", {})["resourceVersion"] = last.version
    return manifest


def _way_back(steps: Sequence[_Step], last: _Step, snapshots: dict[str, bytes]) -> list[_Step] | None:
    """The fewest steps that lead from ``last`` back to a whole object, newest first; None where there is no way."""
    into: dict[str, list[_Step]] = {}
    for step in steps:
        if step.uid == last.uid and _is_applicable(step):
            into.setdefault(step.version, []).append(step)
    reached_by: dict[str, _Step | None] = {last.version: None}
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


def _chain_to(version: str, reached_by: dict[str, _Step | None]) -> list[_Step]:
    chain: list[_Step] = []
    while (step := reached_by[version]) is not None:
        chain.append(step)
        version = step.version
    return chain[::-1]


def _snapshots(steps: Sequence[_Step], uid: str) -> dict[str, bytes]:
    """Whole objects by version; that of a deletion is the object as it was before."""
    own = [s for s in steps if s.uid == uid and s.span.body]
    before = {s.old_version: s.span.body for s in own if s.type == "Deleted" and s.old_version}
    return before | {s.version: s.span.body for s in own if s.type != "Deleted"}


def _is_applicable(step: _Step) -> bool:
    return (
        step.type == "Modified"
        and bool(step.old_version)
        and bool(text_of(step.span, v.PATCH))
        and text_of(step.span, v.PATCH_TRUNCATED).lower() != "true"
    )


def _unknown(key: ObjectKey, last: _Step, steps: Sequence[_Step]) -> str:
    later = next((s.time for s in steps if s.time > last.time and s.span.body and s.type != "Deleted"), None)
    again = f"; it is known again from {format_timestamp(later)}" if later else ""
    return (
        f"{key} cannot be rebuilt as of version {last.version} ({format_timestamp(last.time)}):"
        f" a change on the way to it is missing or was cut{again}"
    )


def _not_yet(key: ObjectKey, time: int, steps: Sequence[_Step]) -> str:
    first = min((s.time for s in steps), default=None)
    known = f"it is known since {format_timestamp(first)}" if first else "no snapshot of it is stored before"
    return f"nothing is known about {key} at {format_timestamp(time)}: {known}"
