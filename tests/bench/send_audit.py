"""Sends the recorded audit events to a webhook in batches of 400, two at a time, as a kube-apiserver does."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import zstandard

RECORDING = Path(__file__).parents[1] / "data" / "rollout-audit.jsonl.zst"
BATCH = 400
AT_ONCE = 2


def bodies() -> list[tuple[int, bytes]]:
    """Every batch, with the number of its events."""
    with RECORDING.open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
    head = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['
    batches = [lines[start : start + BATCH] for start in range(0, len(lines), BATCH)]
    return [(len(batch), head + b",".join(batch) + b"]}") for batch in batches]


async def send(port: int, batches: list[tuple[int, bytes]]) -> dict[str, int]:
    """Post them all; counts events accepted and batches refused."""
    counts = {"events": 0, "refused": 0}
    waiting = iter(batches)

    async def sender(session: aiohttp.ClientSession) -> None:
        for size, body in waiting:
            async with session.post("/audit", data=body) as answer:
                counts["events" if answer.status == 200 else "refused"] += size if answer.status == 200 else 1
                await answer.read()

    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(sender(session))
    return counts


def main() -> None:
    """Read, say so, wait for a line, send."""
    batches = bodies()
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(asyncio.run(send(int(sys.argv[1]), batches))), flush=True)


if __name__ == "__main__":
    main()
