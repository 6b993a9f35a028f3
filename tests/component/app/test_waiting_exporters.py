"""What an exporter has not sent outlives retention also while the exporter cannot be made for want of a Secret."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from kubeweft.app.exporting import Exports
from kubeweft.control.compiling.policies import Installation, compile_policies
from kubeweft.control.declared.objects import POLICIES, DeclaredObject
from kubeweft.export.fleet import ExporterFleet
from kubeweft.store.interfaces import Batch
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from span_builders import at, key, request, weave
from store_keeping import retain

HOUR = 3600 * 10**9
RECEIVER = {"name": "x", "otlp": {"endpoint": "h:4317", "headersSecretRef": {"name": "s"}}}


async def kept_after(folder: Path, *, suspend: bool) -> bool:
    """Whether a span that was not sent is there after the process has started without the Secret."""
    spec = {"exporters": [RECEIVER], "suspend": suspend}
    plan = compile_policies([DeclaredObject(resource=POLICIES, name="p", spec=spec)], Installation(), {}).plan
    taken_up = asyncio.Event()
    loop = asyncio.get_running_loop()
    with SqliteStore(folder / "kubeweft.db") as store:
        store.activate_exporters(["p/x"])
        store.write(Batch(spans=weave(request(key("pods", "a"), "update", "10:00:00"))))

        def in_use(names: Sequence[str]) -> None:
            store.activate_exporters(names)
            loop.call_soon_threadsafe(taken_up.set)

        async with Writer(store) as writer:
            fleet = ExporterFleet(
                store,
                wait_beyond=writer.wait_beyond,
                newest=lambda: writer.statistics().position,
                save_position=writer.save_export_position,
                in_use=in_use,
            )
            Exports(fleet, objects_are_known=lambda: True).use(plan)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(fleet.run())
                async with asyncio.timeout(5):
                    await taken_up.wait()
                running.cancel()
        windows, _, held = retain(store, now=at("20:00:00"), max_age=HOUR)
        assert (windows, held) in ((0, 1), (1, 0))
        return held == 1


async def test_spans_wait_for_an_exporter_whose_secret_cannot_be_read(tmp_path: Path) -> None:
    assert await kept_after(tmp_path, suspend=False)


async def test_spans_wait_for_no_exporter_of_a_policy_that_is_not_in_force(tmp_path: Path) -> None:
    assert not await kept_after(tmp_path, suspend=True)
