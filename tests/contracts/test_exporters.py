"""What both OTLP senders promise, against a real receiver on loopback: one attempt in, one of four outcomes back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from controlplane.certificates import Authority, KeyPair
from controlplane.ports import free_ports
from kubeweft.export.outcomes import LONGEST_DELAY, Accepted, Outcome, Rejected, RetryLater, Unauthenticated
from kubeweft.export.sending import Sender, check_exporter, open_sender
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter
from kubeweft.otlp.encoding import encode_batch, encode_span
from otlp_receiver import OtlpReceiver
from otlp_script import (
    BROKEN,
    FINE,
    INVALID,
    NO_SUCH_PLACE,
    TOO_LARGE,
    UNAVAILABLE,
    UNKNOWN_CALLER,
    Answer,
    Rule,
    exhausted,
)
from otlp_spans import change_spans

SPANS = change_spans(30)
PAYLOAD = encode_batch(SPANS)


@pytest.fixture(params=["GRPC", "HTTPProtobuf"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def exporter(receiver: OtlpReceiver, protocol: str) -> Exporter:
    return Exporter("e", receiver.endpoint(protocol), protocol=protocol, timeout=5.0)


@pytest.fixture
async def sender(exporter: Exporter) -> AsyncIterator[Sender]:
    sender = open_sender(exporter)
    yield sender
    await sender.close()


async def send_once(exporter: Exporter, payload: bytes = PAYLOAD) -> Outcome:
    sender = open_sender(exporter)
    try:
        return await sender.send(payload, len(SPANS))
    finally:
        await sender.close()


async def test_what_arrives_is_what_was_sent(sender: Sender, receiver: OtlpReceiver, protocol: str) -> None:
    assert await sender.send(PAYLOAD, len(SPANS)) == Accepted()
    (request,) = receiver.recording.requests
    assert request.payload == PAYLOAD
    assert request.protocol == protocol
    assert [span.raw for span in request.spans] == [encode_span(span).span for span in SPANS]
    assert "kubeweft" in request.headers["user-agent"]


async def test_one_connection_serves_many_attempts(sender: Sender, receiver: OtlpReceiver) -> None:
    for _ in range(5):
        assert await sender.send(PAYLOAD, len(SPANS)) == Accepted()
    assert [request.payload for request in receiver.recording.requests] == [PAYLOAD] * 5


@pytest.mark.parametrize("size", [3, 3000])
async def test_compression_is_a_choice(receiver: OtlpReceiver, exporter: Exporter, size: int) -> None:
    payload = encode_batch(change_spans(size))
    for gzip in (True, False):
        assert await send_once(replace(exporter, gzip=gzip), payload) == Accepted()
    compressed, plain = receiver.recording.requests
    assert compressed.payload == plain.payload == payload
    if exporter.protocol == "HTTPProtobuf":  # gRPC takes its own header out before we see it
        assert compressed.headers["content-encoding"] == "gzip"
        assert int(compressed.headers["content-length"]) < len(payload)
        assert "content-encoding" not in plain.headers
        assert plain.headers["content-type"] == "application/x-protobuf"


async def test_headers_travel_along(receiver: OtlpReceiver, exporter: Exporter) -> None:
    headers = (("Authorization", "Bearer s3cret\n"), ("X-Scope-OrgID", "team-a"))
    assert await send_once(replace(exporter, headers=headers)) == Accepted()
    got = receiver.recording.requests[0].headers
    assert got["authorization"] == "Bearer s3cret"
    assert got["x-scope-orgid"] == "team-a"


@pytest.mark.parametrize(
    ("answer", "outcome", "busy"),
    [
        (UNAVAILABLE, RetryLater, None),  # HTTP's 503 says that it is busy, gRPC's UNAVAILABLE does not
        (Answer(UNAVAILABLE.code, 502), RetryLater, False),
        (Answer(UNAVAILABLE.code, 504), RetryLater, False),
        (NO_SUCH_PLACE, RetryLater, False),
        (UNKNOWN_CALLER, Unauthenticated, None),
    ],
)
async def test_what_passes_by_waiting_or_by_a_person_is_no_refusal(
    sender: Sender, receiver: OtlpReceiver, answer: Answer, outcome: type[Outcome], busy: bool | None
) -> None:
    receiver.rules = [Rule(answer)]
    got = await sender.send(PAYLOAD, len(SPANS))
    assert isinstance(got, outcome)
    if isinstance(got, RetryLater):
        assert got.delay is None
        assert busy is None or got.busy is busy


@pytest.mark.parametrize(("asked", "kept"), [(2.0, 2.0), (0.0, 0.0), (86400.0, LONGEST_DELAY)])
async def test_what_the_receiver_asks_for_is_told(
    sender: Sender, receiver: OtlpReceiver, asked: float, kept: float
) -> None:
    receiver.rules = [Rule(exhausted(asked), times=1)]
    got = await sender.send(PAYLOAD, len(SPANS))
    assert got == RetryLater(reason=got.reason if isinstance(got, RetryLater) else "", delay=kept, busy=True)
    assert isinstance(got, RetryLater)
    assert got.reason.endswith("too many spans")
    assert await sender.send(PAYLOAD, len(SPANS)) == Accepted()


async def test_an_answer_that_asks_for_time_may_say_unavailable(
    sender: Sender, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(replace(UNAVAILABLE, retry_after=3.0))]
    got = await sender.send(PAYLOAD, len(SPANS))
    assert isinstance(got, RetryLater)
    assert (got.delay, got.busy) == (3.0, True)


@pytest.mark.parametrize(("answer", "certain"), [(INVALID, True), (BROKEN, False)])
async def test_a_refusal_says_whether_the_data_is_blamed(
    sender: Sender, receiver: OtlpReceiver, answer: Answer, certain: bool
) -> None:
    receiver.rules = [Rule(answer)]
    got = await sender.send(PAYLOAD, len(SPANS))
    assert isinstance(got, Rejected)
    assert got.certain is certain
    assert answer.message in got.reason


async def test_too_large_is_a_refusal_and_not_a_reason_to_wait(
    sender: Sender, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(TOO_LARGE)]
    got = await sender.send(PAYLOAD, len(SPANS))
    assert isinstance(got, Rejected)
    assert got.certain


async def test_a_real_server_that_takes_no_large_messages_says_so(protocol: str) -> None:
    """The default limits of grpc and aiohttp themselves, not a scripted answer."""
    async with OtlpReceiver(largest=100_000) as receiver:
        exporter = Exporter("e", receiver.endpoint(protocol), protocol=protocol)
        got = await send_once(exporter, encode_batch(change_spans(2000)))
        assert isinstance(got, Rejected)
        assert got.certain
        assert await send_once(exporter) == Accepted()


async def test_too_many_requests_without_a_delay_is_waited_for_over_http(
    sender: Sender, receiver: OtlpReceiver, protocol: str
) -> None:
    receiver.rules = [Rule(Answer(TOO_LARGE.code, 429, "quota"))]
    got = await sender.send(PAYLOAD, len(SPANS))
    if protocol == "HTTPProtobuf":
        assert isinstance(got, RetryLater)
        assert (got.delay, got.busy) == (None, True)
    else:
        assert isinstance(got, Rejected)
        assert not got.certain  # a quota, perhaps


async def test_partial_success_is_told(sender: Sender, receiver: OtlpReceiver) -> None:
    receiver.rules = [Rule(replace(FINE, rejected=4, message="too old\n"))]
    assert await sender.send(PAYLOAD, len(SPANS)) == Accepted(4, "too old")


async def test_a_partial_success_of_more_spans_than_were_sent_is_cut(
    sender: Sender, receiver: OtlpReceiver
) -> None:
    receiver.rules = [Rule(replace(FINE, rejected=10**6, message="x"))]
    assert await sender.send(PAYLOAD, len(SPANS)) == Accepted(30, "x")


async def test_a_secret_that_the_receiver_quotes_is_not_shown(
    receiver: OtlpReceiver, exporter: Exporter
) -> None:
    receiver.rules = [Rule(replace(UNKNOWN_CALLER, message="token Bearer s3cret is wrong"))]
    got = await send_once(replace(exporter, headers=(("authorization", "Bearer s3cret"),)))
    assert isinstance(got, Unauthenticated)
    assert "s3cret" not in got.reason
    assert "[redacted] is wrong" in got.reason


async def test_nobody_listens_and_then_somebody_does(
    sender: Sender, receiver: OtlpReceiver, protocol: str
) -> None:
    """The same sender finds the receiver again, on the same port, within seconds."""
    assert await sender.send(PAYLOAD, len(SPANS)) == Accepted()
    await receiver.stop()
    for _ in range(3):
        assert isinstance(await sender.send(PAYLOAD, len(SPANS)), RetryLater)
    await receiver.start()
    async with asyncio.timeout(5):
        while await sender.send(PAYLOAD, len(SPANS)) != Accepted():
            await asyncio.sleep(0.05)


async def test_no_answer_ends_at_the_timeout(receiver: OtlpReceiver, exporter: Exporter) -> None:
    receiver.rules = [Rule(replace(FINE, delay=30.0))]
    started = asyncio.get_running_loop().time()
    got = await send_once(replace(exporter, timeout=0.3))
    assert isinstance(got, RetryLater)
    assert not got.busy
    assert 0.25 < asyncio.get_running_loop().time() - started < 3


async def test_a_peer_that_accepts_and_says_nothing_ends_at_the_timeout(protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        endpoint = address if protocol == "GRPC" else f"http://{address}"
        got = await send_once(Exporter("e", endpoint, protocol=protocol, timeout=0.5))
        assert isinstance(got, RetryLater)


async def test_an_attempt_can_be_cancelled_at_once(receiver: OtlpReceiver, exporter: Exporter) -> None:
    receiver.rules = [Rule(replace(FINE, delay=30.0))]
    sender = open_sender(replace(exporter, timeout=20))
    started = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await sender.send(PAYLOAD, len(SPANS))
    await sender.close()
    assert asyncio.get_running_loop().time() - started < 2


async def test_closing_twice_and_sending_after_it_are_fine(sender: Sender) -> None:
    await sender.close()
    await sender.close()
    assert await sender.send(PAYLOAD, len(SPANS)) == Accepted()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> KeyPair:
    return authority.server("receiver", names=["localhost"], addresses=["127.0.0.1"])


@pytest.fixture
def ca(authority: Authority) -> bytes:
    return authority.files.certificate.read_bytes()


async def test_tls_with_the_right_authority(pair: KeyPair, ca: bytes, protocol: str) -> None:
    async with OtlpReceiver(certificate=pair) as receiver:
        exporter = Exporter("e", receiver.endpoint(protocol), protocol=protocol, insecure=False, ca=ca)
        assert await send_once(exporter) == Accepted()
        assert receiver.recording.requests[0].payload == PAYLOAD


async def test_tls_with_the_wrong_authority_sends_nothing(
    pair: KeyPair, protocol: str, tmp_path: Path
) -> None:
    other = Authority(tmp_path).files.certificate.read_bytes()
    async with OtlpReceiver(certificate=pair) as receiver:
        for ca in (other, b"", b"not a certificate"):
            exporter = Exporter("e", receiver.endpoint(protocol), protocol=protocol, insecure=False, ca=ca)
            assert isinstance(await send_once(exporter), RetryLater)
        assert not receiver.recording.requests


async def test_tls_without_verifying(authority: Authority, protocol: str) -> None:
    """The certificate names another host and comes from an authority that nobody knows."""
    pair = authority.server("elsewhere", names=["*.elsewhere.example"], addresses=[])
    async with OtlpReceiver(certificate=pair) as receiver:
        exporter = Exporter("e", receiver.endpoint(protocol), protocol=protocol, insecure=False, verify=False)
        assert await send_once(exporter) == Accepted()


async def test_tls_without_verifying_survives_a_new_certificate(authority: Authority, protocol: str) -> None:
    ports = free_ports(2)
    first = OtlpReceiver(
        grpc_port=ports[0],
        http_port=ports[1],
        certificate=authority.server("first", names=["first.example"], addresses=[]),
    )
    second = OtlpReceiver(
        grpc_port=ports[0],
        http_port=ports[1],
        certificate=authority.server("second", names=["second.example"], addresses=[]),
    )
    sender = open_sender(
        Exporter("e", first.endpoint(protocol), protocol=protocol, insecure=False, verify=False)
    )
    async with first:
        assert await sender.send(PAYLOAD, len(SPANS)) == Accepted()
    assert isinstance(await sender.send(PAYLOAD, len(SPANS)), RetryLater)
    async with second, asyncio.timeout(10):
        while await sender.send(PAYLOAD, len(SPANS)) != Accepted():
            await asyncio.sleep(0.05)
    await sender.close()


@pytest.fixture
def mutual(authority: Authority, pair: KeyPair) -> OtlpReceiver:
    """A receiver that wants to know by a certificate who sends."""
    return OtlpReceiver(certificate=pair, client_authority=authority.files.certificate)


def showing(client: KeyPair | None, receiver: OtlpReceiver, protocol: str, **options: Any) -> Exporter:
    """An exporter over TLS with this client certificate."""
    shown = {} if client is None else pem(client)
    endpoint = receiver.endpoint(protocol)
    return Exporter("e", endpoint, protocol=protocol, insecure=False, timeout=5.0, **shown, **options)


def pem(client: KeyPair) -> dict[str, Any]:
    return {"client_certificate": client.certificate.read_bytes(), "client_key": client.key.read_bytes()}


@pytest.mark.parametrize("verify", [True, False])
async def test_a_client_certificate_is_shown(
    authority: Authority, mutual: OtlpReceiver, ca: bytes, protocol: str, verify: bool
) -> None:
    client = authority.client("exporter", user="exporter")
    trust: dict[str, Any] = {"ca": ca} if verify else {"verify": False}
    async with mutual as receiver:
        assert await send_once(showing(client, receiver, protocol, **trust)) == Accepted()
        assert receiver.recording.requests[0].payload == PAYLOAD


async def test_without_a_known_client_certificate_nothing_is_sent_and_nothing_refused(
    mutual: OtlpReceiver, ca: bytes, protocol: str, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).client("stranger", user="exporter")
    async with mutual as receiver:
        for client in (None, stranger):
            assert isinstance(await send_once(showing(client, receiver, protocol, ca=ca)), RetryLater)
        assert not receiver.recording.requests


def test_a_client_certificate_that_cannot_be_used_is_refused_before_anything_is_sent(
    authority: Authority, protocol: str
) -> None:
    client, other = authority.client("one", user="one"), authority.client("two", user="two")
    endpoint = "localhost:4317" if protocol == "GRPC" else "https://localhost:4318"
    good = Exporter("e", endpoint, protocol=protocol, insecure=False, **pem(client))
    check_exporter(good)
    key = serialization.load_pem_private_key(good.client_key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    for changes, message in (
        ({"client_key": b""}, "the client key is missing"),
        ({"client_certificate": b""}, "the client certificate is missing"),
        ({"client_key": other.key.read_bytes()}, "cannot be used together: KEY_VALUES_MISMATCH"),
        ({"client_key": b"no key"}, "cannot be used together"),
        ({"client_certificate": b"no certificate"}, "cannot be used together"),
        ({"client_key": locked}, "cannot be used together"),
    ):
        with pytest.raises(UserError, match=message) as refused:
            check_exporter(replace(good, **changes))  # type: ignore[arg-type]
        assert "PRIVATE" not in str(refused.value)
    plain = replace(good, insecure=True, endpoint=endpoint.replace("https", "http"))
    with pytest.raises(UserError, match="needs TLS"):
        check_exporter(plain)


async def test_plain_text_to_a_receiver_that_wants_tls_is_no_refusal(pair: KeyPair, protocol: str) -> None:
    async with OtlpReceiver(certificate=pair) as receiver:
        endpoint = receiver.endpoint(protocol).replace("https:", "http:")
        got = await send_once(Exporter("e", endpoint, protocol=protocol, timeout=2))
        assert isinstance(got, RetryLater)
        assert not receiver.recording.requests


async def test_the_other_protocols_port_is_no_refusal(receiver: OtlpReceiver, protocol: str) -> None:
    """Nothing may be dropped because somebody mixed up 4317 and 4318."""
    port = receiver.http_port if protocol == "GRPC" else receiver.grpc_port
    endpoint = f"127.0.0.1:{port}" if protocol == "GRPC" else f"http://127.0.0.1:{port}"
    assert isinstance(await send_once(Exporter("e", endpoint, protocol=protocol, timeout=2)), RetryLater)
