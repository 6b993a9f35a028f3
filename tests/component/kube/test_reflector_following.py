"""What a reflector brings while all goes well: lists, changes, versions, in order and in batches."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fake_apiserver import PODS, SECRETS, FakeApiServer, answer, line
from kubeweft.kube.watch_state import Phase
from kubeweft.model.errors import BadInput, NotNow
from recording_receiver import RecordingReceiver
from running_reflectors import QUICK, Watching, eventually


async def test_a_streamed_list_goes_on_as_the_watch(server: FakeApiServer, watching: Watching) -> None:
    server.create(PODS, "a")
    server.create(PODS, "b")
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        server.update(PODS, "a", spec={"x": 1})
        server.delete(PODS, "b")
        server.create(PODS, "c")
        await receiver.until(lambda: receiver.names() == ["a", "c"])
        state = reflector.state
    assert receiver.calls[:4] == ["resume_point", "list_started", "listed", "list_finished"]
    assert receiver.lines == [
        ("ADDED", "a", "1001"),
        ("ADDED", "b", "1002"),
        ("MODIFIED", "a", "1003"),
        ("DELETED", "b", "1004"),
        ("ADDED", "c", "1005"),
    ]
    assert receiver.missed == []
    assert receiver.version == "1005"
    assert (state.phase, state.version, state.objects_listed, state.events_seen) == (
        Phase.WATCHING,
        "1005",
        2,
        3,
    )
    assert (state.relists, state.reconnects, state.undecodable) == (0, 0, 0)
    [asked] = server.asked
    assert asked.method == "GET"
    assert 300 <= int(asked.query.pop("timeoutSeconds")) <= 600
    assert asked.query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
    assert asked.agent.startswith("kubeweft/")


async def test_a_streamed_list_may_hold_changes_before_its_end(
    server: FakeApiServer, watching: Watching
) -> None:
    server.hold_lists = asyncio.Event()
    server.create(PODS, "a")
    receiver = RecordingReceiver()
    server.ignores_initial_events = True
    async with watching(receiver):
        await eventually(lambda: server.watchers(PODS))
        server.create(PODS, "b")
        server.delete(PODS, "a")
        end = {
            "kind": "Pod",
            "metadata": {"resourceVersion": "1003", "annotations": {"k8s.io/initial-events-end": "true"}},
        }
        server.send(PODS, line("BOOKMARK", end))
        server.hold_lists.set()
        await receiver.until(lambda: receiver.version)
    assert receiver.names() == ["b"]
    assert receiver.lines == [("ADDED", "a", "1001"), ("ADDED", "b", "1002"), ("DELETED", "a", "1003")]
    assert receiver.calls.count("list_finished") == 1
    assert "changed" not in receiver.calls


async def test_refused_streams_fall_back_to_pages(server: FakeApiServer, watching: Watching) -> None:
    server.streams_lists = False
    for name in "abcdefg":
        server.create(PODS, name)
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        server.create(PODS, "h")
        await receiver.until(lambda: "h" in receiver.names())
        assert reflector.state.phase is Phase.WATCHING
    assert receiver.names() == list("abcdefgh")
    assert [a.query.get("continue") for a in server.asked if "limit" in a.query] == [None, "3", "6"]
    assert receiver.batches == [3, 3, 1, 1]
    assert receiver.missed == []
    assert server.asked[-1].query["resourceVersion"] == "1007"


async def test_a_refused_stream_is_not_asked_for_again(server: FakeApiServer, watching: Watching) -> None:
    server.streams_lists = False
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await eventually(lambda: server.watchers(PODS))
        server.script("*resourceVersion=1000*", answer(410))
        server.cut_watches(PODS)
        await eventually(lambda: reflector.state.relists)
    assert sum("sendInitialEvents" in asked.query for asked in server.asked) == 1


async def test_after_a_failure_a_fresh_list_needs_no_check_of_its_version(
    server: FakeApiServer, watching: Watching
) -> None:
    server.streams_lists = False
    server.script("*", answer(503))
    receiver = RecordingReceiver()
    async with watching(receiver):
        await eventually(lambda: server.watchers(PODS))
    assert [asked.query.get("limit") for asked in server.asked] == [None, None, "3", None]


async def test_streams_that_fail_twice_are_replaced_by_pages_once(
    server: FakeApiServer, watching: Watching
) -> None:
    server.create(PODS, "a")
    server.script("*sendInitialEvents*", answer(500), times=2)
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        await eventually(lambda: server.watchers(PODS))
        assert [asked.query.get("limit") for asked in server.asked] == [None, None, "3", None]
        server.script("*resourceVersion=1001*", answer(410))
        server.cut_watches(PODS)
        await eventually(lambda: reflector.state.relists)
    assert "sendInitialEvents" in server.asked[-1].query


async def test_a_server_that_ignores_initial_events_is_noticed_by_its_bookmark(
    server: FakeApiServer, watching: Watching
) -> None:
    server.ignores_initial_events = True
    server.create(PODS, "a")
    receiver = RecordingReceiver()
    async with watching(receiver, limits=replace(QUICK, silence=60.0)):
        await eventually(lambda: server.watchers(PODS))
        server.bookmark(PODS)
        await receiver.until(lambda: receiver.version)
        assert receiver.calls.count("list_started") == 2
        assert receiver.names() == ["a"]


async def test_an_expired_continue_token_restarts_the_list_with_larger_pages(
    server: FakeApiServer, watching: Watching
) -> None:
    server.streams_lists = False
    server.expired_tokens = True
    for number in range(30):
        server.create(PODS, f"p{number:02}")
    receiver = RecordingReceiver()
    async with watching(receiver):
        await receiver.until(lambda: receiver.version)
    assert len(receiver.names()) == 30
    assert [a.query["limit"] for a in server.asked if "limit" in a.query] == ["3", "3", "24", "24", "192"]
    assert receiver.calls.count("list_started") == 3
    assert receiver.calls.count("list_finished") == 1


async def test_bookmarks_advance_the_version_without_lines(server: FakeApiServer, watching: Watching) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version == "1000")
        server.bookmark(PODS)
        await receiver.until(lambda: receiver.version == "1001")
        assert reflector.state.version == "1001"
        assert reflector.state.events_seen == 0
    assert receiver.lines == []


async def test_the_complete_lines_of_a_chunk_come_in_one_call_and_the_rest_waits(
    server: FakeApiServer, watching: Watching
) -> None:
    receiver = RecordingReceiver()
    pods = [
        {"metadata": {"name": f"p{n}", "uid": f"u{n}", "resourceVersion": str(2000 + n)}} for n in range(1300)
    ]
    lines = b"".join(line("ADDED", pod) for pod in pods)
    async with watching(receiver):
        await receiver.until(lambda: receiver.version)
        server.send(PODS, lines[:-20])
        await receiver.until(lambda: len(receiver.lines) == 1299)
        server.send(PODS, lines[-20:])
        await receiver.until(lambda: len(receiver.lines) == 1300)
    assert max(receiver.batches) <= 512
    assert len(receiver.batches) < 60
    assert [version for _, _, version in receiver.lines] == [str(2000 + n) for n in range(1300)]


async def test_an_object_larger_than_any_buffer_comes_whole(
    server: FakeApiServer, watching: Watching
) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver):
        await receiver.until(lambda: receiver.version)
        server.create(PODS, "big", spec={"text": "ü" * 1_100_000})
        await receiver.until(lambda: receiver.names() == ["big"])
    assert len(receiver.raw[-1]) > 6_000_000


async def test_secrets_come_without_their_data(server: FakeApiServer, watching: Watching) -> None:
    server.create(SECRETS, "s", data={"password": "aHVudGVyMg=="})
    receiver = RecordingReceiver()
    async with watching(receiver, SECRETS, metadata_only=True):
        await receiver.until(lambda: receiver.version)
        server.update(SECRETS, "s", data={"password": "aHVudGVyMw=="})
        await receiver.until(lambda: len(receiver.lines) == 2)
    assert receiver.names() == ["s"]
    assert not any(b"aHVudGVy" in body for body in receiver.raw)
    assert server.asked[0].accept == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


async def test_paged_lists_of_secrets_come_without_their_data(
    server: FakeApiServer, watching: Watching
) -> None:
    server.streams_lists = False
    server.create(SECRETS, "s", data={"password": "aHVudGVyMg=="})
    receiver = RecordingReceiver()
    async with watching(receiver, SECRETS, metadata_only=True):
        await receiver.until(lambda: receiver.version)
    assert not any(b"aHVudGVy" in body for body in receiver.raw)
    assert [a.accept for a in server.asked if "limit" in a.query] == [
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    ]


async def test_a_full_receiver_gets_the_same_lines_again(server: FakeApiServer, watching: Watching) -> None:
    server.create(PODS, "a")
    receiver = RecordingReceiver()
    receiver.refuse = [NotNow("the store is full", delay=0.01) for _ in range(3)]
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        receiver.refuse = [NotNow("the store is full", delay=0.2) for _ in range(2)]
        server.create(PODS, "b")
        await receiver.until(lambda: not receiver.refuse)
        assert reflector.state.message == "waiting to hand over: the store is full"
        await receiver.until(lambda: receiver.names() == ["a", "b"])
        await eventually(lambda: reflector.state.message == "")
    assert receiver.lines == [("ADDED", "a", "1001"), ("ADDED", "b", "1002")]
    assert len(server.asked) == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), BadInput("no uid")])
async def test_any_other_error_of_the_receiver_ends_the_reflector(
    server: FakeApiServer, watching: Watching, error: Exception
) -> None:
    receiver = RecordingReceiver()
    states = []

    async def watch_until_it_fails() -> None:
        async with watching(receiver) as reflector:
            await receiver.until(lambda: receiver.version)
            receiver.refuse = [error]
            server.create(PODS, "a")
            try:
                await asyncio.sleep(10)
            finally:
                states.append(reflector.state)

    with pytest.raises(ExceptionGroup) as caught:
        await watch_until_it_fails()
    [failure] = caught.value.exceptions
    assert failure is error or failure.__cause__ is error
    assert states[0].phase is Phase.STOPPED
    assert states[0].message == f"failed with {type(failure).__name__}"
    assert len(server.asked) == 1


async def test_lists_wait_for_a_free_slot(server: FakeApiServer, watching: Watching) -> None:
    slots = asyncio.Semaphore(1)
    await slots.acquire()
    receiver = RecordingReceiver()
    async with watching(receiver, list_slots=slots) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.LISTING)
        assert reflector.state.message == "waiting for the lists of other types"
        assert server.asked == []
        slots.release()
        await receiver.until(lambda: receiver.version)
        await eventually(lambda: reflector.state.phase is Phase.WATCHING)
        assert not slots.locked()


async def test_a_reflector_only_ever_reads(server: FakeApiServer, watching: Watching) -> None:
    server.script("*", answer(503), times=3)
    receiver = RecordingReceiver()
    async with watching(receiver):
        await receiver.until(lambda: receiver.version)
    assert {asked.method for asked in server.asked} == {"GET"}
