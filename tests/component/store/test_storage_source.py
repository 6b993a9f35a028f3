"""Jaeger's storage API over a real connection: what fails on the way, and what is said of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from controlplane.ports import free_ports
from kubeweft.control.admission.certificates import make_certificate
from kubeweft.model.errors import UserError
from kubeweft.model.windows import NANOSECONDS
from kubeweft.otlp import jaeger_storage as api
from kubeweft.otlp.encoding import encode_batch
from kubeweft.runtime.stopping import Stopped
from kubeweft.store.interfaces import ObjectQuery
from kubeweft.store.opening import open_reader
from kubeweft.store.remote.sources import StoreAway
from store_samples import MINUTE, NINE, fact, key_of, object_span, trace_of

HOUR = 3600 * NANOSECONDS
Answer = Callable[[api.Message, Any], Iterator[TracesData]]


@dataclass
class Storage:
    """A server of which a test decides what it answers; it notes the requests, and the tokens that came with them."""

    port: int = 0
    answer: Answer = lambda _, __: iter(())
    services: tuple[str, ...] = ("kubeweft-object", "kubeweft-request")
    asked: list[api.Message] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def traces(self, request: api.Message, context: Any) -> Iterator[TracesData]:
        self.asked.append(request)
        self.tokens += [value for key, value in context.invocation_metadata() if key == "authorization"]
        yield from self.answer(request, context)

    def handlers(self) -> grpc.GenericRpcHandler:
        made = {
            method.name: grpc.unary_stream_rpc_method_handler(
                self.traces,
                request_deserializer=method.request.FromString,
                response_serializer=TracesData.SerializeToString,
            )
            for method in (api.GET_TRACES, api.FIND_TRACES)
        }
        made["GetServices"] = grpc.unary_unary_rpc_method_handler(
            lambda _, __: api.GetServicesResponse(services=self.services),
            request_deserializer=api.GetServicesRequest.FromString,
            response_serializer=api.GetServicesResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(api.TRACE_READER, made)


@contextlib.contextmanager
def serving(storage: Storage, credentials: Any = None) -> Iterator[Storage]:
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((storage.handlers(),))
        if credentials is None:
            storage.port = server.add_insecure_port("127.0.0.1:0")
        else:
            storage.port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield storage
        finally:
            server.stop(0).wait()


@pytest.fixture
def storage() -> Iterator[Storage]:
    with serving(Storage()) as one:
        yield one


def traces(*spans: Any) -> TracesData:
    message: TracesData = TracesData.FromString(encode_batch(spans))
    return message


SPANS = (object_span(key_of()), fact(key_of(), 1))


def test_a_trace_may_come_in_several_chunks(storage: Storage) -> None:
    storage.answer = lambda _, __: iter([traces(span) for span in SPANS])
    with open_reader(storage.address) as reader:
        assert reader.spans_of([trace_of(key_of())]) == list(SPANS)
    (asked,) = storage.asked
    assert [one.trace_id for one in asked.query] == [trace_of(key_of())]


def test_a_storage_that_is_away_for_a_moment_is_asked_again(storage: Storage) -> None:
    times = iter(range(10))

    def answer(_: api.Message, context: Any) -> Iterator[TracesData]:
        if next(times) < 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        yield traces(*SPANS)

    storage.answer = answer
    with open_reader(storage.address) as reader:
        assert reader.spans_of([trace_of(key_of())]) == list(SPANS)
    assert len(storage.asked) == 3


def test_a_storage_that_does_not_exist_is_told() -> None:
    (port,) = free_ports(1)
    with (
        open_reader(f"grpc://127.0.0.1:{port}?timeout=5") as reader,
        pytest.raises(StoreAway, match=rf"jaeger-storage at 127.0.0.1:{port}: cannot be reached .*wants TLS"),
    ):
        reader.spans_of([trace_of(key_of())])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (grpc.StatusCode.UNIMPLEMENTED, "does not offer /jaeger.storage.v2.TraceReader/GetTraces"),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            r"refuses us \(why\): give a bearer token with \?token-file=FILE",
        ),
        (grpc.StatusCode.UNAUTHENTICATED, "refuses us"),
        (grpc.StatusCode.INTERNAL, r"GetTraces failed \(INTERNAL: why\)"),
    ],
)
def test_what_a_storage_refuses_is_told_with_what_to_do(
    storage: Storage, code: grpc.StatusCode, said: str
) -> None:
    def answer(_: api.Message, context: Any) -> Iterator[TracesData]:
        context.abort(code, "why")
        yield traces(*SPANS)

    storage.answer = answer
    with open_reader(storage.address) as reader, pytest.raises(StoreAway, match=said):
        reader.spans_of([trace_of(key_of())])


def test_what_is_wrong_with_the_question_is_no_fault_of_the_storage(storage: Storage) -> None:
    def answer(_: api.Message, context: Any) -> Iterator[TracesData]:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "narrow it")
        yield traces(*SPANS)

    storage.answer = answer
    with open_reader(storage.address) as reader, pytest.raises(UserError, match="narrow it"):
        reader.spans_of([trace_of(key_of())])


def test_a_storage_that_does_not_answer_in_time_is_told(storage: Storage) -> None:
    ended = threading.Event()

    def answer(_: api.Message, __: Any) -> Iterator[TracesData]:
        ended.wait(20)
        yield traces(*SPANS)

    storage.answer = answer
    began = time.monotonic()
    with (
        open_reader(f"{storage.address}?timeout=1") as reader,
        pytest.raises(Stopped, match=r"no answer within 1 s: narrow the time, or allow more with \?timeout="),
    ):
        reader.spans_of([trace_of(key_of())])
    ended.set()
    assert time.monotonic() - began < 10


def test_a_message_larger_than_allowed_is_told(storage: Storage) -> None:
    body = b"x" * 60_000
    storage.answer = lambda _, __: iter([traces(*[fact(key_of(), n, body=body) for n in range(1, 40)])])
    too_large = pytest.raises(UserError, match=r"the answer is too large .* \?max-mib=1")
    with open_reader(f"{storage.address}?max-mib=1") as reader, too_large:
        reader.spans_of([trace_of(key_of())])
    with open_reader(f"{storage.address}?max-mib=5") as reader:
        assert len(reader.spans_of([trace_of(key_of())])) == 39


def test_many_messages_are_not_taken_without_end(storage: Storage) -> None:
    ended = threading.Event()

    def answer(_: api.Message, context: Any) -> Iterator[TracesData]:
        context.add_callback(ended.set)
        while context.is_active():
            yield traces(fact(key_of(), 1, body=b"x" * 60_000))

    storage.answer = answer
    too_large = pytest.raises(UserError, match=r"the answer is too large: .* \?max-mib=1")
    with open_reader(f"{storage.address}?max-mib=1") as reader, too_large:
        reader.spans_of([trace_of(key_of())])
    assert ended.wait(5), "the call is ended"


def test_traces_that_are_too_much_at_once_are_asked_for_a_few_at_a_time(storage: Storage) -> None:
    keys = [key_of(f"web-{number}") for number in range(6)]

    def answer(request: api.Message, _: Any) -> Iterator[TracesData]:
        for one in request.query:
            for key in (key for key in keys if trace_of(key) == one.trace_id):
                yield traces(object_span(key), *[fact(key, n, body=b"x" * 60_000) for n in range(1, 8)])

    storage.answer = answer
    with open_reader(f"{storage.address}?max-mib=1") as reader:
        spans = reader.spans_of([trace_of(key) for key in keys])
    assert {span.key for span in spans} == set(keys)
    assert max(len(asked.query) for asked in storage.asked[1:]) < 6


def test_the_question_of_a_search(storage: Storage) -> None:
    storage.answer = lambda _, __: iter([traces(*SPANS)])
    with open_reader(f"{storage.address}?depth=77") as reader:
        [found] = reader.find_objects(
            ObjectQuery(
                cluster="prod",
                resources=(("apps", "deployments"),),
                name="we*",
                since=NINE,
                until=NINE + 2 * MINUTE,
            )
        )
    assert found.key == key_of()
    query = storage.asked[0].query
    assert (query.service_name, query.operation_name, query.search_depth) == ("kubeweft-object", "", 77)
    assert {pair.key: pair.value.string_value for pair in query.attributes} == {
        "k8s.cluster.name": "prod",
        "kubeweft.object.group": "apps",
        "kubeweft.object.resource": "deployments",
    }
    assert query.start_time_min.ToNanoseconds() == NINE - 1800 * NANOSECONDS
    assert query.start_time_max.ToNanoseconds() == NINE + 2 * MINUTE


def test_a_search_that_another_kubeweft_cannot_answer_is_told_in_its_words(storage: Storage) -> None:
    """It answers with a span of no object that failed, because Jaeger shows errors of a storage to nobody."""
    storage.services = ("tree", "stored")
    message = TracesData()
    span = (
        message.resource_spans.add()
        .scope_spans.add()
        .spans.add(trace_id=b"K\0\xff" + b"e" * 13, span_id=b"e" * 8)
    )
    span.status.message = "searching would read too much: narrow it"
    storage.answer = lambda _, __: iter([message])
    with (
        open_reader(storage.address) as reader,
        pytest.raises(UserError, match="searching would read too much"),
    ):
        reader.find_objects(ObjectQuery(namespace="shop"))
    assert storage.asked[0].query.service_name == "stored"


def test_tls_with_a_ca_of_ones_own_and_a_token(tmp_path: Path) -> None:
    made = make_certificate(["localhost"], lifetime=HOUR, now=time.time_ns())
    (tmp_path / "ca.pem").write_bytes(made.authority)
    (tmp_path / "token").write_text("secret\n")
    credentials = grpc.ssl_server_credentials([(_pem(made.key), made.chain)])
    storage = Storage(answer=lambda _, __: iter([traces(*SPANS)]))
    with serving(storage, credentials):
        address = f"grpcs://localhost:{storage.port}?timeout=5"
        with open_reader(f"{address}&ca={tmp_path / 'ca.pem'}&token-file={tmp_path / 'token'}") as reader:
            assert reader.spans_of([trace_of(key_of())]) == list(SPANS)
        assert storage.tokens == ["Bearer secret"]
        with open_reader(address) as reader, pytest.raises(StoreAway, match=r"cannot be reached.*speaks TLS"):
            reader.spans_of([trace_of(key_of())])  # signed by nobody whom this machine trusts


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
