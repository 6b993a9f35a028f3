"""What it costs to look: the tree of a Deployment with 1,000 Pods, searches among 30,000 objects, and memory.

Trees are read from the embedded store over four windows, one of 20,000 spans in all, and one of twice as many, in which
every Pod also names its Node. Searches are timed on stores that grow: the same objects over more and more windows.
``BENCH_SPANS=10000000`` makes the last one as large (about 2 GB and ten minutes).
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from profiling import hottest

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace
from kubeweft.display.reading.levels import Limits
from kubeweft.display.serving.answers import StoryAnswers
from kubeweft.display.serving.storage_v2.chunks import trace_chunks
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import facts_of, nodes_of
from kubeweft.display.views.loading import builtin_views
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS
from kubeweft.runtime.tuning import tune_interpreter
from kubeweft.store.interfaces import ObjectQuery
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.sqlite_reader import SqliteReader
from large_stores import FACTS, NINE, Crowd, cluster_objects, cluster_spans, crowd, crowd_spans, fill

RUNS = 7
STREAMED = 20
OBJECTS = 30_000
PER_WINDOW = OBJECTS * (FACTS + 1)
SPANS = int(os.environ.get("BENCH_SPANS", "3000000"))
LIMITS = Limits(objects=2_500)
MILLISECOND = 1e3


class Best(NamedTuple):
    """CPU and wall milliseconds of the best run."""

    cpu: float
    wall: float


def best_of(run: Callable[[], object], runs: int = RUNS) -> Best:
    """The best of several runs, CPU and wall each by itself."""
    taken = []
    for _ in range(runs):
        cpu, wall = time.process_time(), time.perf_counter()
        run()
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
    return Best(min(cpu for cpu, _ in taken) * MILLISECOND, min(wall for _, wall in taken) * MILLISECOND)


# --------------------------------------------------------------------------------------------------------------- trees


class Case(NamedTuple):
    """A Deployment in a store, and how many spans that holds."""

    path: Path
    of: Crowd
    spans: int


def crowded_store(path: Path, *, heavy: bool) -> Case:
    """A store with one large Deployment: of 20,000 spans in all, or (``heavy``) of 20,000 facts and 20,000 links."""
    of = crowd()
    store = SqliteStore(path)
    spans = crowd_spans(of, linked=heavy, quiet=not heavy)
    written = fill(store, spans)
    store.close()
    return Case(path, of, written)


def tree_figures(case: Case, name: str) -> dict[str, Any]:
    """CPU to read and arrange the tree, and to have its first span, its first bytes and its last span for a viewer."""
    with SqliteReader(case.path) as reader:
        answers = StoryAnswers(reader, views=builtin_views(), kinds=Kinds())
        trace_id = answers.locate(resource="deployments.apps", name=case.of.deployment.name)

        def opened() -> DisplayedTrace:
            trace = answers.open(trace_id)
            assert trace is not None
            return trace

        tree = read_story(reader, case.of.deployment, limits=LIMITS)
        nodes = sum(1 for _ in nodes_of(tree.root))
        facts = sum(1 for node in nodes_of(tree.root) for _ in facts_of(node.facts))
        assert (nodes, tree.truncated) == (2 + len(case.of.pods), ()), (nodes, tree.truncated)
        del tree
        reads = statements_of(reader, opened)
        arranged = best_of(lambda: read_story(reader, case.of.deployment, limits=LIMITS))
        first = best_of(lambda: next(opened().spans))
        first_bytes = best_of(lambda: next(trace_chunks(trace_id, opened().spans)))
        whole = best_of(lambda: sum(1 for _ in opened().spans))
        held = held_figures(lambda: opened().spans, name)
    print(
        f"{name}: {case.spans:,} spans stored, {nodes:,} objects and {facts:,} facts shown by {reads} reads"
    )
    print(f"  CPU: tree {arranged.cpu:,.0f} ms, first span {first.cpu:,.0f} ms, all {whole.cpu:,.0f} ms")
    print(f"  first bytes for Jaeger: {first_bytes.cpu:,.0f} ms CPU, after {first_bytes.wall:,.0f} ms")
    return {
        f"{name}_cpu_ms": arranged.cpu,
        f"{name}_first_span_cpu_ms": first.cpu,
        f"{name}_first_span_ms": first.wall,
        f"{name}_first_bytes_cpu_ms": first_bytes.cpu,
        f"{name}_first_bytes_ms": first_bytes.wall,
        f"{name}_all_spans_cpu_ms": whole.cpu,
        f"{name}_reads": reads,
        **held,
    }


def statements_of(reader: SqliteReader, run: Callable[[], object]) -> int:
    """How often the store is asked."""
    statements: list[str] = []
    with reader._reading() as reading:  # the connection goes back, and is the one that is used next
        connection = reading.connection
        connection.set_trace_callback(statements.append)
    statements.clear()
    run()
    connection.set_trace_callback(None)
    return sum(1 for statement in statements if statement.startswith(("SELECT", "WITH")))


def held_figures(opened: Callable[[], Iterator[DisplayedSpan]], name: str) -> dict[str, Any]:
    """The memory of an opened tree of which a viewer has read the first span, and of which it has read half."""
    count = sum(1 for _ in opened())
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    spans = opened()
    next(spans)
    at_first = tracemalloc.get_traced_memory()[0] - before
    for _ in itertools.islice(spans, count // 2):
        pass
    half_way, most = (size - before for size in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    held = {"first": at_first / count, "half_way": half_way / count, "most": most / count}
    print(
        f"{name}: {count:,} spans opened, of memory for each {held['first']:,.0f} bytes at the first,"
        f" {held['half_way']:,.0f} half way, {held['most']:,.0f} while the tree is arranged"
    )
    return {f"{name}_{when}_bytes_per_span": size for when, size in held.items()}


def streamed_growth(case: Case) -> float:
    """How many times the memory after two trees the process needs at most for twenty."""
    with SqliteReader(case.path) as reader:
        answers = StoryAnswers(reader, views=builtin_views(), kinds=Kinds())
        trace_id = answers.locate(resource="deployments.apps", name=case.of.deployment.name)
        peaks = []
        for _ in range(STREAMED):
            trace = answers.open(trace_id)
            assert trace is not None
            assert sum(1 for _ in trace.spans) > len(case.of.pods)
            del trace
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(
        f"peak memory after 2 of {STREAMED} trees {peaks[1] / 1024:,.0f} MiB, after all {peaks[-1] / 1024:,.0f} MiB"
    )
    return peaks[-1] / peaks[1]


# ------------------------------------------------------------------------------------------------------------ searches


def queries(windows: int) -> dict[str, ObjectQuery]:
    """What people look for, by name; the last hours are those of the store."""
    end = NINE + windows * DEFAULT_WINDOW
    hour = 3600 * NANOSECONDS
    pods = ((None, "pods"),)
    return {
        "everything": ObjectQuery(limit=20),
        "the last hour": ObjectQuery(limit=20, since=end - hour),
        "an hour at the beginning": ObjectQuery(limit=20, since=NINE, until=NINE + hour),
        "one cluster": ObjectQuery(limit=20, cluster="edge"),
        "Pods": ObjectQuery(limit=20, resources=pods),
        "Deployments of a namespace": ObjectQuery(
            limit=20, resources=(("apps", "deployments"),), namespace="team-07"
        ),
        "a namespace": ObjectQuery(limit=20, namespace="team-07"),
        "a namespace, up to 1,000": ObjectQuery(limit=1000, namespace="team-07", since=end - hour),
        "a name": ObjectQuery(limit=20, name="app-01234"),
        "a name that is not there": ObjectQuery(limit=20, name="nothing"),
        "names by pattern": ObjectQuery(limit=20, name="app-012*"),
    }


def text_queries(windows: int) -> dict[str, ObjectQuery]:
    """Texts are in no index, so what is searched has to be read: the time grows with it, up to a limit."""
    end = NINE + windows * DEFAULT_WINDOW
    narrow: dict[str, Any] = {"namespace": "team-07", "since": end - 3600 * NANOSECONDS, "limit": 20}
    return {
        "a frequent text in an hour of a namespace": ObjectQuery(text="replicas 2", **narrow),
        "a rare text in an hour of a namespace": ObjectQuery(text="no such words", **narrow),
        "a frequent text anywhere": ObjectQuery(text="replicas 2", limit=20),
        "a rare text anywhere": ObjectQuery(text="no such words", limit=20),
    }


def search_figures(folder: Path) -> dict[str, Any]:
    """CPU of searches on a store that grows to ``SPANS``."""
    objects = cluster_objects(OBJECTS)
    sizes = sorted({min(SPANS, size) for size in (PER_WINDOW * 2, 1_000_000, 3_000_000, 10_000_000)})
    store = SqliteStore(folder / "searched.db")
    windows, spans = 0, 0
    growth: dict[str, dict[str, float]] = {}
    for size in sizes:
        begun = time.perf_counter()
        while spans < size:
            spans += fill(store, cluster_spans(objects, NINE + windows * DEFAULT_WINDOW))
            windows += 1
        print(
            f"{spans:,} spans of {OBJECTS:,} objects in {windows} windows, written in {time.perf_counter() - begun:,.0f} s"
        )
        growth[f"{spans}"] = _timed(folder / "searched.db", queries(windows))
    store.close()
    last = growth[f"{spans}"]
    texts = _timed(folder / "searched.db", text_queries(windows))
    return {
        "search_cpu_ms": max(last.values()),
        "search_growth": _mean(last) / _mean(next(iter(growth.values()))),
        "search_spans": spans,
        "search_by_size_cpu_ms": growth,
        "search_text_cpu_ms": texts,
    }


def _timed(path: Path, asked: dict[str, ObjectQuery]) -> dict[str, float]:
    taken = {}
    with SqliteReader(path) as reader:
        for name, query in asked.items():
            found: list[object] = []
            try:
                best = best_of(lambda query=query, found=found: found.extend(reader.find_objects(query)), 3)  # type: ignore[misc]
            except UserError as error:
                print(f"  {name}: {error}")
                continue
            taken[name] = best.cpu
            print(f"  {name:<40} {best.wall:8.1f} ms, {best.cpu:8.1f} ms CPU, {len(found) // 3} found")
    return taken


def _mean(taken: dict[str, float]) -> float:
    return sum(taken.values()) / len(taken)


def main(folder: Path) -> None:
    """All figures; the last line is JSON."""
    tune_interpreter()  # as the server does
    light = crowded_store(folder / "light.db", heavy=False)
    heavy = crowded_store(folder / "heavy.db", heavy=True)
    figures = {**tree_figures(light, "large_tree"), **tree_figures(heavy, "linked_tree")}
    figures["streamed_memory_growth"] = streamed_growth(heavy)
    with SqliteReader(light.path) as reader:
        profile = hottest(lambda: read_story(reader, light.of.deployment, limits=LIMITS))
    figures.update(search_figures(folder))
    figures["profiles"] = {"large tree": profile}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
