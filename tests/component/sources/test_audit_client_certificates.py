"""Client certificates at the audit webhook: the cluster is the verified common name, and nothing that is only claimed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from audit_events import audit_event, audit_parser, event_list
from audited_cluster import AuditedByTest
from controlplane.certificates import Authority, KeyPair
from kubeweft.model.errors import UserError
from kubeweft.model.observations import EventSeen, Request
from kubeweft.sources.audit.credentials import ServingCertificate
from kubeweft.sources.audit.senders import Senders
from kubeweft.sources.audit.webhook import AuditWebhook

BATCH = event_list(audit_event())


@dataclass
class Place:
    """A webhook that asks for client certificates, and which cluster each delivered batch was said to be from."""

    folder: Path
    authority: Authority
    webhook: AuditWebhook
    clusters: list[str] = field(default_factory=list)

    async def post(self, shown: KeyPair | None, version: ssl.TLSVersion | None = None) -> int:
        """The status of the answer; errors of TLS come out as they are."""
        context = ssl.create_default_context(cafile=str(self.authority.files.certificate))
        if version is not None:
            context.maximum_version = version
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        url = f"https://127.0.0.1:{self.webhook.port}/audit"
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as client,
            client.post(url, data=BATCH) as answer,
        ):
            return answer.status


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    authority = Authority(tmp_path / "pki")
    serving = authority.server("serving", names=("localhost",), addresses=("127.0.0.1",))
    client_ca = tmp_path / "client-ca.crt"
    client_ca.write_bytes(authority.files.certificate.read_bytes())
    parser = audit_parser()
    clusters: list[str] = []

    async def deliver(_observations: Sequence[Request | EventSeen]) -> None:
        """Durable at once."""

    def audited(cluster: str) -> AuditedByTest:
        clusters.append(cluster)
        return AuditedByTest(lambda: parser, deliver)

    senders = Senders("home", certificates=True)
    senders.use({"west": ""})
    certificate = ServingCertificate(serving.certificate, serving.key, client_ca=client_ca)
    webhook = AuditWebhook(senders=senders, audited=audited, certificate=certificate)
    await webhook.start("127.0.0.1", 0)
    yield Place(tmp_path, authority, webhook, clusters)
    await webhook.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["west", "home"])
async def test_the_common_name_is_the_cluster(place: Place, name: str, version: ssl.TLSVersion) -> None:
    assert await place.post(place.authority.client(name, user=name), version) == 200
    assert place.clusters == [name]


async def test_without_a_certificate_nobody_is_let_in_and_the_connection_says_so(place: Place) -> None:
    assert await place.post(None) == 401
    assert place.clusters == []


async def test_a_certificate_of_no_cluster_is_refused(place: Place) -> None:
    assert await place.post(place.authority.client("stranger", user="stranger")) == 403
    assert place.clusters == []


async def test_a_certificate_of_another_authority_does_not_even_connect(place: Place, tmp_path: Path) -> None:
    forged = Authority(tmp_path / "forged").client("west", user="west")
    with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
        await place.post(forged)
    assert place.clusters == []


async def test_a_serving_certificate_is_no_client_certificate(place: Place) -> None:
    serving = place.authority.server("west", names=("west",), addresses=())
    with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
        await place.post(serving)
    assert place.clusters == []


async def test_a_renewed_authority_holds_for_the_next_connection(place: Place, tmp_path: Path) -> None:
    old = place.authority.client("west", user="west")
    assert await place.post(old) == 200
    other = Authority(tmp_path / "renewed")
    fresh = tmp_path / "client-ca.new"
    fresh.write_bytes(other.files.certificate.read_bytes())
    fresh.rename(tmp_path / "client-ca.crt")
    assert await place.post(other.client("west", user="west")) == 200
    with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
        await place.post(old)
    assert place.clusters == ["west", "west"]


async def test_no_session_outlives_the_authority_that_it_was_begun_under(place: Place) -> None:
    """A resumed session is not verified again: it must not be had, in any version of TLS."""
    shown = place.authority.client("west", user="west")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        statuses, reused = await asyncio.to_thread(resume, place, shown, version)
        assert [status for status, was in zip(statuses, reused, strict=True) if was and status == 200] == []
        assert statuses[0] == 200


def resume(place: Place, shown: KeyPair, version: ssl.TLSVersion) -> tuple[list[int], list[bool]]:
    """Two requests over two connections, the second of which offers the session of the first."""
    context = ssl.create_default_context(cafile=str(place.authority.files.certificate))
    context.maximum_version = version
    context.load_cert_chain(shown.certificate, shown.key)
    head = f"POST /audit HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(BATCH)}\r\n\r\n".encode()
    session, statuses, reused = None, [], []
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", place.webhook.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as connection,
        ):
            connection.sendall(head + BATCH)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            statuses.append(int(answer.split(b" ", 2)[1]))
            reused.append(bool(connection.session_reused))
            session = connection.session
    return statuses, reused


def test_an_authority_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    serving = authority.server("serving", names=("localhost",), addresses=())
    (tmp_path / "client-ca.crt").write_text("no certificate")
    for file, told in (("client-ca.crt", "PEM"), ("missing.crt", "cannot read")):
        with pytest.raises(UserError, match=told):
            ServingCertificate(serving.certificate, serving.key, client_ca=tmp_path / file)
