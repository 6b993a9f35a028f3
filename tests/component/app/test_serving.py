"""What is served where, what is refused before anything listens, and one Kubeweft over another."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc import aio

from controlplane.certificates import Authority
from controlplane.ports import free_ports
from kubeweft.app.kind_table import REFRESH, StoredKinds
from kubeweft.app.serving import ServeOptions, Serving, serve_until_signal, serving, views_of
from kubeweft.model.errors import UserError
from kubeweft.otlp import jaeger_storage as api
from serve_process import stored_in
from story_answers import story

OWN_VIEW = "views: [{name: requests-only, number: 20, from: tree}]"
FREE = "127.0.0.1:0"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a small story."""
    return str(stored_in(tmp_path_factory.mktemp("serving") / "kubeweft.db", story()))


async def over_grpc(address: str) -> list[str]:
    """The services, as Jaeger asks for them."""
    method = api.GET_SERVICES
    async with aio.insecure_channel(address) as channel:
        call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        return list((await call(method.request(), timeout=20)).services)


async def over_http(address: str, path: str, **asked: str) -> Any:
    async with (
        aiohttp.ClientSession(f"http://{address}") as session,
        session.get(path, params=asked) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return (await answer.json())["data"]


async def test_both_protocols_give_the_same(store: str) -> None:
    async with serving(ServeOptions(store=store, grpc=FREE, http=FREE)) as served:
        services = await over_http(served.http, "/api/services")
        assert await over_grpc(served.grpc) == services
        assert "tree ancestors" in services


async def test_nothing_is_served_unless_asked_for() -> None:
    async with serving(ServeOptions(store="there-is-no-such-file.db")) as served:
        assert served == Serving()


@pytest.mark.parametrize("own", ["file", "section"])
async def test_views_of_an_installation_are_services(store: str, tmp_path: Path, own: str) -> None:
    file = tmp_path / "views.yaml"
    file.write_text(OWN_VIEW)
    section = {"views": [{"name": "requests-only", "number": 20, "from": "tree"}]}
    views: Any = str(file) if own == "file" else section
    async with serving(ServeOptions(store=store, grpc=FREE, views=views)) as served:
        assert {"requests-only", "requests-only full"} <= set(await over_grpc(served.grpc))


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_one_kubeweft_reads_from_another(store: str, protocol: str) -> None:
    asked = {"service": "tree", "tags": '{"name":"demo","kind":"deploy"}'}
    options = ServeOptions(store=store, grpc=FREE, http=FREE)
    async with serving(options) as first:
        source = f"grpc://{first.grpc}" if protocol == "grpc" else f"http://{first.http}"
        async with serving(dataclasses.replace(options, store="", source=source)) as second:
            near = await over_http(first.http, "/api/traces", **asked)
            far = await over_http(second.http, "/api/traces", **asked)
    assert [_ids(trace) for trace in far] == [_ids(trace) for trace in near]
    assert len(_ids(near[0])) > 10


async def test_a_store_that_is_away_is_nobodys_mistake_and_may_come_back() -> None:
    (port,) = free_ports(1)
    options = ServeOptions(source=f"grpc://127.0.0.1:{port}?timeout=5", grpc=FREE, http=FREE)
    object_asked = "resource=deploy&name=demo"
    search = "service=tree&tags=%7B%22name%22%3A%22demo%22%7D"
    async with serving(options) as served, aiohttp.ClientSession(f"http://{served.http}") as session:
        for path in (
            f"/api/traces?{search}",
            f"/api/traces/{'4b' * 16}",
            f"/redirect?{object_asked}",
            "/readyz",
        ):
            async with session.get(path) as answer:
                assert (answer.status, "Retry-After" in answer.headers) == (503, True), path
                told = await answer.text()
            assert ("cannot be reached" in told) == (path != "/readyz"), "probes are told no reason"
        async with session.get("/healthz") as answer:
            assert answer.status == 200
        method = api.FIND_TRACES
        async with aio.insecure_channel(served.grpc) as channel:
            call = channel.unary_stream(method.path, method.request.SerializeToString, lambda read: read)
            with pytest.raises(aio.AioRpcError, match="cannot be reached") as failed:
                async for _ in call(method.request(), timeout=20):
                    pass
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


def _ids(trace: Any) -> set[str]:
    return {span["spanID"] for span in trace["spans"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"http": "0.0.0.0:0"}, "--auth kubernetes"),
        ({"grpc": ":17271"}, "--insecure-no-auth"),
        ({"grpc": ":17271", "auth": "kubernetes"}, "--insecure-no-tls"),
        ({"http": "0.0.0.0:0", "auth": "kubernetes"}, "--tls-cert and --tls-key"),
        ({"grpc": "[::]:17271"}, "can be reached from other machines"),
        ({"grpc": "example.com:17271"}, "can be reached from other machines"),
        ({}, "there is nothing to serve"),
        ({"http": "nonsense"}, "--http nonsense: must be HOST:PORT"),
        ({"http": FREE, "ui": "nowhere"}, "holds no built Jaeger UI"),
        ({"http": FREE, "views": "nowhere.yaml"}, "cannot read the views in nowhere.yaml"),
        ({"http": FREE, "views": {"view": []}}, "settings: views"),
        ({"http": FREE, "source": "ftp://example.com"}, "no store is known as ftp://"),
        ({"http": FREE, "source": "grpc://example.com"}, "a Jaeger storage is HOST:PORT"),
        ({"http": FREE, "source": "http://me:secret@localhost"}, "put a token into a file"),
        (
            {"http": FREE, "source": "http://localhost", "source_token_file": "nowhere"},
            "cannot read token-file",
        ),
        ({"http": FREE, "auth": "kubernetes", "kubeconfig": "nowhere"}, "nowhere"),
        ({"http": FREE, "store": "nowhere.db"}, "nowhere.db"),
        ({"http": FREE, "tls_cert": "cert.pem"}, "both a certificate and its key"),
        ({"grpc": FREE, "tls_cert": "nowhere.crt", "tls_key": "nowhere.key"}, "cannot read nowhere.key"),
        ({"http": FREE, "tls_cert": __file__, "tls_key": __file__}, "are no certificate and its key"),
    ],
)
def test_what_cannot_be_served_is_a_clear_error(store: str, options: Any, message: str) -> None:
    def not_ready(_: Serving) -> None:
        raise AssertionError("it serves")

    with pytest.raises(UserError, match=r".*") as caught:
        asyncio.run(serve_until_signal(ServeOptions(**{"store": store, **options}), not_ready))
    assert message in str(caught.value)


