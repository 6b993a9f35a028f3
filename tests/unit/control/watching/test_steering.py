"""From Kopf's thread to the application's loop: the newest of each object, in few calls, and harmless when nobody is left."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.control.watching.steering import Mailbox


class Recorded:
    """Keeps every call, and in which thread it came."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()

    def _keep(self, *call: Any) -> None:
        self.calls.append(call)
        self.threads.add(threading.get_ident())

    def policy_seen(self, name: str, body: Any) -> None:
        self._keep("policy", name, body)

    def link_rule_seen(self, name: str, body: Any) -> None:
        self._keep("rule", name, body)

    def types_changed(self) -> None:
        self._keep("types")

    def ready(self) -> None:
        self._keep("ready")

    def failed(self, reason: str) -> None:
        self._keep("failed", reason)


async def in_thread(work: Callable[[], None]) -> None:
    await asyncio.to_thread(work)
    await asyncio.sleep(0)


async def test_everything_arrives_in_the_loop_of_the_application() -> None:
    steering = Recorded()
    mailbox = Mailbox(steering)

    def work() -> None:
        mailbox.declared(POLICIES, "a", {"n": 1})
        mailbox.declared(LINK_RULES, "a", {"n": 2})
        mailbox.declared(POLICIES, "b", None)

    await in_thread(work)
    assert steering.calls == [("policy", "a", {"n": 1}), ("rule", "a", {"n": 2}), ("policy", "b", None)]
    assert steering.threads == {threading.get_ident()}


async def test_a_burst_becomes_one_delivery_of_the_newest() -> None:
    steering = Recorded()
    mailbox = Mailbox(steering)
    for number in range(1000):
        mailbox.declared(POLICIES, "a", {"n": number})
        mailbox.types_changed()
    await asyncio.sleep(0)
    assert sorted(call[0] for call in steering.calls) == ["policy", "ready", "types"]
    assert ("policy", "a", {"n": 999}) in steering.calls


async def test_watching_types_means_ready_and_is_told_once() -> None:
    steering = Recorded()
    heard: list[str] = []
    mailbox = Mailbox(steering, on_types=lambda: heard.append("types"))
    for _ in range(2):
        mailbox.types_changed()
        await asyncio.sleep(0)
    assert steering.calls.count(("ready",)) == 1
    assert steering.calls.count(("types",)) == 2
    assert heard == ["types", "types"]


def test_a_stopped_application_is_not_told_and_nothing_breaks() -> None:
    steering = Recorded()

    async def make() -> Mailbox:
        return Mailbox(steering)

    mailbox = asyncio.run(make())
    mailbox.declared(POLICIES, "a", {})
    mailbox.types_changed()
    assert steering.calls == []
