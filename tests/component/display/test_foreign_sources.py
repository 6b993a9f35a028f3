"""Jaeger and Tempo as sources of spans, against servers that answer as recorded ones did, and that misbehave."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from kubeweft.display.extensions.configuring import parse_extensions, sources_of
from kubeweft.display.extensions.joining import Extensions, ForeignLimits
from kubeweft.display.extensions.sources import ForeignJoin, ForeignQuestion, ForeignSource, SourceFailed
from kubeweft.display.extensions.tempo import query_for
from kubeweft.display.reading.assembling import assemble
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import Tree, facts_of
from kubeweft.display.words.left_out_wording import words_of
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Redaction
from kubeweft.model.redaction import Redactor
from memory_reader import MemoryReader
from span_builders import at, key, request, uid, weave

POD = key("pods", "web-1")
HIDING = Redactor(Redaction(), b"")
TRACE, SERVER, CHILD = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
START = at("10:00:01")
DAY = 86_400 * 10**9
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
Answers = dict[str, Any]
NO_HTTP = "what another protocol says"


class FakeApi:
    """Answers paths with documents, or with what a function of the query gives; remembers what was asked."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                api.asked.append((parts.path, query, dict(self.headers)))
                answer = api.answers.get(parts.path)
                if callable(answer):
                    answer = answer(query)
                if answer is None:
                    self.send_error(404)
                    return
                if answer is NO_HTTP:
                    self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
                    return
                if isinstance(answer, int):
                    self.send_response(answer)
                    self.send_header("Location", "http://127.0.0.1:1/")
                    self.end_headers()
                    return
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Encoding", "gzip")
                self.end_headers()
                with contextlib.suppress(OSError):  # whoever asked may have gone
                    self.wfile.write(gzip.compress(body))

            def log_message(self, *_: object) -> None:
                """Nothing: the test knows what it asked."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


Serve = Callable[[Answers], FakeApi]


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[FakeApi] = []

    def start(answers: Answers) -> FakeApi:
        started.append(FakeApi(answers))
        return started[-1]

    yield start
    for api in started:
        api.close()


def source(api: FakeApi, **more: Any) -> ForeignSource:
    settings = parse_extensions({"sources": [{"url": api.url, **more}]}, "test")
    return sources_of(settings, hiding=HIDING, where="test")[0]


def join(
    value: str, *, attribute: str = "audit-id", since: int = START, until: int = START + 10**9
) -> ForeignJoin:
    return ForeignJoin(attribute, value, since, until)


def question(**more: Any) -> ForeignQuestion:
    asked: dict[str, Any] = {
        "joins": [join("a")],
        "most_traces": 10,
        "most_spans": 100,
        "until_when": time.monotonic() + 5,
    }
    return ForeignQuestion(**{**asked, **more})


def jaeger_trace(audit_id: str = "a") -> Answers:
    """As Jaeger 2.20 answers, shortened to what matters."""
    micros = START // 1000
    return {
        "traceID": TRACE,
        "spans": [
            {
                "traceID": TRACE,
                "spanID": SERVER,
                "operationName": "POST /api/v1/namespaces/{:namespace}/pods",
                "references": [],
                "startTime": micros,
                "duration": 12_000,
                "tags": [
                    {"key": "audit-id", "type": "string", "value": audit_id},
                    {"key": "span.kind", "type": "string", "value": "server"},
                    {"key": "http.response.status_code", "type": "int64", "value": 201},
                    {"key": "note", "type": "string", "value": f"token {TOKEN}"},
                ],
                "logs": [],
                "processID": "p1",
                "warnings": None,
            },
            {
                "traceID": TRACE,
                "spanID": CHILD,
                "operationName": "etcdserverpb.KV/Txn",
                "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": SERVER}],
                "startTime": micros + 2_000,
                "duration": 3_000,
                "tags": [
                    {"key": "error", "type": "bool", "value": True},
                    {"key": "otel.status_description", "type": "string", "value": "no leader"},
                ],
                "logs": [],
                "processID": "p1",
                "warnings": None,
            },
            {
                "traceID": TRACE,
                "spanID": "1111111111111111",
                "operationName": "create",
                "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": SERVER}],
                "startTime": micros,
                "duration": 1,
                "tags": [],
                "processID": "p2",
            },
        ],
        "processes": {
            "p1": {
                "serviceName": "apiserver",
                "tags": [{"key": "host", "type": "string", "value": "node-1"}],
            },
            "p2": {"serviceName": "kubeweft-request", "tags": []},
        },
    }


def jaeger(trace: Answers | None = None) -> Answers:
    found = {"data": [trace or jaeger_trace()], "errors": None}
    return {"/api/services": {"data": ["apiserver", "kubeweft-request"]}, "/api/traces": found}


def tempo(*, path: str = "/api/v2/traces/") -> Answers:
    """As Tempo 2.8 answers: IDs are base64 in a trace, hexadecimal without leading zeros in a search."""

    def based(text: str) -> str:
        return base64.b64encode(bytes.fromhex(text)).decode()

    def text(name: str, value: str) -> Answers:
        return {"key": name, "value": {"stringValue": value}}

    spans = [
        {
            "traceId": based(TRACE),
            "spanId": based(SERVER),
            "name": "POST /api/v1/namespaces/{:namespace}/pods",
            "kind": "SPAN_KIND_SERVER",
            "startTimeUnixNano": str(START),
            "endTimeUnixNano": str(START + 12_000_000),
            "attributes": [
                text("audit-id", "a"),
                {"key": "http.response.status_code", "value": {"intValue": "201"}},
                text("note", f"token {TOKEN}"),
            ],
            "status": {},
        },
        {
            "traceId": based(TRACE),
            "spanId": based(CHILD),
            "parentSpanId": based(SERVER),
            "name": "etcdserverpb.KV/Txn",
            "startTimeUnixNano": str(START + 2_000_000),
            "endTimeUnixNano": str(START + 5_000_000),
            "status": {"code": "STATUS_CODE_ERROR", "message": "no leader"},
        },
    ]
    resource = {"attributes": [text("service.name", "apiserver"), text("host", "node-1")]}
    groups = [{"resource": resource, "scopeSpans": [{"spans": spans}]}]
    search = {
        "traces": [
            {"traceID": TRACE.lstrip("0"), "rootServiceName": "apiserver", "startTimeUnixNano": str(START)}
        ]
    }
    trace = {"trace": {"resourceSpans": groups}} if "v2" in path else {"batches": groups}
    return {"/api/search": search, f"{path}{TRACE}": trace}


@pytest.mark.parametrize(
    ("kind", "answers"), [("jaeger", jaeger()), ("tempo", tempo()), ("tempo", tempo(path="/api/traces/"))]
)
def test_both_give_the_same_spans(serve: Serve, kind: str, answers: Answers) -> None:
    found = source(serve(answers), type=kind).find(question())
    server, child = sorted(found.spans, key=lambda span: span.start)
    assert (server.trace_id.hex(), server.span_id.hex(), server.parent_span_id) == (TRACE, SERVER, b"")
    assert (server.service, server.kind, server.start, server.end) == (
        "apiserver",
        2,
        START,
        START + 12_000_000,
    )
    assert server.attributes == {"audit-id": "a", "http.response.status_code": 201, "note": "token ***"}
    assert server.resource == {"host": "node-1"}
    assert (child.parent_span_id.hex(), child.name, child.error) == (
        SERVER,
        "etcdserverpb.KV/Txn",
        "no leader",
    )


def test_what_jaeger_is_asked(serve: Serve) -> None:
    api = serve(jaeger())
    source(api, type="jaeger", services=["apiserver"]).find(question())
    [(path, query, _)] = api.asked
    assert path == "/api/traces"
    assert (query["service"], json.loads(query["tags"])) == ("apiserver", {"audit-id": "a"})
    assert (int(query["start"]), int(query["end"])) == (START // 1000, START // 1000 + 10**6 + 1)


def test_jaeger_is_not_asked_for_ever(serve: Serve) -> None:
    api = serve(jaeger())
    found = source(api, type="jaeger").find(
        question(joins=[join(str(n)) for n in range(100)], most_traces=5000)
    )
    assert len(api.asked) == 1 + 64
    assert (found.more, found.unasked) == (0, 36)


def test_of_a_program_that_tells_all_day_jaeger_gives_some_and_it_is_told_that_there_is_more(
    serve: Serve,
) -> None:
    def many(query: dict[str, str]) -> Answers:
        return {"data": [{**jaeger_trace(), "spans": []}] * min(5000, int(query["limit"]))}

    found = source(serve({"/api/traces": many}), type="jaeger", services=["x"]).find(question())
    assert found.more == 1


def test_every_value_is_looked_for_in_its_own_time(serve: Serve) -> None:
    api = serve(jaeger())
    pod = join("u", attribute="k8s.pod.uid", until=START + DAY)
    source(api, type="jaeger", services=["x"]).find(question(joins=[pod, join("a")]))
    ends = [int(query["end"]) * 1000 - START for _, query, _ in api.asked]
    assert ends == [DAY + 1000, 10**9 + 1000]


@pytest.mark.parametrize("kind", ["jaeger", "tempo"])
def test_what_was_found_until_the_time_was_over_is_shown(serve: Serve, kind: str) -> None:
    """The second question gets no answer in time."""
    stuck, asked = threading.Event(), []
    answers = jaeger() if kind == "jaeger" else tempo()
    path = "/api/traces" if kind == "jaeger" else f"/api/v2/traces/{TRACE}"
    first = answers[path]

    def slow(_: object) -> Answers:
        asked.append(1)
        if len(asked) > 1:
            stuck.wait(5)
        return dict(first)

    answers[path] = slow
    if kind == "tempo":
        answers["/api/search"]["traces"].append({"traceID": "1", "startTimeUnixNano": str(START + 1)})
        answers[f"/api/v2/traces/{1:032x}"] = slow
    more = {"services": ["x"]} if kind == "jaeger" else {}
    found = source(serve(answers), type=kind, **more).find(
        question(joins=[join("a"), join("b")], until_when=time.monotonic() + 0.5)
    )
    stuck.set()
    assert len(found.spans) == 2
    assert (found.unasked, found.more) == ((1, 0) if kind == "jaeger" else (0, 1))


def test_tempo_is_asked_for_many_values_at_once(serve: Serve) -> None:
    api = serve(tempo())
    source(api, type="tempo", tenant="team").find(question(joins=[join(str(n)) for n in range(100)]))
    searches = [query["q"] for path, query, _ in api.asked if path == "/api/search"]
    assert len(searches) == 3
    assert sum(query.count("audit-id") for query in searches) == 100
    assert {headers.get("X-Scope-Orgid", headers.get("X-Scope-OrgID")) for *_, headers in api.asked} == {
        "team"
    }


def test_tempo_is_asked_for_no_more_than_a_week_and_for_pods_after_requests(serve: Serve) -> None:
    """Its own limit is 168 hours, over which it answers nothing at all."""
    api = serve({"/api/search": {"traces": []}})
    now = START + 30 * DAY
    pods = [join(str(n), attribute="k8s.pod.uid", since=START + n, until=now) for n in range(50)]
    found = source(api, type="tempo").find(
        question(joins=[*pods, join("a"), join("b", since=now, until=now)])
    )
    searches = [query for _, query, _ in api.asked]
    assert [query["q"].count("audit-id") for query in searches] == [1, 1, 0, 0]
    assert sum(query["q"].count("span.") for query in searches) == 52
    assert all(int(query["end"]) - int(query["start"]) <= 168 * 3600 for query in searches)
    assert int(searches[-1]["end"]) == now // 10**9 + 1
    assert now - 7 * DAY <= found.before <= now - 6 * DAY
    assert found.unasked == 0


def test_no_value_can_break_out_of_a_query() -> None:
    assert query_for([join('a" } || { true')]) == '{ span."audit-id" = "a\\" } || { true" }'


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (500, "HTTP 500"),
        (302, "HTTP 302"),
        (b"<html>", "no JSON"),
        (b"[1]", "not what"),
        ({"data": [{"spans": [{}]}]}, "not what Jaeger"),
        ({"data": 5}, "not what Jaeger"),
        (NO_HTTP, "broke off: BadStatusLine"),
    ],
)
def test_answers_that_are_none_are_failures_in_words(serve: Serve, answer: Any, told: str) -> None:
    api = serve({"/api/traces": answer})
    with pytest.raises(SourceFailed, match=told):
        source(api, type="jaeger", services=["x"]).find(question())


def test_one_that_drips_is_not_waited_for(serve: Serve) -> None:
    stuck = threading.Event()

    def slow(_: object) -> Answers:
        stuck.wait(5)
        return {}

    api = serve({"/api/traces": slow})
    began = time.monotonic()
    with pytest.raises(SourceFailed, match="too long"):
        source(api, type="jaeger", services=["x"]).find(question(until_when=time.monotonic() + 0.3))
    assert time.monotonic() - began < 2
    stuck.set()


# -------------------------------------------------------------------------------------------------------- in the tree


def spans_of_pod() -> Any:
    return weave(request(POD, "create", "10:00:01", uid=uid(1), version="5"))


def joined(*sources: ForeignSource, limits: ForeignLimits | None = None, strict: bool = False) -> Tree:
    extensions = Extensions(sources, limits=limits or ForeignLimits(), strict=strict)
    return read_story(MemoryReader(spans_of_pod()), POD, extensions=extensions)


def audit_id() -> str:
    return next(str(span.attributes[v.AUDIT_ID]) for span in spans_of_pod() if span.source == "request")


def foreign_names(tree: Tree) -> list[str]:
    return [fact.span.name for fact in facts_of(tree.root.facts) if fact.span.source == "foreign"]


def test_spans_of_two_sources_are_joined_each_once(serve: Serve) -> None:
    trace = jaeger_trace(audit_id())
    apis = [serve(jaeger(trace)) for _ in range(2)]
    tree = joined(*[source(api, type="jaeger", name=api.url) for api in apis])
    assert foreign_names(tree) == ["POST /api/v1/namespaces/{:namespace}/pods", "etcdserverpb.KV/Txn"]
    assert tree.truncated == ()


def test_a_source_that_fails_costs_its_spans_and_not_the_tree(serve: Serve) -> None:
    good, bad = serve(jaeger(jaeger_trace(audit_id()))), serve({"/api/services": 503})
    tree = joined(source(bad, type="jaeger", name="the old one"), source(good, type="jaeger"))
    assert len(foreign_names(tree)) == 2
    [cut] = tree.truncated
    assert (words_of(cut), cut.hint) == ("spans of other systems in the old one", "it answered HTTP 503")


def test_what_limits_leave_out_is_told(serve: Serve) -> None:
    api = serve(jaeger(jaeger_trace(audit_id())))
    tree = joined(source(api, type="jaeger"), limits=ForeignLimits(spans_each=1))
    assert len(foreign_names(tree)) == 1
    [cut] = tree.truncated
    assert words_of(cut) == "1 more span of other systems that belong to pods/default/web-1"


def test_a_tree_without_requests_and_pods_asks_nobody(serve: Serve) -> None:
    api = serve(jaeger())
    node = key("configmaps", "plain")
    raw = assemble(MemoryReader(weave(request(node, "create", "10:00:01", uid=uid(1), version="5"))), node)
    alone = dataclasses.replace(raw, root=msgspec.structs.replace(raw.root, facts=()))
    assert Extensions([source(api, type="jaeger")]).join(alone) is alone
    assert api.asked == []


# ------------------------------------------------------------------------------------------------------ the settings


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"source": []}, "there is no 'source' here: it takes sources, joins, timeout, spans"),
        (
            {"sources": [{"type": "zipkin", "url": "http://a"}]},
            r"sources\[0\]: type: it is 'zipkin', but has to be one of jaeger, tempo",
        ),
        ({"sources": [{"type": "tempo", "url": "a:3200"}]}, "has to be http://HOST:PORT"),
        ({"sources": [{"type": "tempo", "url": "http://me:secret@a"}]}, "put a token into a file"),
        ({"sources": [{"type": "tempo", "url": "http://far:1", "token_file": "t"}]}, "use https"),
        ({"sources": [{"type": "tempo", "url": "http://a", "services": ["x"]}]}, "only a jaeger"),
        (
            {"sources": [{"type": "tempo", "url": "http://a"}, {"type": "tempo", "url": "http://a"}]},
            "same name",
        ),
        ({"joins": [{"attribute": "x", "to": "pod"}]}, "to: it is 'pod', but has to be one of audit-id, uid"),
        ({"joins": [{"attribute": " ", "to": "uid"}]}, "no name"),
        ({"timeout": "2h"}, "timeout"),
        ({"timeout": "soon"}, "soon"),
        ({"timeout": 3}, "timeout: it is 3, but has to be a length of time like 3s"),
        ({"sources": [{"name": "old", "type": "tempo"}]}, "source old: it needs 'url': text"),
        ({"spans": 0}, "spans"),
    ],
)
def test_a_wrong_section_is_a_clear_error(section: Answers, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        parse_extensions(section, "settings: extensions")
    assert "settings: extensions" in str(error.value)
    assert "secret" not in str(error.value)
