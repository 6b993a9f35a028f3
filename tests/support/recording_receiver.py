"""A receiver that keeps what a reflector brings, as a real one would, and lets a test wait for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from kubeweft.kube.receiving import Missed, ResumePoint, WatchLine

LIMIT = 30.0  # seconds, for busy machines: a test that passes does not wait this long


class RecordingReceiver:
    """``objects`` mirrors the collection by uid; ``calls`` is everything that was called, in order."""

    def __init__(self, *, version: str = "", time: int = 0, known: Sequence[dict[str, Any]] = ()) -> None:
        """``version``, ``time`` and ``known`` are what a former run left."""
        self.point = ResumePoint(version, time)
        self.version = version
        self.objects: dict[str, dict[str, Any]] = {obj["metadata"]["uid"]: obj for obj in known}
        self.calls: list[str] = []
        self.lines: list[tuple[str, str, str]] = []
        self.batches: list[int] = []
        self.found_deleted: list[str] = []
        self.missed: list[Missed] = []
        self.refuse: list[Exception] = []
        self.raw: list[bytes] = []
        self._listed: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()

    def names(self) -> list[str]:
        """The names of all objects there are, sorted."""
        return sorted(obj["metadata"]["name"] for obj in self.objects.values())

    async def until(self, condition: Callable[[], object], limit: float = LIMIT) -> None:
        """Wait until ``condition`` is true; it is asked again after every call."""
        async with asyncio.timeout(limit):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def resume_point(self) -> ResumePoint:
        """What the former run left."""
        self._called("resume_point")
        return self.point

    async def list_started(self) -> None:
        """Begin a new mirror."""
        self._called("list_started")
        self._listed = {}

    async def listed(self, lines: Sequence[WatchLine]) -> None:
        """Part of the new mirror."""
        self._called("listed")
        self._mirror(lines, self._listed)

    async def list_finished(self, version: str, missed: Missed | None) -> None:
        """The new mirror is the one that counts now."""
        self._called("list_finished")
        gone = self.objects.keys() - self._listed.keys()
        self.found_deleted += sorted(self.objects[uid]["metadata"]["name"] for uid in gone)
        self.objects, self.version = dict(self._listed), version
        if missed is not None:
            self.missed.append(missed)
        self._changed.set()

    async def changed(self, lines: Sequence[WatchLine], version: str) -> None:
        """Follow the changes."""
        self._called("changed")
        self._mirror(lines, self.objects)
        self.version = version
        self._changed.set()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self._changed.set()
        if name in ("listed", "list_finished", "changed") and self.refuse:
            raise self.refuse.pop(0)

    def _mirror(self, lines: Sequence[WatchLine], mirror: dict[str, dict[str, Any]]) -> None:
        self.batches.append(len(lines))
        for kind, body in lines:
            obj = json.loads(body)
            metadata = obj["metadata"]
            self.raw.append(body)
            self.lines.append((kind, metadata["name"], metadata["resourceVersion"]))
            if kind == "DELETED":
                mirror.pop(metadata["uid"], None)
            else:
                mirror[metadata["uid"]] = obj
        self._changed.set()
