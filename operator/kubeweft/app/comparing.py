"""What ``compare`` does: find the two runs that are meant, read them, lay them side by side."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from datetime import tzinfo

import click
from rich.console import Console

from kubeweft.app.object_limits import COMPARED, count_more, limits_of
from kubeweft.app.showing import reading, zone_of
from kubeweft.display.history.comparing import Comparison, Ended, compare, comparison_as_json, ended_alike
from kubeweft.display.history.comparison_text import write_comparison
from kubeweft.display.history.manifest import Manifest, WasDeleted, manifest_at
from kubeweft.display.history.run_starts import RunStarts
from kubeweft.display.history.runs import Run, run_of
from kubeweft.display.reading.levels import Limits
from kubeweft.display.reading.resolving import Wanted, resolve
from kubeweft.display.stories import read_story
from kubeweft.display.tree.selection import OWNED
from kubeweft.display.tree.trees import FOREVER
from kubeweft.display.words import times
from kubeweft.display.writing import json_shape
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import NANOSECONDS
from kubeweft.runtime import clock
from kubeweft.store.interfaces import SpanReader

WITH_CHILDREN = dataclasses.replace(OWNED, linked="none")
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
    objects: int,
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
        runs = [
            read_run(reader, kinds, side, quiet=silence, now=now, zone=zone, objects=objects)
            for side in sides
        ]
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


def read_run(
    reader: SpanReader,
    kinds: Kinds,
    side: Side,
    *,
    quiet: int,
    now: int,
    zone: tzinfo,
    objects: int = COMPARED,
) -> Run:
    """The run that a side means; raises ``UserError`` where none had begun by then."""
    key = _resolved(reader, kinds, side)
    starts = RunStarts(reader, key, kinds)
    asked = ""
    if side.time:
        time = times.parse_time(side.time, now=now, zone=zone)
        begun = starts.at(time, precision=precision_of(side.time))
        asked = side.time if begun.time < time else ""
    else:
        begun = starts.of_last_life()
    limits = limits_of(objects)
    last = _last_read(reader, key, begun.time, limits)
    tree = read_story(
        reader,
        key,
        selection=WITH_CHILDREN,
        since=begun.time,
        until=min(begun.until, last),
        limits=limits,
        kinds=kinds,
    )
    run = run_of(tree, start=begun.time, quiet=quiet, started_by=begun.fact)
    truncated = count_more(dict.fromkeys((*begun.truncated, *run.truncated)), objects=objects)
    cut = last if last < begun.until and last - run.end < quiet else 0
    return dataclasses.replace(run, truncated=truncated, asked=asked, cut=cut)


def _resolved(reader: SpanReader, kinds: Kinds, side: Side) -> ObjectKey:
    try:
        return resolve(reader, kinds, side.wanted)
    except UserError as error:
        _, at, time = side.wanted.name.rpartition("@")
        if not at or side.time:
            raise
        raise UserError(f"{error} (if '{time}' is to be a time, write it like {times.EXAMPLES})") from None


def _last_read(reader: SpanReader, key: ObjectKey, begin: int, limits: Limits) -> int:
    """Up to when a run is looked at: as long as no limit would leave out its first windows for the sake of the last."""
    windows = reader.windows_of(key, since=begin, until=begin)
    first = windows[-1] if windows else None
    return min(first.start + limits.windows * first.length - 1, FOREVER) if first else FOREVER


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
