"""What ``compare`` does: find the two runs that are meant, read them, lay them side by side."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from datetime import tzinfo

import click
from rich.console import Console

from kubeweft.app.showing import reading, zone_of
from kubeweft.display import json_shape, times
from kubeweft.display.comparing import Comparison, Ended, compare, comparison_as_json, ended_alike
from kubeweft.display.comparison_text import write_comparison
from kubeweft.display.manifest import Manifest, WasDeleted, manifest_at
from kubeweft.display.reading import DEFAULT_LIMITS
from kubeweft.display.resolving import Wanted, resolve
from kubeweft.display.runs import Run, choose_start, run_of, starts_of
from kubeweft.display.stories import read_story
from kubeweft.display.trees import FOREVER, Node
from kubeweft.display.views.definitions import OWNED
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS
from kubeweft.runtime import clock
from kubeweft.store.interfaces import SpanReader

ALONE = dataclasses.replace(OWNED, down=0, linked="none")
WITH_CHILDREN = dataclasses.replace(OWNED, linked="none")
LIMITS = dataclasses.replace(DEFAULT_LIMITS, objects=10_000)  # it is steps that are shown, not objects
DAY = 86_400 * NANOSECONDS
FORM = "write [CLUSTER:]KIND/NAME, KIND/NAMESPACE/NAME, or either with @TIME after it for one rollout"
_CLOCK = re.compile(
    r"\d{1,2}:\d{2}(?P<seconds>:\d{2}(?:[.,](?P<fraction>\d{1,9}))?)?(?:Z|[+-]\d{2}:?\d{2})?$", re.IGNORECASE
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, as somebody wrote it: an object, and a time for one of its rollouts (empty: from its start on)."""

    wanted: Wanted
    time: str


def show_comparison(
    store: str,
    words: tuple[str, str],
    *,
    namespace: str,
    cluster: str,
    quiet: str,
    local: bool,
    form: str,
    console: Console,
) -> None:
    """Write two runs side by side."""
    zone = zone_of(local=local)
    silence = times.parse_duration(quiet)
    now = clock.now()
    sides = [parse_side(one, namespace=namespace, cluster=cluster, now=now, zone=zone) for one in words]
    with reading(store) as (reader, kinds):
        runs = [_run(reader, kinds, side, quiet=silence, now=now, zone=zone) for side in sides]
        comparison = compare(runs[0], runs[1], ended=_ended(reader, runs[0], runs[1]))
    _write(comparison, form=form, console=console, zone=zone)


def parse_side(text: str, *, namespace: str, cluster: str, now: int, zone: tzinfo) -> Side:
    """``prod:deployment/shop/web@10:32`` taken apart; names may hold a ``@`` if no time follows it. Raises ``UserError``."""
    place, at, time = text.rpartition("@")
    if not at or not _is_time(time, now=now, zone=zone):
        place, time = text, ""
    before, colon, rest = place.partition(":")
    if colon and "/" not in before:
        cluster, place = before, rest
    parts = place.split("/")
    if len(parts) not in (2, 3) or not parts[0] or not parts[-1]:
        raise UserError(f"'{text}' names no object: {FORM}")
    if len(parts) == 3:
        namespace = parts[1]
    return Side(Wanted(kind=parts[0], name=parts[-1], namespace=namespace, cluster=cluster), time)


def precision_of(time: str) -> int:
    """How long the unit is that a time names last, in nanoseconds: ``10:32`` a minute, ``2026-11-21`` a day; 1 for ``5m``."""
    found = _CLOCK.search(time.strip())
    if found is None:
        return DAY if _DATE.search(time.strip()) else 1
    if not found["seconds"]:
        return 60 * NANOSECONDS
    return int(NANOSECONDS // 10 ** len(found["fraction"] or ""))


def _is_time(text: str, *, now: int, zone: tzinfo) -> bool:
    try:
        times.parse_time(text, now=now, zone=zone)
    except UserError:
        return False
    return True


def _run(reader: SpanReader, kinds: Kinds, side: Side, *, quiet: int, now: int, zone: tzinfo) -> Run:
    key = resolve(reader, kinds, side.wanted)
    alone = read_story(reader, key, selection=ALONE, kinds=kinds).root
    starts = starts_of(alone)
    if side.time:
        asked = times.parse_time(side.time, now=now, zone=zone)
        chosen = choose_start(starts, asked, precision=precision_of(side.time))
        if chosen is None:
            raise UserError(
                f"no rollout of {key} is stored: compare the object as such, without @{side.time}"
            )
        following = next((fact.start for fact in starts if fact.start > chosen.start), FOREVER)
        begin, until = chosen.start, following - 1
    else:
        begin, until = _first_seen(alone), FOREVER
        chosen = next((fact for fact in starts if fact.start == begin), None)
    tree = read_story(
        reader, key, selection=WITH_CHILDREN, since=begin, until=until, limits=LIMITS, kinds=kinds
    )
    return run_of(tree, start=begin, quiet=quiet, started_by=chosen)


def _first_seen(node: Node) -> int:
    """When the object, or the last one of its name, was created; else when something first happened to it."""
    created = node.lives[-1].created if node.lives else None
    times_told = [fact.start for fact in node.facts if fact.life == len(node.lives) - 1 or not node.lives]
    return created if created is not None else min(times_told, default=node.start)


def _ended(reader: SpanReader, a: Run, b: Run) -> tuple[Ended, ...]:
    """The two roots, and the first object of each kind that both runs made."""
    pairs = {a.kind: (a.key, b.key)} if a.kind == b.kind else {}
    pairs |= {kind: (a.made[kind], b.made[kind]) for kind in a.made if kind in b.made and kind not in pairs}
    return tuple([_pair(reader, kind, keys, (a.end, b.end)) for kind, keys in pairs.items()])


def _pair(reader: SpanReader, kind: str, keys: tuple[ObjectKey, ObjectKey], ends: tuple[int, int]) -> Ended:
    """Both as they were in the end, or as they were last."""
    manifests: list[Manifest | None] = []
    unknown = ""
    for key, end in zip(keys, ends, strict=True):
        try:
            manifests.append(_last_manifest(reader, key, end))
        except UserError as error:
            manifests.append(None)
            unknown = unknown or str(error)
    return ended_alike(kind, (keys[0].name, keys[1].name), (manifests[0], manifests[1]), unknown)


def _last_manifest(reader: SpanReader, key: ObjectKey, end: int) -> Manifest:
    try:
        return manifest_at(reader, key, end)
    except WasDeleted as deleted:
        return manifest_at(reader, key, deleted.time - 1)


def _write(comparison: Comparison, *, form: str, console: Console, zone: tzinfo) -> None:
    if form == "json":
        click.echo(json_shape.to_text(comparison_as_json(comparison)))
    else:
        write_comparison(comparison, console, zone=zone)
