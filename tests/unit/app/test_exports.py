"""Exporters of policies that look into objects begin when the objects are known, the others at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from kubeweft.app.exporting import Exports
from kubeweft.export.fleet import ExporterFleet
from kubeweft.model.plan import Exporter, Plan, Scope
from kubeweft.model.rules import LinkRule, SourceSelector
from kubeweft.model.selectors import LabelSelector, Requirement

TEAM_A = Scope(policy="a", object_selector=LabelSelector((Requirement("team", "In", frozenset({"a"})),)))
PLAIN = Scope(policy="b")
OF_A = Exporter(name="a/x", endpoint="x:1", scopes=(TEAM_A,))
OF_B = Exporter(name="b/x", endpoint="x:1", scopes=(PLAIN,))
BOTH = Plan(scopes=(TEAM_A, PLAIN), exporters=(OF_A, OF_B))


class Fleet(ExporterFleet):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[list[str], list[str], bool]] = []

    def use(
        self, exporters: Sequence[Exporter], *, grouped: bool = False, waiting: Sequence[str] = ()
    ) -> None:
        self.told.append(([e.name for e in exporters], list(waiting), grouped))


async def until(exports: Exports, fleet: Fleet, running: list[str]) -> None:
    task = asyncio.get_running_loop().create_task(exports.run())
    async with asyncio.timeout(5):
        while fleet.told[-1][0] != running:
            await asyncio.sleep(0.01)
    task.cancel()


def test_without_such_policies_nothing_waits() -> None:
    fleet = Fleet()
    exports = Exports(fleet, objects_are_known=lambda: False)
    exports.use(Plan(scopes=(PLAIN,), exporters=(OF_B,)))
    assert fleet.told == [(["b/x"], [], False)]


async def test_they_wait_until_the_objects_are_known() -> None:
    known, fleet = False, Fleet()
    exports = Exports(fleet, objects_are_known=lambda: known)
    exports.use(BOTH)
    assert fleet.told[-1] == (["b/x"], ["a/x"], False)
    known = True
    await until(exports, fleet, ["a/x", "b/x"])
    exports.use(Plan(scopes=BOTH.scopes, exporters=BOTH.exporters, max_patch_bytes=1))
    assert fleet.told[-1][1] == [], "what they select has not changed"


async def test_spans_are_kept_for_those_that_cannot_be_made_now() -> None:
    fleet = Fleet()
    exports = Exports(fleet, objects_are_known=lambda: False)
    exports.use(replace(BOTH, waiting_exporters=("c/x",)))
    assert fleet.told[-1] == (["b/x"], ["a/x", "c/x"], False)


async def test_they_do_not_wait_for_ever() -> None:
    fleet = Fleet()
    exports = Exports(fleet, objects_are_known=lambda: False, longest=0.01)
    exports.use(BOTH)
    await until(exports, fleet, ["a/x", "b/x"])


def test_grouping_is_told() -> None:
    fleet = Fleet()
    rule = LinkRule(name="r", source=SourceSelector(resources=()), targets=(), role="Parent", same_trace=True)
    Exports(fleet, objects_are_known=lambda: True).use(Plan(rules=(rule,)))
    assert fleet.told[-1][2]
