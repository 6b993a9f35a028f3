"""Where spans of other components are taken: no stranger gets in by mistake, and TLS keeps the token of senders."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc import aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from controlplane.certificates import Authority
from kubeweft.app.foreign_spans import receiving_foreign
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Redaction
from kubeweft.model.redaction import Redactor
from kubeweft.settings import Settings, load
from kubeweft.sources.otlp.grpc_server import SERVICE
from kubeweft.store.interfaces import Batch

FREE = "127.0.0.1:0"


async def write(_: Batch) -> None:
    """Durable at once."""


def receiving(settings: Settings) -> Any:
    return receiving_foreign(settings, write, hiding=lambda: Redactor(Redaction(), b""), is_open=lambda: True)


@pytest.mark.parametrize("listen", ["otlp_listen", "otlp_listen_http"])
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "add --otlp-token-file, or --otlp-insecure-no-auth if everybody there may add spans"),
        ({"otlp_token_file": "token"}, "add --otlp-tls-cert and --otlp-tls-key, or --otlp-insecure-no-tls"),
        ({"otlp_insecure_no_tls": "true"}, "nobody would be asked who they are"),
        ({"otlp_tls_cert": "c", "otlp_tls_key": "k"}, "nobody would be asked who they are"),
        ({"otlp_insecure_no_auth": "true", "otlp_tls_cert": "c"}, "both a certificate and its key"),
        ({"otlp_insecure_no_auth": "true", "otlp_tls_cert": "c", "otlp_tls_key": "nowhere"}, "nowhere"),
    ],
)
async def test_strangers_are_let_in_nowhere_by_mistake(
    listen: str, more: dict[str, str], message: str
) -> None:
    settings = load(flags={listen: "0.0.0.0:0", **more}, file=None)
    with pytest.raises(UserError) as told:
        async with receiving(settings):
            pass
    assert message in str(told.value)


async def test_on_the_loopback_and_where_it_is_said_all_may_send(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    for flags in (
        {"otlp_listen": FREE, "otlp_listen_http": FREE},
        {"otlp_listen": "0.0.0.0:0", "otlp_insecure_no_auth": "true"},
        {"otlp_listen": "0.0.0.0:0", "otlp_token_file": str(token), "otlp_insecure_no_tls": "true"},
    ):
        async with receiving(load(flags=flags, file=None)) as listening:
            assert listening.grpc


async def test_with_a_certificate_both_protocols_speak_tls(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    authority = Authority(tmp_path)
    pair = authority.server("otlp", names=["localhost"], addresses=["127.0.0.1"])
    flags = {"otlp_listen": FREE, "otlp_listen_http": FREE, "otlp_token_file": str(token)}
    tls = {"otlp_tls_cert": str(pair.certificate), "otlp_tls_key": str(pair.key)}
    async with receiving(load(flags={**flags, **tls}, file=None)) as listening:
        credentials = grpc.ssl_channel_credentials(authority.files.certificate.read_bytes())
        async with aio.secure_channel(f"localhost:{listening.grpc}", credentials) as channel:
            export = channel.unary_unary(
                f"/{SERVICE}/Export",
                request_serializer=ExportTraceServiceRequest.SerializeToString,
                response_deserializer=ExportTraceServiceResponse.FromString,
            )
            bearer = (("authorization", "Bearer secret"),)
            assert await export(ExportTraceServiceRequest(), timeout=10, metadata=bearer) is not None
        trusted = ssl.create_default_context(cafile=str(authority.files.certificate))
        headers = {"Content-Type": "application/x-protobuf", "Authorization": "Bearer secret"}
        async with aiohttp.ClientSession(headers=headers) as session:
            url = f"https://localhost:{listening.http}/v1/traces"
            async with session.post(url, data=b"", ssl=trusted) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientError):
                await session.post(url.replace("https", "http"), data=b"")
