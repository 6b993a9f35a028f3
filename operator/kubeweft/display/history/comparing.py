"""Two runs side by side: steps that both have, steps that only one has, and the fields in which their objects ended up.

Nothing is judged: a step that took longer is told with by how much, and one that is missing is told as missing.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubeweft.display.history.field_changes import FieldChange, field_changes
from kubeweft.display.history.manifest import Manifest
from kubeweft.display.history.runs import Run, StepName, Timing
from kubeweft.display.tree.trees import Fact
from kubeweft.model import vocabulary as v
from kubeweft.model.timestamps import format_timestamp

Json = dict[str, Any]

OWN_METADATA: Final = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "selfLink",
    "managedFields",
    "ownerReferences",
)
API_ACCESS: Final = "kube-api-access-"  # every Pod has this volume under a name of its own
_OWN_FIELDS: Final = re.compile(
    r"\.(lastTransitionTime|lastUpdateTime|lastProbeTime|lastHeartbeatTime|observedGeneration|startTime|startedAt"
    r"|finishedAt|podIPs?|hostIPs?|containerID|message)\b"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One step in both runs; None where a run does not have it."""

    name: StepName
    a: Timing | None
    b: Timing | None

    @property
    def later(self) -> int:
        """By how much later its last time is in the second run (negative: earlier); 0 where one lacks it."""
        return self.b.last - self.a.last if self.a and self.b else 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How two objects of a kind ended up: the fields in which they differ, or why that cannot be told."""

    kind: str
    names: tuple[str, str]
    fields: tuple[FieldChange, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs, aligned at their starts. ``rows`` are in the order in which steps happened first, in either."""

    a: Run
    b: Run
    rows: tuple[Row, ...]
    ended: tuple[Ended, ...] = ()

    @property
    def both(self) -> list[Row]:
        """The steps that both have."""
        return [row for row in self.rows if row.a and row.b]

    @property
    def only_a(self) -> list[Row]:
        """The steps that only the first has."""
        return [row for row in self.rows if not row.b]

    @property
    def only_b(self) -> list[Row]:
        """The steps that only the second has."""
        return [row for row in self.rows if not row.a]


def compare(a: Run, b: Run, *, ended: tuple[Ended, ...] = ()) -> Comparison:
    """The two laid side by side."""
    rows = [Row(name, a.steps.get(name), b.steps.get(name)) for name in {**a.steps, **b.steps}]
    return Comparison(a=a, b=b, rows=tuple(sorted(rows, key=_first)), ended=ended)


def ended_alike(
    kind: str, names: tuple[str, str], manifests: tuple[Manifest | None, Manifest | None], unknown: str = ""
) -> Ended:
    """Two objects field by field, apart from what no two objects can share (names, UIDs, times, addresses)."""
    a, b = manifests
    if a is None or b is None:
        return Ended(kind, names, unknown=unknown)
    changes = field_changes(_comparable(a), _comparable(b))
    return Ended(kind, names, tuple([c for c in changes if not _is_own(c)]))


def _is_own(change: FieldChange) -> bool:
    return API_ACCESS in change.line() or _OWN_FIELDS.search(change.label) is not None


def comparison_as_json(comparison: Comparison) -> Json:
    """Plain values; times are milliseconds after the start of each run. A shape that only ever grows."""
    return {
        "a": _run(comparison.a),
        "b": _run(comparison.b),
        "steps": [_row(row) for row in comparison.rows],
        "only_a": [_name(row.name) for row in comparison.only_a],
        "only_b": [_name(row.name) for row in comparison.only_b],
        "ended": [
            {
                "kind": one.kind,
                "a": one.names[0],
                "b": one.names[1],
                "unknown": one.unknown,
                "fields": [_field(change) for change in one.fields],
            }
            for one in comparison.ended
        ],
    }


def trigger_lines(started_by: Fact | None) -> list[str]:
    """What was wanted, in words: what the fact that began a run changed."""
    if started_by is None:
        return []
    changes = [f for f in (started_by, *started_by.children) if f.span.source == "change"]
    return [line for change in changes for line in change.text(v.WORDS).splitlines()]


def _first(row: Row) -> tuple[int, bool, int, StepName]:
    """Events last among equals: most tell only the second in which they were."""
    timings = [timing for timing in (row.a, row.b) if timing]
    is_event = row.name.what.startswith("event ")
    return min(t.first for t in timings), is_event, min(t.last for t in timings), row.name


def _comparable(manifest: Manifest) -> Manifest:
    own = copy.deepcopy(manifest)
    metadata = own.get("metadata")
    for name in OWN_METADATA:
        if isinstance(metadata, dict):
            metadata.pop(name, None)
    return own


def _run(run: Run) -> Json:
    started = run.started_by
    return {
        "cluster": run.key.cluster,
        "object": str(run.key),
        "kind": run.kind,
        "start": format_timestamp(run.start),
        "end": format_timestamp(run.end),
        "took_ms": _milliseconds(run.end - run.start),
        "objects": dict(run.objects),
        "facts": run.facts,
        "left_out": run.left_out,
        "truncated": [
            {"what": cut.what, "of": cut.of, "shown": cut.shown, "more": cut.more, "hint": cut.hint}
            for cut in run.truncated
        ],
        "asked": run.asked,
        "cut": format_timestamp(run.cut) if run.cut else "",
        "started_by": (started.text(v.USER) or started.text(v.FIELD_MANAGER)) if started else "",
        "started_with": trigger_lines(started),
    }


def _row(row: Row) -> Json:
    shape: Json = _name(row.name)
    sides: Mapping[str, Timing | None] = {"a": row.a, "b": row.b}
    for side, timing in sides.items():
        shape[side] = timing and {
            "count": len(timing.times),
            "first_ms": _milliseconds(timing.first),
            "last_ms": _milliseconds(timing.last),
            "who": list(timing.who),
        }
    return shape


def _name(name: StepName) -> Json:
    return {"kind": name.kind, "what": name.what}


def _field(change: FieldChange) -> Json:
    return {
        "path": change.label,
        "change": change.kind,
        "a": change.old,
        "b": change.new,
        "words": change.line(),
    }


def _milliseconds(nanoseconds: int) -> float:
    return nanoseconds // 1000 / 1000
