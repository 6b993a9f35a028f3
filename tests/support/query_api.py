"""The query API over a real connection on the loopback, and answers that a test decides."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from kubeweft.display.answering.contract import DisplayedSpan, DisplayedTrace, TraceQuestion, TraceSummary
from kubeweft.display.serving.dependencies import TypeLink
from kubeweft.display.serving.http.application import AnswersFor, build_application, everybody
from kubeweft.display.serving.http.describing import QueryAnswers
from kubeweft.display.serving.http.schemas import SCHEMAS
from kubeweft.display.serving.http.server import QueryServer
from kubeweft.display.serving.working import WorkLimits, Workshop
from kubeweft.display.tree.trees import FOREVER, Node, Tree, Truncation
from kubeweft.model.errors import UserError
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from span_builders import at, key

TRACE_ID = bytes.fromhex("4b0801") + bytes(range(13))
OTHER_ID = bytes.fromhex("4b0802") + bytes(range(13))
ROOT_ID = bytes.fromhex("00000000000000a1")


def tree(*, span_id: bytes = ROOT_ID, truncated: tuple[Truncation, ...] = ()) -> Tree:
    """One Deployment to which nothing happened."""
    demo = key("deployments", "demo")
    start = at("10:00:00")
    span = Span(TRACE_ID, span_id, b"", "object", demo, str(demo), start, start + DEFAULT_WINDOW, {})
    root = Node(key=demo, kind="Deployment", span=span, start=start, end=span.end, windows=())
    return Tree(root=root, truncated=truncated)


def displayed(number: int, *, parent: bytes = ROOT_ID, **changed: Any) -> DisplayedSpan:
    """A span of a trace; number 0 is its root."""
    start = at("10:00:00") + number * 1_000_000_000
    usual: dict[str, Any] = {
        "span_id": (0xA1 + number).to_bytes(8, "big"),
        "parent_span_id": parent if number else b"",
        "service": "request" if number else "Deployment",
        "operation": f"update {number}",
        "start": start,
        "end": start + 2_500_000,
        "attributes": {"kubeweft.request.verb": "update"},
    }
    return DisplayedSpan(**(usual | changed))


def trace_of(spans: Iterable[DisplayedSpan], *, trace_id: bytes = TRACE_ID, **shape: Any) -> DisplayedTrace:
    """A trace with these spans."""
    return DisplayedTrace(trace_id, tree(**shape), iter(spans))


@dataclass
class FixedAnswers:
    """Gives what it is told to, and remembers what it was asked, by which thread it was asked first."""

    traces: Mapping[bytes, Callable[[], Iterable[DisplayedSpan]]] = field(default_factory=dict)
    names: Sequence[str] = ("tree", "tree ancestors", "stored")
    asked: list[Any] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def services(self) -> list[str]:
        self._note("services")
        return list(self.names)

    def operations(self, service: str) -> list[str]:
        self._note(("operations", service))
        return ["demo", "prod"]

    def find(self, question: TraceQuestion) -> Iterator[DisplayedTrace]:
        self._note(question)
        for trace_id, spans in self.traces.items():
            yield trace_of(spans(), trace_id=trace_id)

    def summaries(self, question: TraceQuestion) -> Iterator[TraceSummary]:
        self._note(question)
        for trace_id in self.traces:
            services = {"request": (3, 1), "Deployment": (1, 0)}
            yield TraceSummary(trace_id, "Deployment", "demo", at("10:00:00"), at("10:30:00"), 4, services)

    def open(self, trace_id: bytes, *, since: int = 0, until: int = FOREVER) -> DisplayedTrace | None:
        self._note(("open", trace_id, since, until))
        spans = self.traces.get(trace_id)
        return None if spans is None else trace_of(spans(), trace_id=trace_id)

    def locate(self, **wanted: Any) -> bytes:
        self._note(wanted)
        if wanted["name"] != "demo":
            raise UserError(f"nothing is stored about {wanted['name']}: did you mean demo?")
        return TRACE_ID

    def dependencies(self, *, since: int, until: int) -> list[TypeLink]:
        self._note(("dependencies", since, until))
        return [TypeLink("Deployment", "ReplicaSet", 2)]

    def _note(self, question: Any) -> None:
        self.asked.append(question)
        self.threads.add(threading.current_thread().name)


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        import orjson

        return orjson.loads(self.body)


class Client:
    """Asks one server."""

    def __init__(self, session: aiohttp.ClientSession, server: QueryServer) -> None:
        self.session, self.server = session, server

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Reply:
        """One request; underscores in header names stand for hyphens, and redirects are not followed."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, path, headers=named, allow_redirects=False) as response:
            body = await response.read()
            return Reply(response.status, response.headers.copy(), body)

    @property
    def port(self) -> int:
        return self.server.port


@asynccontextmanager
async def query_api(
    answers: QueryAnswers | None = None,
    *,
    answers_for: AnswersFor | None = None,
    limits: WorkLimits | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """A server that gives these answers, and a client; ``options`` as for ``build_application``."""
    options.setdefault("now", lambda: at("12:00:00"))
    wanted = answers_for or everybody(answers or FixedAnswers())
    workshop = Workshop(limits)
    server = QueryServer(build_application(wanted, workshop=workshop, **options), grace=0.2)
    await server.start("127.0.0.1", 0)
    try:
        timeout = aiohttp.ClientTimeout(total=30)
        base = f"http://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession(base, timeout=timeout) as session:
            yield Client(session, server)
    finally:
        await server.close()
        workshop.close()


def check_shape(value: Any, name: str) -> None:
    """Fail unless a value has the shape that the description of the API gives under this name, no more and no less."""
    import jsonschema

    schema = _strict({**SCHEMAS[name], "components": {"schemas": dict(SCHEMAS)}})
    jsonschema.Draft202012Validator(schema).validate(value)


def _strict(schema: Any) -> Any:
    """The same schema, refusing properties that it does not name."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    strict = {name: _strict(value) for name, value in schema.items()}
    if strict.get("type") == "object" and "properties" in strict and "required" in strict:
        strict["additionalProperties"] = False
    return strict
