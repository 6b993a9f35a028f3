"""Watch bytes to durable: real watch lines, recorded from a real kube-apiserver just before, through the real data path.

ConfigMaps of about 1.3 kB with one changed value, and Pods of about 9.6 kB (half of it managedFields) with a changed
status. Also: what one cached Pod takes of memory.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import sys
import time
import tracemalloc
from pathlib import Path

import orjson
import uvloop
from profiling import hottest
from watch_recording import Recorded, record

from controlplane.plane import ControlPlane
from kubeweft.app.pipeline import Pipeline
from kubeweft.kube.receiving import WatchLine
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ResourceType
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.runtime import clock
from kubeweft.runtime.tuning import tune_interpreter
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.receiving import ObjectReceiver
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver

RUNS = 8
CHUNK = 512  # the most that a reflector hands over at once, which is what it does while a watch is behind
CACHED = 5_000


def differ_for(resource: ResourceType) -> Differ:
    """A differ under the default plan."""
    rules = Rules(plan=Plan(), redactor=Redactor(Plan().redaction, b"k" * 32))
    return Differ("local", resource, window_length=DEFAULT_WINDOW, rules=rules)


async def absorb(file: Path, recorded: Recorded) -> list[float]:
    """CPU seconds for each chunk of changes; the creations come before and do not count."""
    store = SqliteStore(file)
    async with Writer(store) as writer:
        pipeline = Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds()), writer)
        receiver = ObjectReceiver(
            differ_for(recorded.resource),
            deliver=pipeline.deliver,
            resume=None,
            clock=clock.now,
            observer="bench",
        )
        await receiver.resume_point()
        await feed(receiver, recorded.created)
        seconds = await feed(receiver, recorded.changed)
        cpu = time.process_time()
        await receiver.flush()
        seconds.append(time.process_time() - cpu)
    spans = store.statistics().spans
    store.close()
    assert spans >= len(recorded.created) + len(recorded.changed), spans
    return seconds


async def feed(receiver: ObjectReceiver, lines: list[WatchLine]) -> list[float]:
    """As the reflector does, one chunk after another; CPU seconds of each."""
    seconds = []
    for start in range(0, len(lines), CHUNK):
        chunk = lines[start : start + CHUNK]
        version = orjson.loads(chunk[-1].object)["metadata"]["resourceVersion"]
        cpu = time.process_time()
        await receiver.changed(chunk, version)
        seconds.append(time.process_time() - cpu)
    return seconds


def run(folder: Path, name: str, recorded: Recorded) -> list[float]:
    """One run on an event loop like the operator's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(absorb(folder / f"watch-{name}.db", recorded))


def change_cpu(folder: Path, recorded: Recorded) -> float:
    """Microseconds of CPU per change: for each chunk the best of all runs, because neighbours slow some of them."""
    runs = [run(folder, f"{recorded.resource.resource}-{number}", recorded) for number in range(RUNS)]
    best: list[float] = [min(seconds) for seconds in zip(*runs, strict=True)]
    return sum(best) / len(recorded.changed) * 1e6


def cached_bytes(recorded: Recorded) -> float:
    """Bytes of memory that one more cached object takes."""
    differ = differ_for(recorded.resource)
    bodies = [orjson.loads(line.object) for line in recorded.changed[-500:]]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(CACHED):
        body = bodies[number % len(bodies)]
        body["metadata"]["uid"] = f"{number:08x}-0000-4000-8000-{number * 7919:012x}"
        body["metadata"]["name"] = f"web-{number * 104_729 % 1_000_003}-x"
        body["metadata"]["resourceVersion"] = str(100_000 + number)
        differ.absorb("ADDED", orjson.dumps(body), received=clock.now())
        if number % 512 == 511:
            collections.deque(differ.settle(list(differ.remembered)), maxlen=0)  # as at a checkpoint
    collections.deque(differ.settle(list(differ.remembered)), maxlen=0)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(differ.remembered) == CACHED
    return (after - before) / CACHED


def main(folder: Path) -> None:
    """Print the figures as JSON."""
    tune_interpreter()  # as the operator does
    with ControlPlane(folder / "plane", controllers=False) as plane:
        config_maps, pods = record(plane.kubeconfig)
    figures = {
        "configmap_bytes": config_maps.mean_bytes,
        "pod_bytes": pods.mean_bytes,
        "configmap_change_cpu_us": round(change_cpu(folder, config_maps), 1),
        "pod_change_cpu_us": round(change_cpu(folder, pods), 1),
        "cached_pod_bytes": round(cached_bytes(pods)),
        "profiles": {
            "watch of ConfigMaps": hottest(lambda: run(folder, "cp", config_maps)),
            "watch of Pods": hottest(lambda: run(folder, "pp", pods)),
        },
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
