"""A recording OTLP receiver, gRPC and HTTP, that fails on demand.

In a test: ``async with OtlpReceiver() as receiver`` and then ``receiver.recording``, ``receiver.rules``, and
``stop``/``start`` for a receiver that is down and comes back on the same ports. As a program, for other processes:
``python -m otlp_receiver --grpc 127.0.0.1:4317 --http 127.0.0.1:4318 --file spans.jsonl``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import math
import signal
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import grpc
import grpc.aio
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from controlplane.certificates import KeyPair
from controlplane.ports import free_ports
from otlp_recording import ReceivedRequest, Recording, split, values
from otlp_script import FINE, INVALID, Answer, Rule

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_PROTOBUF = "application/x-protobuf"


class OtlpReceiver:
    """Ports are free ones unless given, and stay the same over ``stop`` and ``start``."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        grpc_port: int = 0,
        http_port: int = 0,
        certificate: KeyPair | None = None,
        client_authority: Path | None = None,
        file: TextIO | None = None,
        largest: int = 4 * 1024 * 1024,
    ) -> None:
        """With a ``certificate`` both protocols want TLS; each accepted span goes as a JSON line to ``file``.

        With a ``client_authority`` they also want a certificate of the client that this authority has signed.
        Messages over ``largest`` bytes are refused by the servers themselves.
        """
        first, second = free_ports(2)
        self.grpc_port, self.http_port = grpc_port or first, http_port or second
        self.recording = Recording()
        self.rules: list[Rule] = []
        self._host, self._certificate, self._file = host, certificate, file
        self._largest = largest
        self._client_authority = client_authority
        self._grpc: grpc.aio.Server | None = None
        self._http: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def endpoint(self, protocol: str) -> str:
        """The address as a plan's exporter has it."""
        if protocol == "GRPC":
            return f"{self._host}:{self.grpc_port}"
        return f"http{'s' if self._certificate else ''}://{self._host}:{self.http_port}"

    async def start(self) -> None:
        """Listen on both ports; OSError or RuntimeError if one is taken."""
        self._grpc = grpc.aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", self._largest)]
        )
        handler = grpc.unary_unary_rpc_method_handler(
            self._on_grpc, response_serializer=ExportTraceServiceResponse.SerializeToString
        )
        self._grpc.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, {"Export": handler}),)
        )
        address = f"{self._host}:{self.grpc_port}"
        if self._certificate:
            pair = (self._certificate.key.read_bytes(), self._certificate.certificate.read_bytes())
            authority = self._client_authority.read_bytes() if self._client_authority else None
            credentials = grpc.ssl_server_credentials([pair], authority, authority is not None)
            self._grpc.add_secure_port(address, credentials)
        else:
            self._grpc.add_insecure_port(address)
        await self._grpc.start()
        app = web.Application(client_max_size=self._largest)
        app.router.add_post("/v1/traces", self._on_http)
        self._http = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._http.setup()
        await web.TCPSite(self._http, self._host, self.http_port, ssl_context=self._tls()).start()

    async def stop(self) -> None:
        """Close both ports and all connections: from now on connecting is refused."""
        if self._grpc is not None:
            await self._grpc.stop(grace=None)
        if self._http is not None:
            encrypted = [c.transport for c in self._connections() if self._certificate and c.transport]
            await self._http.cleanup()
            for transport in encrypted:
                transport.abort()  # else it waits half a minute for the client to say goodbye
            await asyncio.sleep(0)
        self._grpc = self._http = None

    def _connections(self) -> list[RequestHandler]:
        server = self._http.server if self._http is not None else None
        return list(server.connections) if server is not None else []

    async def _judge(self, protocol: str, payload: bytes, headers: dict[str, str]) -> Answer:
        try:
            spans = list(split(payload))
        except DecodeError:
            return INVALID
        answer = next((a for rule in self.rules if (a := rule.answer_to(spans)) is not None), FINE)
        await asyncio.sleep(answer.delay)
        request = await self.recording.add(protocol, payload, headers=headers, accepted=answer.accepts)
        if self._file is not None and answer.accepts:
            _write(self._file, request)
        return answer

    async def _on_grpc(self, payload: bytes, context: Any) -> ExportTraceServiceResponse:
        headers = {key: str(value) for key, value in context.invocation_metadata() or ()}
        answer = await self._judge("GRPC", payload, headers)
        if not answer.accepts:
            context.set_trailing_metadata((("grpc-status-details-bin", _status(answer)),))
            await context.abort(answer.code, answer.message)
        return _response(answer)

    async def _on_http(self, request: web.Request) -> web.Response:
        payload = await request.read()
        answer = await self._judge(
            "HTTPProtobuf", payload, {k.lower(): v for k, v in request.headers.items()}
        )
        headers = {"Content-Type": _PROTOBUF}
        if answer.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(answer.retry_after))
        body = _response(answer).SerializeToString() if answer.accepts else _status(answer)
        return web.Response(status=answer.status, body=body, headers=headers)

    def _tls(self) -> ssl.SSLContext | None:
        if not self._certificate:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate.certificate, self._certificate.key)
        if self._client_authority:
            context.load_verify_locations(self._client_authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _response(answer: Answer) -> ExportTraceServiceResponse:
    response = ExportTraceServiceResponse()
    if answer.rejected:
        response.partial_success.rejected_spans = answer.rejected
        response.partial_success.error_message = answer.message
    return response


def _status(answer: Answer) -> bytes:
    status = Status(code=answer.code.value[0], message=answer.message)
    if answer.retry_after is not None:
        info = RetryInfo()
        info.retry_delay.FromNanoseconds(int(answer.retry_after * 1e9))
        detail = AnyMessage()
        detail.Pack(info)
        status.details.append(detail)
    return bytes(status.SerializeToString())


def _write(file: TextIO, request: ReceivedRequest) -> None:
    for span in request.spans:
        message = span.message
        line = {
            "trace_id": message.trace_id.hex(),
            "span_id": message.span_id.hex(),
            "parent_span_id": message.parent_span_id.hex(),
            "name": message.name,
            "start": message.start_time_unix_nano,
            "end": message.end_time_unix_nano,
            "error": message.status.message if message.status.code == 2 else "",
            "resource": span.resource,
            "attributes": span.attributes,
            "links": [
                {"trace_id": k.trace_id.hex(), "span_id": k.span_id.hex(), "attributes": values(k.attributes)}
                for k in message.links
            ],
            "protocol": request.protocol,
            "bytes": base64.b64encode(span.raw).decode(),
        }
        file.write(json.dumps(line) + "\n")
    file.flush()


async def _serve(receiver: OtlpReceiver) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with receiver:
        print(f"ready grpc={receiver.endpoint('GRPC')} http={receiver.endpoint('HTTPProtobuf')}", flush=True)
        await stopped.wait()


def main() -> None:
    """Receive until SIGTERM; prints one ``ready`` line with both addresses."""
    parser = argparse.ArgumentParser(prog="otlp_receiver", description="a recording OTLP receiver")
    parser.add_argument("--grpc", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument(
        "--http", default="127.0.0.1:0", metavar="HOST:PORT", help="the host is that of --grpc"
    )
    parser.add_argument("--file", type=Path, required=True, help="a JSON line for each span is appended here")
    arguments = parser.parse_args()
    host, _, grpc_port = arguments.grpc.rpartition(":")
    http_port = arguments.http.rpartition(":")[2]
    with arguments.file.open("a", encoding="utf-8") as file:
        receiver = OtlpReceiver(host=host, grpc_port=int(grpc_port), http_port=int(http_port), file=file)
        asyncio.run(_serve(receiver))


if __name__ == "__main__":
    main()
