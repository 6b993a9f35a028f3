"""Who is heard, by which name, from which pages; and how refusals and failures look."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from kubeweft.display.serving.http.application import build_application, everybody
from kubeweft.display.serving.http.describing import QueryAnswers
from kubeweft.display.serving.http.failing import Refused
from kubeweft.display.serving.http.server import QueryServer
from kubeweft.model.errors import NotNow, UserError
from query_api import TRACE_ID, FixedAnswers, check_shape, displayed, query_api

GRAFANA = "https://grafana.example"


class Gatekeeper:
    """Knows one token, and another that may see nothing."""

    def __init__(self) -> None:
        self.tokens: list[str | None] = []

    async def __call__(self, token: str | None) -> QueryAnswers:
        self.tokens.append(token)
        if token is None:
            raise Refused("show a token: Authorization: Bearer …", status=401)
        if token != "good":
            raise Refused("jane may not read traces", status=403)
        return FixedAnswers({TRACE_ID: lambda: [displayed(0)]})


async def test_everything_but_health_and_description_asks_who_asks() -> None:
    gate = Gatekeeper()
    async with query_api(answers_for=gate) as client:
        description = (await client.get("/openapi.json")).json()
        assert (await client.get("/healthz")).text == (await client.get("/readyz")).text == "ok\n"
        assert gate.tokens == []
        for path in description["paths"]:
            if path in ("/openapi.json", "/healthz", "/readyz"):
                continue
            concrete = path.replace("{trace_id}", "ff").replace("{service}", "tree")
            reply = await client.get(concrete)
            assert reply.status == 401, path
            assert reply.headers["WWW-Authenticate"] == 'Bearer realm="kubeweft"'


@pytest.mark.parametrize(
    ("path", "shape"),
    [("/api/services", "StructuredError"), ("/api/v3/services", "GatewayError")],
)
async def test_tokens_decide(path: str, shape: str) -> None:
    gate = Gatekeeper()
    async with query_api(answers_for=gate) as client:
        assert (await client.get(path, Authorization="Bearer good")).status == 200
        assert (await client.get(path, Authorization="bearer  good ")).status == 200
        refused = await client.get(path, Authorization="Bearer bad")
        assert refused.status == 403
        check_shape(refused.json(), shape)
        assert (await client.get(path, Authorization="Basic Z29vZA==")).status == 401
        assert (await client.get(path, Authorization="Bearer ")).status == 401
    assert gate.tokens == ["good", "good", "bad", None, None]


async def test_who_asks_is_checked_before_what_is_asked() -> None:
    async with query_api(answers_for=Gatekeeper()) as client:
        assert (await client.get("/api/traces?limit=x")).status == 401


async def test_a_page_that_rebinds_its_name_to_the_loopback_is_refused() -> None:
    async with query_api(allow_hosts=("traces.example",)) as client:
        for path in ("/api/services", "/", "/healthz", "/api/v3/services"):
            refused = await client.get(path, Host="evil.example")
            assert refused.status == 403, path
            assert "evil.example" in refused.text
            assert "--allow-host" in refused.text
        assert (await client.get("/api/services", Host="traces.example:443")).status == 200
        assert (await client.get("/api/services", Host=f"localhost:{client.port}")).status == 200


async def test_names_are_not_checked_where_others_reach_the_server_anyway() -> None:
    async with query_api(allow_hosts=None) as client:
        assert (await client.get("/api/services", Host="kubeweft.default.svc")).status == 200


async def test_other_pages_may_read_nothing_unless_allowed() -> None:
    async with query_api() as client:
        reply = await client.get("/api/services", Origin=GRAFANA)
        assert "Access-Control-Allow-Origin" not in reply.headers
        assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        asked = await client.get(
            "/api/services", method="OPTIONS", Origin=GRAFANA, Access_Control_Request_Method="GET"
        )
        assert asked.status == 204
        assert not [name for name in asked.headers if name.startswith("Access-Control")]


async def test_an_allowed_page_may_read_and_ask_before() -> None:
    async with query_api(allow_origins=[GRAFANA]) as client:
        reply = await client.get("/api/services", Origin=GRAFANA)
        assert reply.headers["Access-Control-Allow-Origin"] == GRAFANA
        assert "Origin" in reply.headers["Vary"]
        asked = await client.get(
            "/api/services", method="OPTIONS", Origin=GRAFANA, Access_Control_Request_Method="GET"
        )
        assert asked.status == 204
        assert asked.headers["Access-Control-Allow-Origin"] == GRAFANA
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
        other = await client.get("/api/services", Origin="https://evil.example")
        assert "Access-Control-Allow-Origin" not in other.headers
        assert "Origin" in other.headers["Vary"]
        missing = await client.get("/api/traces/ff", Origin=GRAFANA)
        assert (missing.status, missing.headers["Access-Control-Allow-Origin"]) == (404, GRAFANA)


async def test_all_pages_may_be_allowed() -> None:
    async with query_api(allow_origins=["*"]) as client:
        reply = await client.get("/api/services", Origin="https://any.example")
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_browsers_are_told_to_keep_nothing_and_guess_nothing() -> None:
    async with query_api() as client:
        for path in ("/api/services", "/api/traces/ff", "/redirect", "/nowhere"):
            headers = (await client.get(path)).headers
            assert headers["Cache-Control"] == "no-store"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert headers["Referrer-Policy"] == "same-origin"
            assert "aiohttp" not in headers["Server"]


async def test_head_answers_like_get_without_a_body() -> None:
    async with query_api(FixedAnswers({TRACE_ID: lambda: [displayed(0)]})) as client:
        for path, status in (
            ("/api/services", 200),
            (f"/api/traces/{TRACE_ID.hex()}", 200),
            ("/api/traces/ff", 404),
        ):
            reply = await client.get(path, method="HEAD", Accept_Encoding="gzip")
            assert (reply.status, reply.body) == (status, b""), path
        assert (await client.get("/api/services")).status == 200  # the connection is still good


class Failing(FixedAnswers):
    """Cannot even say what there is."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def services(self) -> list[str]:
        raise self.error


