"""Connections by TLS that are broken off, to a server that does not answer the farewell."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from controlplane.certificates import Authority
from kubeweft.export.http_sender import HttpSender
from kubeweft.export.outcomes import RetryLater
from kubeweft.kube.clients import ClusterClient, connect_with, get_json, open_response
from kubeweft.kube.failures import Unavailable
from kubeweft.model.plan import Exporter
from running_reflectors import eventually

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = 30.0
PROMPT = 10.0  # asyncio would wait for 30 s


class SilentServer:
    """Takes one request by TLS, begins its answer if it is told so, and does nothing more."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder)
        pair = self._authority.server("server", names=["localhost"], addresses=["127.0.0.1"])
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(LONG)
        self.head = b""
        self.was_asked = threading.Event()
        self.was_left = threading.Event()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._listening.getsockname()[1]}"

    @property
    def authority(self) -> Path:
        return Path(self._authority.files.certificate)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            yield
        finally:
            self._listening.close()
            thread.join()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with self._context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(65536)
            encrypted.sendall(self.head)
            self.was_asked.set()
            with socket.socket(fileno=encrypted.detach()) as raw:  # what is encrypted now, nobody reads
                raw.settimeout(LONG)
                with contextlib.suppress(ConnectionResetError):
                    while raw.recv(65536):
                        pass
        self.was_left.set()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SilentServer]:
    silent = SilentServer(tmp_path / "ca")
    with silent.serving():
        yield silent


@pytest.fixture
async def client(server: SilentServer, tmp_path: Path) -> AsyncIterator[ClusterClient]:
    cluster = {"server": server.url, "insecure-skip-tls-verify": True}
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    async with await connect_with(yaml.safe_dump(config).encode()) as client:
        yield client


async def test_a_watch_that_is_broken_off_keeps_no_socket(
    server: SilentServer, client: ClusterClient
) -> None:
    server.head = HEAD
    async with open_response(client, "GET", "/x", timeout=aiohttp.ClientTimeout(total=LONG)):
        assert not server.was_left.is_set()
    await eventually(server.was_left.is_set, limit=PROMPT)


async def test_a_request_that_is_cancelled_keeps_no_socket(
    server: SilentServer, client: ClusterClient
) -> None:
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(get_json(client, "/x"))
        await eventually(server.was_asked.is_set)
        asking.cancel()
    await eventually(server.was_left.is_set, limit=PROMPT)


async def test_a_request_that_takes_too_long_keeps_no_socket(
    server: SilentServer, client: ClusterClient
) -> None:
    with pytest.raises(Unavailable, match="no answer in time"):
        await get_json(client, "/x", deadline=1.0)
    assert server.was_asked.is_set()
    await eventually(server.was_left.is_set, limit=PROMPT)


@pytest.mark.parametrize("head", [b"", HEAD])
async def test_an_attempt_to_send_that_takes_too_long_keeps_no_socket(
    server: SilentServer, head: bytes
) -> None:
    server.head = head
    sender = HttpSender(Exporter("e", server.url, ca=server.authority.read_bytes(), timeout=1.0))
    outcome = await sender.send(b"", 1)
    assert isinstance(outcome, RetryLater)
    assert server.was_asked.is_set()
    await eventually(server.was_left.is_set, limit=PROMPT)
    await sender.close()
