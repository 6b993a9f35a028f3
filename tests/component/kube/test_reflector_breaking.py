"""What a reflector does when something breaks: nothing lost goes untold, and nothing is asked for in a loop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from fake_apiserver import NODES, PODS, SECRETS, FakeApiServer, answer, line, raw, status_body
from kubeweft.kube.clients import collection_path
from kubeweft.kube.watch_state import Phase
from recording_receiver import RecordingReceiver
from running_reflectors import QUICK, Watching, eventually

PATH = collection_path(PODS)


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}


def watches_from(server: FakeApiServer) -> list[str]:
    return [a.query["resourceVersion"] for a in server.asked if a.is_watch and "resourceVersion" in a.query]


async def test_a_former_run_is_resumed_without_a_list(server: FakeApiServer, watching: Watching) -> None:
    a = server.create(PODS, "a")
    server.create(PODS, "b")
    server.delete(PODS, "a")
    receiver = RecordingReceiver(version="1001", time=5, known=[a])
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version == "1003")
        assert reflector.state.relists == 0
    assert receiver.lines == [("ADDED", "b", "1002"), ("DELETED", "a", "1003")]
    assert "list_started" not in receiver.calls
    assert receiver.missed == []
    assert [a.query.get("limit") for a in server.asked] == ["1", None]  # only the version is asked for


async def test_a_resumed_run_that_is_too_old_lists_and_tells_the_gap(
    server: FakeApiServer, watching: Watching
) -> None:
    a = server.create(PODS, "a")
    b = server.create(PODS, "b")
    server.delete(PODS, "a")
    server.compact(PODS)
    receiver = RecordingReceiver(version="1001", time=123, known=[a, b])
    before = time.time_ns()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version == "1003")
        await eventually(lambda: reflector.state.relists == 1)
    assert receiver.found_deleted == ["a"]
    assert receiver.names() == ["b"]
    [missed] = receiver.missed
    assert missed.reason == "Expired"
    assert "too old resource version" in missed.message
    assert missed.start == 123
    assert before <= missed.end <= time.time_ns()


async def test_http_410_lists_as_well(server: FakeApiServer, watching: Watching) -> None:
    server.script(f"{PATH}*resourceVersion=1000*", answer(410, "too old"))
    receiver = RecordingReceiver(version="1000", time=9)
    async with watching(receiver):
        await receiver.until(lambda: receiver.missed)
    assert (receiver.missed[0].reason, receiver.missed[0].start) == ("Expired", 9)


async def test_410_after_an_outage_finds_what_was_deleted(server: FakeApiServer, watching: Watching) -> None:
    server.create(PODS, "a")
    server.create(PODS, "b")
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version == "1002")
        received = reflector.state.received
        server.script(f"{PATH}*", answer(503, "starting"), times=4)
        server.cut_watches(PODS)
        server.delete(PODS, "a")
        server.compact(PODS)
        await receiver.until(lambda: receiver.missed)
        server.create(PODS, "c")
        await receiver.until(lambda: receiver.names() == ["b", "c"])
        assert (reflector.state.relists, reflector.state.phase) == (1, Phase.WATCHING)
    assert receiver.found_deleted == ["a"]
    assert receiver.missed[0].start == received
    assert receiver.missed[0].end > received


async def test_a_gap_that_needs_several_lists_is_told_once_from_its_beginning(
    server: FakeApiServer, watching: Watching
) -> None:
    server.compact(PODS)
    server.script(f"{PATH}*sendInitialEvents*", answer(500), times=2)
    server.script(f"{PATH}?limit=3", answer(503), times=2)
    receiver = RecordingReceiver(version="999", time=77)
    async with watching(receiver):
        await receiver.until(lambda: receiver.missed)
    assert [(m.reason, m.start) for m in receiver.missed] == [("Expired", 77)]


async def test_a_cut_connection_goes_on_from_the_last_version(
    server: FakeApiServer, watching: Watching
) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        server.create(PODS, "a")
        await receiver.until(lambda: receiver.version == "1001")
        server.cut_watches(PODS)
        server.create(PODS, "b")
        await receiver.until(lambda: receiver.version == "1002")
        assert (reflector.state.reconnects, reflector.state.relists) == (1, 0)
    assert [name for _, name, _ in receiver.lines] == ["a", "b"]
    assert watches_from(server) == ["1001"]
    assert receiver.missed == []


@pytest.mark.parametrize("orderly", [True, False])
async def test_half_a_line_is_dropped_and_comes_again(
    server: FakeApiServer, watching: Watching, orderly: bool
) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        whole, half = line("ADDED", pod("a", 1001)), line("ADDED", pod("b", 1002))[:-10]
        server.send(PODS, whole + half)
        await receiver.until(lambda: receiver.version == "1001")
        server.end_watches(PODS) if orderly else server.cut_watches(PODS)
        server.create(PODS, "a")
        server.create(PODS, "b")
        await receiver.until(lambda: receiver.version == "1002")
        assert reflector.state.undecodable == 0
    assert receiver.lines[-1] == ("ADDED", "b", "1002")
    assert watches_from(server)[0] == "1001"
    assert receiver.missed == []


@pytest.mark.parametrize(
    "broken",
    [
        b'{"type":"ADDED","object":{"metadata":{]}}\n',
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff","resourceVersion":"5"}}}\n',
        b'{"type":"RENAMED","object":{}}\n',
        b'{"object":{}}\n',
        b'{"type":"ADDED","object":"no object"}\n',
        b'{"type":"BOOKMARK","object":[]}\n',
        b"<html>a proxy speaks</html>\n",
        b'{"type":"ADDED","object":' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    ],
)
async def test_a_line_that_cannot_be_read_is_counted_and_repaired_by_a_list(
    server: FakeApiServer, watching: Watching, broken: bytes
) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        server.send(PODS, line("ADDED", pod("a", 1001)) + broken)
        server.create(PODS, "b")
        await receiver.until(lambda: receiver.missed)
        await eventually(lambda: reflector.state.phase is Phase.WATCHING)
        assert (reflector.state.undecodable, reflector.state.relists) == (1, 1)
    assert receiver.missed[0].reason == "UndecodableLine"
    assert ("ADDED", "b", "1001") in receiver.lines
    assert receiver.found_deleted == ["a"]  # it was never on the server


async def test_forbidden_waits_until_it_is_poked(server: FakeApiServer, watching: Watching) -> None:
    server.forbidden.add(PATH)
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.FORBIDDEN)
        assert 'User "tester" cannot list' in reflector.state.message
        asked = len(server.asked)
        reflector.poke()
        await eventually(lambda: len(server.asked) > asked)
        await eventually(lambda: reflector.state.phase is Phase.FORBIDDEN)
        server.forbidden.clear()
        reflector.poke()
        await receiver.until(lambda: receiver.version)
        await eventually(lambda: reflector.state.phase is Phase.WATCHING)
        assert reflector.state.message == ""
    assert len(server.asked) == 3


async def test_forbidden_in_the_middle_keeps_the_version(server: FakeApiServer, watching: Watching) -> None:
    receiver = RecordingReceiver()
    limits = replace(QUICK, slow_pause=0.01)
    async with watching(receiver, limits=limits) as reflector:
        await receiver.until(lambda: receiver.version)
        server.forbidden.add(PATH)
        server.cut_watches(PODS)
        await eventually(lambda: reflector.state.phase is Phase.FORBIDDEN)
        server.create(PODS, "a")
        server.forbidden.clear()
        await receiver.until(lambda: receiver.names() == ["a"])
        assert reflector.state.relists == 0
    assert receiver.missed == []


@pytest.mark.parametrize("code", [404, 405])
async def test_what_is_not_served_ends(server: FakeApiServer, watching: Watching, code: int) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        server.script(f"{PATH}*", answer(code, "not here"), times=9)
        server.end_watches(PODS)
        await eventually(lambda: reflector.state.phase is Phase.NOT_SERVED)
        assert reflector.state.message == f"not here (HTTP {code})"
    assert reflector.state.phase is Phase.NOT_SERVED


async def test_retry_after_is_obeyed(server: FakeApiServer, watching: Watching) -> None:
    times: list[float] = []

    async def busy(request: web.Request) -> web.StreamResponse:
        times.append(time.monotonic())
        return await answer(429, "too many requests", {"Retry-After": "1"})(request)

    server.script(f"{PATH}*", busy)
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.BACKING_OFF)
        await receiver.until(lambda: receiver.version)
    assert time.monotonic() - times[0] >= 1.0


async def test_errors_back_off_and_go_on(server: FakeApiServer, watching: Watching) -> None:
    server.script(f"{PATH}*", answer(500, "etcd is down"), times=5)
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.BACKING_OFF)
        assert reflector.state.message == "etcd is down (HTTP 500)"
        await receiver.until(lambda: receiver.version)
    assert len(server.asked) == 6


async def test_an_unreachable_server_is_waited_for(watching: Watching, server: FakeApiServer) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.script(f"{PATH}*", hang_up, times=3)
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.BACKING_OFF)
        assert "ServerDisconnectedError" in reflector.state.message
        await receiver.until(lambda: receiver.version)


async def test_one_watch_that_is_answered_again_wakes_those_that_wait_for_the_server(
    server: FakeApiServer, watching: Watching
) -> None:
    patient = replace(QUICK, first_pause=3600.0, longest_pause=3600.0)
    pods, nodes, secrets = RecordingReceiver(), RecordingReceiver(), RecordingReceiver()
    server.forbidden.add(collection_path(SECRETS))
    async with (
        watching(secrets, SECRETS) as forbidden,
        watching(nodes, NODES, limits=patient) as other,
    ):

        def wake() -> None:
            forbidden.server_is_back()
            other.server_is_back()

        async with watching(pods, on_recovery=wake) as first:
            await eventually(lambda: forbidden.state.phase is Phase.FORBIDDEN)
            await eventually(lambda: first.state.phase == other.state.phase == Phase.WATCHING)
            server.cut_watches(NODES)
            await eventually(lambda: other.state.phase is Phase.BACKING_OFF)
            server.cut_watches(PODS)
            await eventually(lambda: first.state.reconnects == other.state.reconnects == 1)
    assert sum(asked.path == collection_path(SECRETS) for asked in server.asked) == 1


async def test_silence_where_bookmarks_were_sent_is_a_failure_and_goes_on_from_the_last_version(
    server: FakeApiServer, watching: Watching
) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver, limits=replace(QUICK, silence=0.3)) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.WATCHING)
        server.bookmark(PODS)
        await receiver.until(lambda: receiver.version == "1001")
        await eventually(lambda: reflector.state.phase is Phase.BACKING_OFF)
        server.create(PODS, "a")
        await receiver.until(lambda: receiver.names() == ["a"])
        assert reflector.state.relists == 0
    assert "1001" in watches_from(server)
    assert receiver.missed == []


async def test_where_no_bookmarks_come_silence_is_no_failure_and_the_version_is_kept_young(
    server: FakeApiServer, watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver, limits=replace(QUICK, silence=0.1)) as reflector:
        await receiver.until(lambda: receiver.version)
        server.create(SECRETS, "elsewhere")
        await receiver.until(lambda: receiver.version == "1001")
        await eventually(lambda: reflector.state.phase is Phase.WATCHING)
        server.create(PODS, "a")
        await receiver.until(lambda: receiver.names() == ["a"])
    assert receiver.missed == []
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_a_silent_streamed_list_falls_back_to_pages(server: FakeApiServer, watching: Watching) -> None:
    server.ignores_initial_events = True
    server.create(PODS, "a")
    receiver = RecordingReceiver()
    async with watching(receiver, limits=replace(QUICK, silence=0.1)):
        await receiver.until(lambda: receiver.version)
    assert receiver.names() == ["a"]
    assert [a.query["limit"] for a in server.asked if "limit" in a.query][:1] == ["3"]


async def test_no_answer_at_all_counts_as_silence(server: FakeApiServer, watching: Watching) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    server.script(f"{PATH}*resourceVersion=1000*", never)
    receiver = RecordingReceiver(version="1000")
    async with watching(receiver, limits=replace(QUICK, silence=0.1)) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.BACKING_OFF)
        server.create(PODS, "a")
        await receiver.until(lambda: receiver.names() == ["a"])


async def test_a_version_that_went_back_is_noticed_after_silence(
    server: FakeApiServer, watching: Watching
) -> None:
    server.create(PODS, "a")
    receiver = RecordingReceiver()
    async with watching(receiver, limits=replace(QUICK, silence=0.1)):
        await receiver.until(lambda: receiver.version == "1001")
        server.restore(500)
        await receiver.until(lambda: receiver.missed)
        server.create(PODS, "b")
        await receiver.until(lambda: receiver.names() == ["a", "b"])
    assert receiver.missed[0].reason == "VersionWentBack"
    assert receiver.missed[0].message == "the API server is at version 500, we have seen 1001"


async def test_a_version_that_went_back_while_we_were_away_is_noticed_at_the_start(
    server: FakeApiServer, watching: Watching
) -> None:
    receiver = RecordingReceiver(version="9000", time=4)
    async with watching(receiver):
        await receiver.until(lambda: receiver.missed)
    assert (receiver.missed[0].reason, receiver.missed[0].start) == ("VersionWentBack", 4)


async def test_an_older_bookmark_is_checked_before_it_is_believed(
    server: FakeApiServer, watching: Watching
) -> None:
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version == "1000")
        server.bookmark(PODS, 900)  # an API server whose cache lags: the cluster itself is not behind
        await eventually(lambda: reflector.state.reconnects == 1)
        assert reflector.state.relists == 0
        server.bookmark(PODS)
        await receiver.until(lambda: receiver.version == "1001")
        server.restore(800)
        server.bookmark(PODS, 800)
        await receiver.until(lambda: receiver.missed)
        assert receiver.version == "800"
    assert receiver.missed[0].reason == "VersionWentBack"


async def test_an_error_inside_the_watch_reconnects_and_a_stubborn_one_lists(
    server: FakeApiServer, watching: Watching
) -> None:
    failing = raw(line("ERROR", status_body(500, "cannot convert")))
    server.script(f"{PATH}*resourceVersion=1000*", failing, times=3)
    receiver = RecordingReceiver(version="1000", time=1)
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.missed)
        await eventually(lambda: reflector.state.phase is Phase.WATCHING)
    assert watches_from(server) == ["1000", "1000", "1000"]
    assert receiver.missed[0].reason == "WatchFailed"
    assert receiver.missed[0].message == "cannot convert (HTTP 500)"


async def test_an_error_line_comes_after_the_changes_before_it(
    server: FakeApiServer, watching: Watching
) -> None:
    lines = line("ADDED", pod("a", 1001)) + line("ERROR", status_body(410, "too old", reason="Expired"))
    server.script(f"{PATH}*resourceVersion=1000*", raw(lines))
    receiver = RecordingReceiver(version="1000", time=1)
    async with watching(receiver):
        await receiver.until(lambda: receiver.missed)
    assert receiver.lines[0] == ("ADDED", "a", "1001")
    assert receiver.missed[0].start > 1


async def test_a_version_the_server_refuses_leads_to_a_list(
    server: FakeApiServer, watching: Watching
) -> None:
    server.script(f"{PATH}*resourceVersion=abc*", answer(400, "invalid resource version"))
    receiver = RecordingReceiver(version="abc", time=1)
    async with watching(receiver):
        await receiver.until(lambda: receiver.missed)
    assert receiver.missed[0].reason == "VersionRefused"


async def test_watches_that_end_at_once_are_not_asked_for_in_a_loop(
    server: FakeApiServer, watching: Watching
) -> None:
    server.script(f"{PATH}*resourceVersion=*", raw(b""), times=1000)
    receiver = RecordingReceiver(version="1000")
    limits = replace(QUICK, steady_after=10.0, first_pause=0.2, longest_pause=10.0)
    began = time.monotonic()
    async with watching(receiver, limits=limits) as reflector:
        await eventually(lambda: len(watches_from(server)) >= 3)
        assert "ended the watch after 0.0 s" in reflector.state.message
        await eventually(lambda: time.monotonic() - began > 0.5)
    assert len(watches_from(server)) < 20


async def test_a_list_broken_off_is_begun_again(server: FakeApiServer, watching: Watching) -> None:
    server.create(PODS, "a")
    half = line("ADDED", pod("zombie", 900))
    server.script(f"{PATH}*sendInitialEvents*", raw(half))
    receiver = RecordingReceiver()
    async with watching(receiver):
        await receiver.until(lambda: receiver.version)
    assert receiver.names() == ["a"]
    assert receiver.calls.count("list_started") == 2
    assert receiver.missed == []


async def test_an_unreadable_streamed_list_falls_back_to_pages(
    server: FakeApiServer, watching: Watching
) -> None:
    server.create(PODS, "a")
    server.script(f"{PATH}*sendInitialEvents*", raw(b"nonsense\n"))
    server.script(f"{PATH}?limit=*", raw(b"nonsense"))
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await receiver.until(lambda: receiver.version)
        assert reflector.state.undecodable == 2
    assert receiver.names() == ["a"]


async def test_what_no_list_can_repair_is_tried_slowly(server: FakeApiServer, watching: Watching) -> None:
    server.script(f"{PATH}*", answer(406, "only protobuf"), times=9)
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.BACKING_OFF)
        assert reflector.state.message == "only protobuf (HTTP 406)"
        assert len(server.asked) == 2


async def test_lost_credentials_are_waited_for(server: FakeApiServer, watching: Watching) -> None:
    server.script(f"{PATH}*", answer(401, "Unauthorized"), times=2)
    receiver = RecordingReceiver()
    async with watching(receiver) as reflector:
        await eventually(lambda: reflector.state.phase is Phase.BACKING_OFF)
        assert reflector.state.message == "Unauthorized (HTTP 401)"
        await receiver.until(lambda: receiver.version)
