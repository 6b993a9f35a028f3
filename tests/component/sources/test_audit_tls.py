"""The audit webhook behind TLS: only versions that are safe, and a renewed certificate without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audit_events import audit_event, audit_parser, event_list
from audited_cluster import AuditedByTest
from kubeweft.model.errors import UserError
from kubeweft.model.observations import EventSeen, Request
from kubeweft.sources.audit.credentials import ServingCertificate
from kubeweft.sources.audit.senders import Senders
from kubeweft.sources.audit.webhook import AuditWebhook

ANYBODY = ssl.create_default_context()
ANYBODY.check_hostname = False
ANYBODY.verify_mode = ssl.CERT_NONE


def write_certificate(folder: Path, serial: int) -> None:
    """A self-signed certificate and its key, put in place as a Secret volume does."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubeweft-test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    replace(folder / "tls.crt", certificate.public_bytes(pem))
    replace(
        folder / "tls.key",
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def replace(file: Path, content: bytes) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.rename(file)


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[AuditWebhook]:
    """A webhook that listens with certificate number 1."""
    write_certificate(tmp_path, 1)
    parser = audit_parser()

    async def deliver(_observations: Sequence[Request | EventSeen]) -> None:
        """Durable at once."""

    audited = AuditedByTest(lambda: parser, deliver)
    running = AuditWebhook(
        senders=Senders("local"),
        audited=lambda _: audited,
        certificate=ServingCertificate(tmp_path / "tls.crt", tmp_path / "tls.key"),
    )
    await running.start("127.0.0.1", 0)
    yield running
    await running.close()


async def serial_shown(port: int, context: ssl.SSLContext = ANYBODY) -> int:
    """The serial number of the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(shown).serial_number


async def test_batches_come_in_over_tls(webhook: AuditWebhook) -> None:
    url = f"https://127.0.0.1:{webhook.port}/audit"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ANYBODY)) as client,
        client.post(url, data=event_list(audit_event())) as answer,
    ):
        assert answer.status == 200
        assert (await answer.json())["accepted"] == 1


async def test_tls_1_2_is_the_oldest_version_spoken(webhook: AuditWebhook, tmp_path: Path) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await serial_shown(webhook.port, context) == 1
    certificate = ServingCertificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_plain_http_is_no_way_in(webhook: AuditWebhook) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", webhook.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        assert b"200" not in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_a_renewed_certificate_is_shown_to_the_next_connection(
    webhook: AuditWebhook, tmp_path: Path
) -> None:
    assert await serial_shown(webhook.port) == 1
    write_certificate(tmp_path, 2)
    assert await serial_shown(webhook.port) == 2


async def test_a_broken_renewal_leaves_the_old_certificate(webhook: AuditWebhook, tmp_path: Path) -> None:
    replace(tmp_path / "tls.crt", b"half written")
    assert await serial_shown(webhook.port) == 1
    (tmp_path / "tls.key").unlink()
    assert await serial_shown(webhook.port) == 1
    write_certificate(tmp_path, 3)
    assert await serial_shown(webhook.port) == 3


def test_a_certificate_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    write_certificate(tmp_path, 1)
    key = (tmp_path / "tls.key").read_bytes()
    write_certificate(tmp_path, 2)
    replace(tmp_path / "tls.key", key)
    with pytest.raises(UserError, match="belong together"):
        ServingCertificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    with pytest.raises(UserError, match="cannot read"):
        ServingCertificate(tmp_path / "missing.crt", tmp_path / "tls.key")