async def test_our_own_failures_are_logged_and_tell_nothing(caplog: Any) -> None:
    with caplog.at_level(logging.ERROR):
        async with query_api(Failing(RuntimeError("secret detail"))) as client:
            reply = await client.get("/api/services")
    assert reply.status == 500
    check_shape(reply.json(), "StructuredError")
    assert "secret" not in reply.text
    assert "secret detail" in caplog.text


async def test_a_store_that_is_busy_is_to_be_asked_again() -> None:
    async with query_api(Failing(NotNow("the store is being compacted", delay=2.5))) as client:
        reply = await client.get("/api/v3/services")
        assert (reply.status, reply.headers["Retry-After"]) == (503, "3")
        assert reply.json()["error"]["message"] == "the store is being compacted"


async def test_wrong_settings_are_refused_at_start() -> None:
    answers = everybody(FixedAnswers())
    for path in ("kubeweft", "/kubeweft/", "/", "/a//b", "/<x>"):
        with pytest.raises(UserError, match="base path"):
            build_application(answers, base_path=path)
    with pytest.raises(UserError, match="trace_id"):
        build_application(answers, trace_page="http://jaeger.example/trace/")
    for name in ("traces.example:443", "https://traces.example", "", "*", "traces.example/x"):
        with pytest.raises(UserError, match="is no name of a host"):
            build_application(answers, allow_hosts=[name])
    for page in ("grafana.example", "https://grafana.example/", "null", "https://*.example"):
        with pytest.raises(UserError, match="is no origin"):
            build_application(answers, allow_origins=[page])


async def test_an_address_that_is_taken_is_a_clear_error() -> None:
    async with query_api() as client:
        second = QueryServer(build_application(everybody(FixedAnswers())))
        with pytest.raises(UserError, match=f"cannot serve the query API on 127.0.0.1:{client.port}"):
            await second.start("127.0.0.1", client.port)


async def test_what_is_no_http_is_answered_and_never_quoted_in_the_log(caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        async with query_api() as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer swordfish\x00\r\n\r\n")
            assert (await reader.readline()).split()[1] == b"400"
            writer.close()
            await writer.wait_closed()
            assert (await client.get("/healthz")).status == 200
    assert "swordfish" not in caplog.text
