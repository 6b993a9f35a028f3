"""A run: what followed when somebody created an object or changed what it is to be, as steps with times from its start on.

The steps of two runs can be laid side by side, because they name no object and no version: ``Pod: Ready True`` happened
four times, the first time after 1.2 s. A run ends where the next one of the same object begins, or where nothing has
happened for a while.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kubeweft.display.history.field_changes import label_of_line
from kubeweft.display.tree.trees import Fact, Node, Tree, Truncation, is_whole_second, latest_end, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey, group_resource

BOUND = "spec.nodeName"
NOT_WANTED = ("metadata", "status", "apiVersion", "kind")
GENERATION = "metadata.generation"

_CONDITION = re.compile(r"status\.conditions\[([^\]]+)\]\.(?:status|reason) .* → (\S+)")
_CONDITIONS = re.compile(r"\+ status\.conditions = \[(\w+=\w+(?:, \w+=\w+)*)\]")
_PHASE = re.compile(r"(?:\+ )?status\.phase (?:.* → |= )(\S+)")
_CONTAINER = re.compile(
    r"status\.(?:init|ephemeral)?[cC]ontainerStatuses\[([^\]]+)\]\.(ready|restartCount) .* → (\S+)"
)


class StepName(NamedTuple):
    """What happened, to objects of which kind."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Timing:
    """When a step happened, in nanoseconds after the start of the run, oldest first, and who took it."""

    times: tuple[int, ...]
    who: tuple[str, ...] = ()

    @property
    def first(self) -> int:
        """The first time."""
        return self.times[0]

    @property
    def last(self) -> int:
        """The last time."""
        return self.times[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What followed on one start (nanoseconds). ``end`` is when the last of it ended.

    ``started_by`` is the fact that began it; ``made`` is the first object of each kind that was created in it.
    ``left_out`` facts happened after a silence; ``truncated`` is what limits left out of the tree. ``asked`` is the time
    that somebody named where the run began before it; ``cut`` is up to when was read, where no silence came before (0: one did).
    """

    key: ObjectKey
    kind: str
    start: int
    end: int
    steps: dict[StepName, Timing]
    objects: dict[str, int]
    started_by: Fact | None = None
    made: dict[str, ObjectKey]
    facts: int = 0
    left_out: int = 0
    truncated: tuple[Truncation, ...] = ()
    asked: str = ""
    cut: int = 0


class _Happening(NamedTuple):
    time: int
    end: int
    name: StepName
    who: str


def starts_of(node: Node) -> list[Fact]:
    """What began a run of the object: its creation, and every change of what it is to be, oldest first."""
    found = {fact.start: fact for fact in reversed(node.facts) if any(map(_begins, (fact, *fact.children)))}
    return [found[time] for time in sorted(found)]


def choose_start(starts: Sequence[Fact], time: int, *, precision: int) -> Fact | None:
    """The first run that began in the unit of time that was named; else the one that was on then, None if none was.

    ``10:32`` names a minute: ``precision`` is its length in nanoseconds.
    """
    inside = [fact for fact in starts if time <= fact.start < time + max(precision, 1)]
    before = [fact for fact in starts if fact.start < time]
    return next(iter([*inside[:1], *before[-1:]]), None)


def run_of(tree: Tree, *, start: int, quiet: int, started_by: Fact | None = None) -> Run:
    """The run that the tree shows from ``start`` on, up to a silence of ``quiet`` nanoseconds."""
    happened = sorted(_happenings(tree, start))
    end, taken = start, 0
    for happening in happened:
        if happening.time - end > quiet:
            break
        end, taken = max(end, happening.end), taken + 1
    nodes = [node for node in nodes_of(tree.root) if node.facts]
    objects: dict[str, int] = {}
    for node in nodes:
        objects[_kind(node)] = objects.get(_kind(node), 0) + 1
    return Run(
        key=tree.root.key,
        kind=tree.root.kind,
        start=start,
        end=end,
        steps=_steps(happened[:taken], start),
        objects=objects,
        started_by=started_by,
        made=_made(nodes, start, end),
        facts=taken,
        left_out=len(happened) - taken,
        truncated=tree.truncated,
    )


def _begins(fact: Fact) -> bool:
    change_type = fact.text(v.CHANGE_TYPE)
    labels = map(label_of_line, fact.text(v.WORDS).splitlines())
    return change_type == "Added" or (change_type == "Modified" and any(map(_is_wanted, labels)))


def _is_wanted(label: str) -> bool:
    """Whether a field says what the object is to be, not what became of it."""
    first = re.split(r"[.\[]", label, maxsplit=1)[0]
    return label == GENERATION or (bool(first) and first not in NOT_WANTED and label != BOUND)


def _steps(happened: Iterable[_Happening], start: int) -> dict[StepName, Timing]:
    found: dict[StepName, list[_Happening]] = {}
    for happening in happened:
        found.setdefault(happening.name, []).append(happening)
    return {
        name: Timing(
            tuple([one.time - start for one in some]), tuple(sorted({one.who for one in some if one.who}))
        )
        for name, some in found.items()
    }


def _happenings(tree: Tree, start: int) -> Iterator[_Happening]:
    for node in nodes_of(tree.root):
        for fact in node.facts:
            if is_whole_second(fact) and latest_end(fact) > tree.until:
                continue  # of the second in which the next run begins, which is what it most likely tells of
            for time, end, what, who in _told(fact):
                begun = max(time, start) if is_whole_second(fact) else time
                if begun >= start:
                    yield _Happening(begun, max(end, begun), StepName(_kind(node), what), who)


def _told(fact: Fact) -> Iterator[tuple[int, int, str, str]]:
    """What one fact tells: itself, what was folded into it, and what its changes brought about."""
    for one in (fact, *(fact.children if fact.folds in ("conflicts", "series") else ())):
        what = _what(one)
        if what:
            yield one.start, one.end if one is not fact or not fact.folds else one.start, what, _who(one)
    for change in (fact, *fact.children):
        if change.span.source == "change":
            for line in change.text(v.WORDS).splitlines():
                for what in _milestones(line):
                    yield fact.start, fact.end, what, ""


def _what(fact: Fact) -> str:
    source = fact.span.source
    if source == "request":
        failed = fact.number(v.CODE) >= 400
        result = f"{fact.number(v.CODE)} {fact.text(v.FAILURE_REASON)}".rstrip() if failed else ""
        return f"{fact.span.name} → {result}" if failed else fact.span.name
    if source == "event":
        return f"event {fact.text(v.EVENT_REASON) or fact.span.name}"
    if source == "change" and fact.text(v.CHANGE_TYPE) != "Sighting":
        return fact.span.name
    return f"gap {fact.text(v.GAP_REASON)}" if source == "gap" else ""


def _who(fact: Fact) -> str:
    return fact.text(v.USER) or fact.text(v.FIELD_MANAGER) or fact.text(v.EVENT_REPORTER)


def _milestones(line: str) -> Iterator[str]:
    """What a line of words tells of the way to the end: phases, conditions, containers."""
    if condition := _CONDITION.match(line):
        yield f"{condition[1]} {condition[2]}"
    elif conditions := _CONDITIONS.match(line):
        yield from (one.replace("=", " ") for one in conditions[1].split(", "))
    elif phase := _PHASE.match(line):
        yield f"phase {phase[1]}"
    elif container := _CONTAINER.match(line):
        yield f"container {container[1]} {'restarted' if container[2] == 'restartCount' else f'ready {container[3]}'}"
    elif line.startswith("+ metadata.deletionTimestamp"):
        yield "deletion begins"


def _made(nodes: Iterable[Node], start: int, end: int) -> dict[str, ObjectKey]:
    created = [
        (life.created, node.key, _kind(node))
        for node in nodes
        for life in node.lives
        if life.created is not None and start <= life.created + 999_999_999 and life.created <= end
    ]
    made: dict[str, ObjectKey] = {}
    for _, key, kind in sorted(created):
        made.setdefault(kind, key)
    return made


def _kind(node: Node) -> str:
    return node.kind or group_resource(node.key.group, node.key.resource)
