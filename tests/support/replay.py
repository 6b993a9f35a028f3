"""Replays a recorded story through the real data path, in any order, cut by a kill and a restart wherever wanted.

The recording is JSON lines in order of arrival: ``{"at": ns, "watch": "pods", "line": {"type":…, "object":…}}`` or
``{"at": ns, "audit": {…}}``, with ``"cluster"`` if there are several. Watches keep the order of their versions, as the API server guarantees; everything else
may be shuffled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson
import zstandard

from kubeweft.app.pipeline import Pipeline
from kubeweft.kube.receiving import WatchLine
from kubeweft.links.linker import Linker
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.rules import LinkRule
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.events.parsing import parse_event
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.receiving import ObjectReceiver
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver

CLUSTER = "local"
EVENTS = "events"


@dataclass(frozen=True)
class Arrival:
    """One recorded line: a watch line of ``resource`` with its version, or (empty resource) an audit event."""

    at: int
    resource: str
    type: str
    body: bytes
    version: str
    cluster: str = CLUSTER

    @property
    def watch(self) -> tuple[str, str]:
        """The watch that brought it, by cluster and resource."""
        return self.cluster, self.resource


def read_story(folder: Path) -> list[Arrival]:
    """All arrivals in the recorded order."""
    plain, compressed = folder / "recorded.jsonl", folder / "recorded.jsonl.zst"
    data = plain.read_bytes() if plain.exists() else zstandard.decompress(compressed.read_bytes())
    return [_arrival(orjson.loads(line)) for line in data.splitlines()]


def shuffled(story: Sequence[Arrival], seed: int) -> list[Arrival]:
    """Another order of arrival that a cluster could have brought: each watch in its order, audit in any."""
    choice = random.Random(seed)
    queues: dict[tuple[str, str], Iterator[Arrival]] = {}
    order: list[tuple[str, str]] = []
    for number, arrival in enumerate(story):
        name = arrival.watch if arrival.resource else ("audit", str(number))
        order.append(name)
        if name not in queues:
            queues[name] = iter([a for a in story if a.watch == name] if arrival.resource else [arrival])
    choice.shuffle(order)
    return [next(queues[name]) for name in order]


class Replay:
    """One run of the data path over a store in a file. Leaving it without ``flush`` is a kill."""

    def __init__(
        self,
        file: Path,
        *,
        plan: Plan | None = None,
        kinds: Kinds | None = None,
        rules: Sequence[LinkRule] = (),
    ) -> None:
        self.store = SqliteStore(file)
        self._writer = Writer(self.store)
        self._kinds = kinds or Kinds()
        weaver = Weaver(window_length=DEFAULT_WINDOW, kinds=self._kinds)
        for window in self.store.recent_windows(0):
            weaver.know_activity(window.key, window.start, active=window.active)
        self.pipeline = Pipeline(weaver, self._writer)
        plan = plan or Plan()
        self._rules = Rules(plan=plan, redactor=Redactor(plan.redaction, b"k" * 32))
        self._plan = plan
        self._parsers: dict[str, AuditParser] = {}
        self._linker = Linker(self._kinds)
        self._linker.use(rules)
        self._receivers: dict[tuple[str, str], ObjectReceiver] = {}
        self._reached: dict[tuple[str, str], str] = {}
        self._now = 0

    async def arrive(self, arrival: Arrival) -> None:
        """Let one line arrive."""
        self._now = arrival.at
        if not arrival.resource:
            await self.pipeline.offer(self._parser(arrival.cluster).parse(arrival.body).observations)
        elif arrival.resource == EVENTS:
            seen = parse_event(arrival.cluster, orjson.loads(arrival.body), self._kinds, self._rules.redactor)
            await self.pipeline.deliver([seen])  # type: ignore[list-item]  # every kind of a story is known
        else:
            receiver = await self._receiver(arrival.watch)
            await receiver.changed([WatchLine(arrival.type, arrival.body)], arrival.version)

    async def reached(self, watch: tuple[str, str]) -> str:
        """The version at which the watch of a cluster's type begins: what the last checkpoint says."""
        await self._receiver(watch)
        return self._reached[watch]

    async def flush(self) -> None:
        """What the operator does once a second."""
        for receiver in self._receivers.values():
            await receiver.flush()

    async def close(self) -> None:
        """End without writing anything more."""
        await self._writer.aclose()
        self.store.close()

    async def _receiver(self, watch: tuple[str, str]) -> ObjectReceiver:
        if watch not in self._receivers:
            cluster, resource = watch
            name, _, group = resource.partition(".")
            kind = self._kinds.kind_of(group, name)
            assert kind is not None
            self._receivers[watch] = receiver = ObjectReceiver(
                Differ(cluster, kind, window_length=DEFAULT_WINDOW, rules=self._rules),
                deliver=self.pipeline.deliver,
                resume=self.store.resume(cluster, group, name),
                clock=lambda: self._now,
                observer="replay",
                linker=self._linker,
            )
            self._reached[watch] = (await receiver.resume_point()).version
        return self._receivers[watch]

    def _parser(self, cluster: str) -> AuditParser:
        if cluster not in self._parsers:
            self._parsers[cluster] = AuditParser(
                cluster=cluster,
                kinds=self._kinds,
                redactor=self._rules.redactor,
                wants_request=self._plan.wants_request,
                wants_event=self._plan.wants_event,
            )
        return self._parsers[cluster]


async def replay(
    file: Path, *parts: Sequence[Arrival], doubled: bool = False, rules: Sequence[LinkRule] = ()
) -> dict[tuple[bytes, bytes], Span]:
    """Replay the parts with a kill between them; after each, watches begin again at their last checkpoint."""
    seen: list[Arrival] = []
    for part in parts:
        run = Replay(file, rules=rules)
        for arrival in [*await _missed(run, seen), *part]:
            await run.arrive(arrival)
            if doubled:
                await run.arrive(arrival)
        seen.extend(part)
        await run.close()
    return all_spans(file)


def all_spans(file: Path) -> dict[tuple[bytes, bytes], Span]:
    """Everything stored, by trace and span ID."""
    with SqliteStore.open_reader(file) as reader:
        return {(span.trace_id, span.span_id): span for _, span in reader.spans_after(0, limit=1_000_000)}


async def _missed(run: Replay, seen: Sequence[Arrival]) -> list[Arrival]:
    """What a watch that begins at the last checkpoint brings again."""
    watches = {a.watch for a in seen if a.resource and a.resource != EVENTS}
    reached = {watch: int(await run.reached(watch) or 0) for watch in sorted(watches)}
    return [a for a in seen if a.resource and (a.resource == EVENTS or int(a.version) > reached[a.watch])]


def _arrival(line: dict[str, Any]) -> Arrival:
    cluster = line.get("cluster", CLUSTER)
    if "audit" in line:
        return Arrival(line["at"], "", "", msgspec.json.encode(line["audit"]), "", cluster)
    obj = line["line"]["object"]
    version = obj["metadata"]["resourceVersion"]
    body = msgspec.json.encode(obj)
    return Arrival(line["at"], line["watch"], line["line"]["type"], body, version, cluster)