@pytest.mark.parametrize("flag", ["grpc", "http"])
async def test_an_address_in_use_is_a_clear_error(store: str, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        options: Any = {flag: address}
        for flags in ("--", "--serve-"):
            with pytest.raises(UserError, match=f"{address}.*; choose another {flags}{flag}$"):
                async with serving(ServeOptions(store=store, flags=flags, **options)):
                    pass


async def test_everybody_may_ask_where_that_is_said(store: str) -> None:
    options = ServeOptions(store=store, grpc="0.0.0.0:0", http="0.0.0.0:0", without_auth=True)
    async with serving(options) as served:
        assert await over_grpc(f"127.0.0.1:{served.grpc.rpartition(':')[2]}")
        assert await over_http(f"127.0.0.1:{served.http.rpartition(':')[2]}", "/api/services")


async def test_once_names_are_told_only_those_are_right_at_every_address(store: str) -> None:
    options = ServeOptions(
        store=store, http="0.0.0.0:0", without_auth=True, allow_hosts=("traces.example",), base_path="/kw"
    )
    async with serving(options) as served, aiohttp.ClientSession() as session:
        port = served.http.rpartition(":")[2]
        assert served.url == f"http://{served.http}/kw"
        for host, status in (("traces.example", 200), ("evil.example", 403)):
            url = f"http://127.0.0.1:{port}/kw/api/services"
            async with session.get(url, headers={"Host": host}) as answer:
                assert answer.status == status, host


async def test_both_speak_tls_with_a_certificate(store: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("server", names=["localhost"], addresses=["127.0.0.1"])
    options = ServeOptions(
        store=store, grpc=FREE, http=FREE, tls_cert=str(pair.certificate), tls_key=str(pair.key)
    )
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    method = api.GET_SERVICES
    async with serving(options) as served, aiohttp.ClientSession() as session:
        assert served.url == f"https://{served.http}"
        async with session.get(f"{served.url}/api/services", ssl=trusted) as answer:
            assert (await answer.json())["data"]
        credentials = grpc.ssl_channel_credentials((tmp_path / "ca.crt").read_bytes())
        async with aio.secure_channel(served.grpc, credentials) as channel:
            call = channel.unary_unary(
                method.path, method.request.SerializeToString, method.response.FromString
            )
            assert (await call(method.request(), timeout=20)).services


def test_a_wrong_view_says_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("views: [{name: mine, number: 20, steps: [fly]}]")
    with pytest.raises(UserError, match=r"mine\.yaml: view mine: there is no step 'fly'"):
        views_of(str(file))


class Table:
    """A reader that tells resources, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.known = [("example.com", "widgets", "Widget"), ("helm.sh", "releases", ""), ("", "pods", "Pod")]

    def known_resources(self) -> list[tuple[str, str, str]]:
        self.asked += 1
        if not self.known:
            raise UserError("the store cannot be read")
        return self.known


def test_kinds_are_those_of_the_store_looked_up_now_and_then() -> None:
    table, now = Table(), [0.0]
    kinds = StoredKinds(table, clock=lambda: now[0])
    widget = kinds.kind_of("example.com", "widgets")
    release = kinds.kind_of("helm.sh", "releases")
    assert widget is not None
    assert release is not None
    assert (widget.kind, release.kind) == ("Widget", "Release")
    assert [one.resource for one in kinds.lookup("widget")] == ["widgets"]
    assert table.asked == 1
    table.known.append(("example.com", "gadgets", "Gadget"))
    assert not kinds.lookup("gadget")
    now[0] += REFRESH
    assert kinds.lookup("gadget")
    assert table.asked == 2


def test_kinds_stay_known_while_the_store_cannot_be_read() -> None:
    table, now = Table(), [0.0]
    kinds = StoredKinds(table, clock=lambda: now[0])
    assert kinds.lookup("widget")
    table.known = []
    now[0] += REFRESH
    assert kinds.lookup("widget")
    assert table.asked == 2


def test_a_reader_that_tells_no_resources_leaves_the_built_in_kinds() -> None:
    assert StoredKinds(object()).lookup("deploy")
