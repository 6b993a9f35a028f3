"""The query API over a real connection: what servers answer instead of traces, and what is said of it."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from controlplane.ports import free_ports
from kubeweft.model.errors import UserError
from kubeweft.otlp.encoding import encode_batch
from kubeweft.runtime.stopping import Stopped
from kubeweft.store.interfaces import ObjectQuery
from kubeweft.store.opening import open_reader
from kubeweft.store.remote.sources import StoreAway
from store_samples import MINUTE, NINE, fact, key_of, object_span, trace_of

SPANS = (object_span(key_of()), fact(key_of(), 1))
Reply = tuple[int, dict[str, str], bytes]


class Server(ThreadingHTTPServer):
    """Answers by a function from path to reply; notes what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Callable[[str], Reply] = lambda _: ok(answer(*SPANS))
        self.services: list[str] | None = ["kubeweft-object"]
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []

    def handle_error(self, *_: Any) -> None:
        """Nothing: who does not want all of an answer goes away."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/base"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/base/api/v3/services" and self.server.services is not None:
            status, headers, body = ok({"services": self.server.services})
        else:
            token = self.headers.get("Authorization", "")
            self.server.asked.append((url.path, parse_qs(url.query), token))
            status, headers, body = self.server.reply(url.path)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: the test knows."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def answer(*spans: Any) -> dict[str, Any]:
    document = MessageToDict(TracesData.FromString(encode_batch(spans)))
    for group in document["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64decode(span[name]).hex()
    return {"result": document}


def ok(document: Any) -> Reply:
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()


def error(status: int, message: str) -> Reply:
    return status, {}, json.dumps({"error": {"httpCode": status, "message": message}}).encode()


def test_one_trace_and_how_it_is_asked_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    with open_reader(f"{server.address}?token-file={tmp_path / 'token'}") as reader:
        assert reader.spans_of([trace_of(key_of())]) == list(SPANS)
    [(path, parameters, token)] = server.asked
    assert path == f"/base/api/v3/traces/{trace_of(key_of()).hex()}"
    assert parameters["raw_traces"] == ["true"]
    assert token == "Bearer secret"


def test_how_a_search_is_asked_for(server: Server) -> None:
    with open_reader(f"{server.address}?depth=7") as reader:
        [found] = reader.find_objects(
            ObjectQuery(cluster="prod", name="web", since=NINE, until=NINE + 2 * MINUTE)
        )
    assert found.key == key_of()
    [(path, asked, _)] = server.asked
    assert path == "/base/api/v3/traces"
    for older, newer in (
        ("service_name", "serviceName"),
        ("start_time_min", "startTimeMin"),
        ("start_time_max", "startTimeMax"),
        ("num_traces", "searchDepth"),
    ):
        assert asked[f"query.{older}"] == asked[f"query.{newer}"]
    assert asked["query.num_traces"] == ["7"]
    assert asked["query.start_time_max"] == ["2026-11-21T09:02:00.000000000Z"]
    assert json.loads(asked["query.attributes"][0]) == {
        "k8s.cluster.name": "prod",
        "kubeweft.object.name": "web",
    }


def test_a_trace_that_is_not_there(server: Server) -> None:
    server.reply = lambda _: error(404, "No traces found")
    with open_reader(server.address) as reader:
        assert reader.spans_of([trace_of(key_of())]) == []
        assert reader.window_of(trace_of(key_of())) is None


def test_an_answer_may_be_compressed_or_in_lines(server: Server) -> None:
    packed = gzip.compress(json.dumps(answer(*SPANS)).encode())
    lines = b"\n".join(json.dumps(answer(span)).encode() for span in SPANS)
    for reply in ((200, {"Content-Encoding": "gzip"}, packed), (200, {}, lines)):
        server.reply = lambda _, reply=reply: reply  # type: ignore[misc]  # bound now
        with open_reader(server.address) as reader:
            assert reader.spans_of([trace_of(key_of())]) == list(SPANS)


def test_a_server_that_is_away_for_a_moment_is_asked_again(server: Server) -> None:
    replies = iter([error(503, "restarting"), error(502, "restarting"), ok(answer(*SPANS))])
    server.reply = lambda _: next(replies)
    with open_reader(server.address) as reader:
        assert reader.spans_of([trace_of(key_of())]) == list(SPANS)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            (200, {}, b"<html>sign in</html>"),
            "the answer is no JSON that we know: is it the address of a Jaeger UI",
        ),
        ((302, {"Location": "http://127.0.0.1:1/login"}, b""), "HTTP 302"),
        (error(401, "who are you"), r"refuses us: give a bearer token with \?token-file=FILE"),
        (error(403, "no"), "refuses us"),
        (error(404, "404 page"), "no query API at this path .HTTP 404"),
        ((404, {}, b"404 page not found"), "does the address lack a base path"),
        ((404, {}, b"<h1>404 Not Found</h1>"), "does the address lack a base path"),
        ((200, {"Content-Length": "9"}, b"{}"), "no whole HTTP answer"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b"[]")[:-9]), "cut off"),
        ((200, {}, b"1\n2\n"), "no OpenTelemetry trace"),
        (ok({"result": None}), "no OpenTelemetry trace"),
        (error(503, "too busy"), r"cannot be reached \(HTTP 503: .*too busy"),
        (error(500, "it broke"), "HTTP 500: .*it broke"),
        (
            ok({"result": {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x"}]}]}]}}),
            "no OpenTelemetry trace",
        ),
        (ok({"result": {"resourceSpans": "none"}}), "no OpenTelemetry trace"),
        (ok(["no", "object"]), "no OpenTelemetry trace"),
    ],
)
def test_what_else_a_server_answers_is_told_in_clear_words(server: Server, reply: Reply, said: str) -> None:
    server.reply = lambda _: reply
    with open_reader(server.address) as reader, pytest.raises(StoreAway, match=said) as told:
        reader.spans_of([trace_of(key_of())])
    assert str(told.value).startswith(f"the query API at {server.address}: ")


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_too_large_is_told_and_not_kept(server: Server, packed: bool) -> None:
    body = b"[" + b" " * 3 * 1024 * 1024 + b"]"
    server.reply = lambda _: (
        200,
        {"Content-Encoding": "gzip"} if packed else {},
        gzip.compress(body) if packed else body,
    )
    too_large = pytest.raises(UserError, match="larger than 1 MiB")
    with open_reader(f"{server.address}?max-mib=1") as reader, too_large:
        reader.spans_of([trace_of(key_of())])


def test_a_search_for_more_traces_than_the_store_may_hold_is_asked_again_for_fewer(server: Server) -> None:
    def limited(_: str) -> Reply:
        if int(server.asked[-1][1]["query.num_traces"][0]) > 100:
            return error(500, "search depth must be greater than 0 and less than max traces")
        return ok(answer(*SPANS))

    server.reply = limited
    with open_reader(f"{server.address}?depth=400") as reader:
        [found] = reader.find_objects(ObjectQuery(since=NINE, until=NINE + MINUTE))
    assert found.key == key_of()
    assert [asked["query.num_traces"] for _, asked, _ in server.asked] == [["400"], ["50"]]


def test_a_server_that_does_not_answer_in_time_is_told(server: Server) -> None:
    ended = threading.Event()

    def slow(_: str) -> Reply:
        ended.wait(20)
        return ok(answer(*SPANS))

    server.reply = slow
    began = time.monotonic()
    with (
        open_reader(f"{server.address}?timeout=1") as reader,
        pytest.raises(Stopped, match="no answer within 1 s"),
    ):
        reader.spans_of([trace_of(key_of())])
    ended.set()
    assert time.monotonic() - began < 10


def test_a_server_that_does_not_exist_is_told() -> None:
    (port,) = free_ports(1)
    with (
        open_reader(f"http://127.0.0.1:{port}") as reader,
        pytest.raises(StoreAway, match="cannot be reached"),
    ):
        reader.spans_of([trace_of(key_of())])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((404, {}, b"404 page not found"), "does the address lack a base path"),
        (ok({"services": 5}), "no JSON that we know"),
        (ok(["a"]), "no JSON that we know"),
    ],
)
def test_what_is_no_list_of_services_is_told(server: Server, reply: Reply, said: str) -> None:
    server.services, server.reply = None, lambda _: reply
    with open_reader(server.address) as reader, pytest.raises(StoreAway, match=said):
        reader.find_objects(ObjectQuery(since=NINE, until=NINE + MINUTE))


def test_an_address_with_a_space_in_it_is_told() -> None:
    with (
        open_reader("http://127.0.0.1:1/a b") as reader,
        pytest.raises(StoreAway, match="this is no address"),
    ):
        reader.clusters()


def test_what_is_no_http_is_told() -> None:
    with (
        _speaking(b"SSH-2.0-OpenSSH_9.6\r\n") as address,
        open_reader(address) as reader,
        pytest.raises(StoreAway, match=r"no whole HTTP answer.*SSH-2\.0"),
    ):
        reader.spans_of([trace_of(key_of())])


def test_a_server_that_answers_a_byte_at_a_time_is_not_waited_for_without_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    began = time.monotonic()
    with (
        _speaking(head, dripping=True) as address,
        open_reader(f"{address}?timeout=1") as reader,
        pytest.raises(Stopped, match="no answer within 1 s"),
    ):
        reader.spans_of([trace_of(key_of())])
    assert time.monotonic() - began < 5


@contextmanager
def _speaking(said: bytes, *, dripping: bool = False) -> Iterator[str]:
    """A server that says this to whoever comes; then, if it drips, a blank each tenth of a second."""
    ended = threading.Event()

    class Speaking(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(said)
            with suppress(OSError):  # who has waited long enough goes away
                while dripping and not ended.wait(0.1):
                    self.request.sendall(b" ")

    with ThreadingTCPServer(("127.0.0.1", 0), Speaking) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        ended.set()
        server.shutdown()
        thread.join()
