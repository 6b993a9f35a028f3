"""Watch bytes to durable: real watch lines, recorded from a real kube-apiserver just before, through the real data path.

ConfigMaps of about 1.3 kB with one changed value, and Pods of about 9.6 kB (half of it managedFields) with a changed
status, and both with a changed annotation; without rules, and with all that are shipped. Also: what one cached Pod
takes of memory.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
import uvloop
import yaml
from profiling import hottest
from watch_recording import Recorded, record

from controlplane.plane import ControlPlane
from kubeweft.app.pipeline import Pipeline
from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.declared.objects import LINK_RULES, DeclaredObject
from kubeweft.kube.receiving import WatchLine
from kubeweft.links.linker import Linker
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ResourceType
from kubeweft.model.rules import LinkRule
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
SHIPPED = Path(__file__).parents[2] / "config" / "link-rules"


class Costs(NamedTuple):
    """CPU seconds of one run, chunk by chunk, each part with its checkpoint."""

    created: list[float]
    changed: list[float]
    annotated: list[float]


def shipped_rules() -> list[LinkRule]:
    """The whole library, compiled as the operator does."""
    documents = [yaml.safe_load(file.read_text()) for file in sorted(SHIPPED.glob("*.yaml"))]
    declared = [each for each in documents if each["kind"] == "LinkRule"]
    verdicts = [compile_rule(DeclaredObject.from_body(LINK_RULES, each)) for each in declared]
    return [verdict.rule for verdict in verdicts if verdict.rule is not None]


def differ_for(resource: ResourceType) -> Differ:
    """A differ under the default plan."""
    rules = Rules(plan=Plan(), redactor=Redactor(Plan().redaction, b"k" * 32))
    return Differ("local", resource, window_length=DEFAULT_WINDOW, rules=rules)


async def absorb(file: Path, recorded: Recorded, rules: Sequence[LinkRule]) -> Costs:
    """All that was recorded, from watch bytes to durable, with the relations that follow from the rules."""
    store, kinds = SqliteStore(file), Kinds()
    linker = Linker(kinds)
    linker.use(rules)
    async with Writer(store) as writer:
        pipeline = Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=kinds), writer)
        receiver = ObjectReceiver(
            differ_for(recorded.resource),
            deliver=pipeline.deliver,
            resume=None,
            clock=clock.now,
            observer="bench",
            linker=linker,
        )
        await receiver.resume_point()
        parts = recorded.created, recorded.changed, recorded.annotated
        costs = Costs(*[await feed(receiver, part) for part in parts])
    spans = store.statistics().spans
    store.close()
    assert spans >= sum(map(len, parts)), spans
    return costs


async def feed(receiver: ObjectReceiver, lines: list[WatchLine]) -> list[float]:
    """As the reflector does, one chunk after another, then a checkpoint; CPU seconds of each."""
    seconds = []
    for start in range(0, len(lines), CHUNK):
        chunk = lines[start : start + CHUNK]
        version = orjson.loads(chunk[-1].object)["metadata"]["resourceVersion"]
        cpu = time.process_time()
        await receiver.changed(chunk, version)
        seconds.append(time.process_time() - cpu)
    cpu = time.process_time()
    await receiver.flush()
    return [*seconds, time.process_time() - cpu]


def run(file: Path, recorded: Recorded, rules: Sequence[LinkRule] = ()) -> Costs:
    """One run on an event loop like the operator's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(absorb(file, recorded, rules))


def change_cpu(folder: Path, recorded: Recorded) -> dict[str, float]:
    """Microseconds of CPU per change, and how many times as much the rules make of it.

    For each chunk the best of all runs, because neighbours slow some of them; runs with and without rules take turns.
    """
    name, rules = recorded.resource.resource, shipped_rules()
    plain, ruled = [], []
    for number in range(RUNS):
        plain.append(run(folder / f"{name}-{number}.db", recorded))
        ruled.append(run(folder / f"{name}-{number}-ruled.db", recorded, rules))
    before, after = best(plain), best(ruled)
    ratio = f"watch_rules_ratio_{name}"
    return {
        f"{recorded.resource.kind.lower()}_change_cpu_us": before["changed"] / len(recorded.changed) * 1e6,
        ratio: sum(after.values()) / sum(before.values()),
        **{f"{ratio}_{part}": after[part] / before[part] for part in before},
    }


def best(runs: Sequence[Costs]) -> dict[str, float]:
    """CPU seconds of each part: the least that every chunk of it took, added up."""
    parts = zip(*runs, strict=True)
    sums = [sum(min(seconds) for seconds in zip(*part, strict=True)) for part in parts]
    return dict(zip(Costs._fields, sums, strict=True))


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
    costs = change_cpu(folder, config_maps) | change_cpu(folder, pods)
    rules = shipped_rules()
    figures = {
        "configmap_bytes": config_maps.mean_bytes,
        "pod_bytes": pods.mean_bytes,
        **{name: round(cost, 3) for name, cost in costs.items()},
        "cached_pod_bytes": round(cached_bytes(pods)),
        "profiles": {
            "watch of ConfigMaps": hottest(lambda: run(folder / "cp.db", config_maps)),
            "watch of Pods": hottest(lambda: run(folder / "pp.db", pods)),
            "watch of Pods under all rules": hottest(lambda: run(folder / "rp.db", pods, rules)),
        },
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
