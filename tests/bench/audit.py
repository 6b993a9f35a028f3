"""Audit webhook body to durable: the real webhook over HTTP, the recorded stream, the real store.

A client in another process sends the bodies, as a kube-apiserver would; measured is the CPU time of this process, which
takes, parses, weaves and writes them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import uvloop
from profiling import hottest

from audited_cluster import AuditedByTest
from kubeweft.app.pipeline import Pipeline
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.runtime.tuning import tune_interpreter
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.audit.senders import Senders
from kubeweft.sources.audit.webhook import AuditWebhook
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.writer import Writer
from kubeweft.weaving.weaver import Weaver

RUNS = 5
EVENTS = 24_339
SENDER = Path(__file__).with_name("send_audit.py")


async def receive(file: Path) -> tuple[float, float]:
    """CPU and wall seconds to take the whole stream into a new store."""
    store = SqliteStore(file)
    kinds, plan = Kinds(), Plan()
    parser = AuditParser(
        cluster="local",
        kinds=kinds,
        redactor=Redactor(plan.redaction, store.install_key),
        wants_request=plan.wants_request,
        wants_event=plan.wants_event,
    )
    async with Writer(store) as writer:
        pipeline = Pipeline(Weaver(window_length=DEFAULT_WINDOW, kinds=kinds), writer)
        audited = AuditedByTest(lambda: parser, pipeline.offer)
        webhook = AuditWebhook(senders=Senders("local"), audited=lambda _: audited)
        await webhook.start("127.0.0.1", 0)
        sender = await asyncio.create_subprocess_exec(
            sys.executable, str(SENDER), str(webhook.port), stdout=subprocess.PIPE, stdin=subprocess.PIPE
        )
        assert sender.stdin is not None
        assert sender.stdout is not None
        await sender.stdout.readline()  # it has read the recording
        cpu, wall = time.process_time(), time.perf_counter()
        sender.stdin.write(b"go\n")
        answer = json.loads(await sender.stdout.readline())
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        await sender.wait()
        assert answer == {"events": EVENTS, "refused": 0}, answer
        await webhook.close()
    spans = store.statistics().spans
    store.close()
    assert spans > EVENTS, spans
    return cpu, wall


def run(folder: Path, name: str) -> tuple[float, float]:
    """One run on an event loop like the operator's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(receive(folder / f"audit-{name}.db"))


def main(folder: Path) -> None:
    """Print the figures as JSON."""
    tune_interpreter()  # as the operator does
    cpu, wall = min(run(folder, str(number)) for number in range(RUNS))
    profile = hottest(lambda: run(folder, "profile"))
    figures = {
        "audit_events_per_cpu_second": round(EVENTS / cpu),
        "audit_events_per_second": round(EVENTS / wall),
        "profiles": {"audit": profile},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
