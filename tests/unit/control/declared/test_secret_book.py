"""What is known of Secrets: read by name, again and again, kept while nobody can tell, and never logged."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from fake_control_api import FakeControlApi
from kubeweft.control.declared.secrets import FORBIDDEN, MISSING, MOST_AT_ONCE, MOST_SECRETS, SecretBook
from kubeweft.kube.failures import Forbidden, Unavailable


class Scene:
    """An API server and a book that is asked by hand."""

    def __init__(self, api: FakeControlApi) -> None:
        self.api = api
        self.changes = 0
        self.changed = asyncio.Event()
        self.book = SecretBook(api.read_secret, on_change=self.note, every=60.0)

    def note(self) -> None:
        self.changes += 1
        self.changed.set()

    async def states(self, *names: str) -> dict[str, str]:
        self.book.want(frozenset(names))
        await self.book.refresh()
        return {name: secret.state for name, secret in self.book.known.items()}


@pytest.fixture
async def scene(api: FakeControlApi) -> Scene:
    api.secrets = {"a": {"k": b"canary"}, "b": {"k": b"canary-b"}}
    return Scene(api)


async def test_what_there_is_and_what_is_missing(scene: Scene) -> None:
    assert not scene.book.known
    assert await scene.states("a", "x") == {"a": "Read", "x": "Missing"}
    assert scene.book.known["a"].content == {"k": b"canary"}
    assert scene.book.known["x"] == MISSING
    assert scene.changes == 1


async def test_only_wanted_secrets_are_read_and_kept(scene: Scene) -> None:
    await scene.states("a")
    assert await scene.states("b") == {"b": "Read"}
    assert scene.api.secrets_read == ["a", "b"]
    scene.book.want(frozenset())
    assert scene.book.known == {}


async def test_only_what_has_changed_is_told(scene: Scene) -> None:
    await scene.states("a", "x")
    await scene.states("a", "x")
    assert scene.changes == 1
    scene.api.secrets["a"] = {"k": b"canary-2"}
    await scene.states("a", "x")
    assert scene.changes == 2
    assert scene.book.known["a"].content == {"k": b"canary-2"}
    del scene.api.secrets["a"]
    assert await scene.states("a", "x") == {"a": "Missing", "x": "Missing"}
    assert scene.changes == 3


async def test_what_was_read_stays_while_nobody_can_tell(scene: Scene) -> None:
    await scene.states("a", "x")
    scene.api.failure = Unavailable("away")
    assert await scene.states("a", "x") == {"a": "Read", "x": "Missing"}
    assert scene.changes == 1
    scene.api.failure = Forbidden("no", status=403)
    assert await scene.states("a") == {"a": "Forbidden"}
    assert scene.book.known["a"] == FORBIDDEN


async def test_what_nobody_could_tell_yet_says_why(scene: Scene) -> None:
    scene.api.failure = Unavailable("connection refused")
    assert await scene.states("a") == {"a": "NotYet"}
    assert "connection refused" in scene.book.known["a"].detail
    scene.api.failure = None
    assert await scene.states("a") == {"a": "Read"}
    assert scene.changes == 2


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async def never(name: str) -> dict[str, bytes]:
        await asyncio.Event().wait()
        return {}

    book = SecretBook(never, limit=0.01)
    book.want(frozenset({"a"}))
    await book.refresh()
    assert book.known["a"].state == "NotYet"
    assert "no answer in time" in book.known["a"].detail


async def test_a_secret_that_is_no_longer_wanted_when_it_comes_is_dropped() -> None:
    book: SecretBook

    async def read(name: str) -> dict[str, bytes]:
        book.want(frozenset())
        return {"k": b"canary"}

    book = SecretBook(read)
    book.want(frozenset({"a"}))
    await book.refresh()
    assert book.known == {}


async def test_few_are_asked_for_at_once_and_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    running, most, count = 0, 0, 0

    async def read(name: str) -> dict[str, bytes]:
        nonlocal running, most, count
        running, count = running + 1, count + 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return {}

    book = SecretBook(read)
    book.want(frozenset(f"s{n:05}" for n in range(MOST_SECRETS + 5)))
    await book.refresh()
    assert most == MOST_AT_ONCE
    assert count == MOST_SECRETS
    assert "too many Secrets" in caplog.text


async def test_nothing_of_a_secret_is_logged_or_shown(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            await scene.states("a", "x")
    assert "canary" not in caplog.text + repr(scene.book.known)
    assert len([r for r in caplog.records if "secret=x" in r.getMessage()]) == 1


@pytest.fixture
async def running(scene: Scene) -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(scene.book.run())
        yield scene
        task.cancel()


async def test_a_newly_wanted_secret_is_read_at_once(running: Scene) -> None:
    await asyncio.sleep(0)
    running.book.want(frozenset({"a"}))
    async with asyncio.timeout(5):
        await running.changed.wait()
    assert running.book.known["a"].state == "Read"


async def test_secrets_are_read_again_and_again(api: FakeControlApi) -> None:
    changed = asyncio.Event()
    api.secrets = {"a": {"k": b"1"}}
    book = SecretBook(api.read_secret, on_change=changed.set, every=0.01)
    book.want(frozenset({"a"}))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(book.run())
        async with asyncio.timeout(5):
            await changed.wait()
            changed.clear()
            api.secrets = {"a": {"k": b"2"}}
            await changed.wait()
        task.cancel()
    assert book.known["a"].content == {"k": b"2"}
