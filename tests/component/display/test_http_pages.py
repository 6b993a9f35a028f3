"""The UI's files and its one page; and the small pages of a server without a UI."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kubeweft.display.serving.http.application import build_application, everybody
from kubeweft.display.serving.http.assets import UserInterface
from kubeweft.model.errors import UserError
from query_api import TRACE_ID, Client, FixedAnswers, query_api

SCRIPT = "function getJaegerUiConfig() { const JAEGER_CONFIG = DEFAULT_CONFIG; return JAEGER_CONFIG; }"
PAGE = f"""<!doctype html><html><head>
<base href="/" data-inject-target="BASE_URL" />
<script>{SCRIPT}
const JAEGER_STORAGE_CAPABILITIES = DEFAULT_STORAGE_CAPABILITIES;
const JAEGER_BACKEND_CAPABILITIES = DEFAULT_BACKEND_CAPABILITIES;</script>
<script type="module" crossorigin src="./static/index-CDGSPNPD.js"></script></head><body></body></html>"""
SECRET = "swordfish"
CODE = "console.log('x');\n" * 500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built UI, as Vite leaves it, and a secret beside it."""
    ui = tmp_path / "ui"
    (ui / "static").mkdir(parents=True)
    (ui / "index.html").write_text(PAGE)
    (ui / "static" / "index-CDGSPNPD.js").write_text(CODE)
    (ui / "static" / "index-CI8UWE4f.css").write_text("body {}")
    (ui / "robots.txt").write_text("User-agent: *")
    (tmp_path / "secret.txt").write_text(SECRET)
    return ui


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[Client]:
    async with query_api(ui=UserInterface(folder=folder)) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/", "/search", f"/trace/{TRACE_ID.hex()}", "/trace/a...b?cohort=a", "/dependencies", "/index.html"],
)
async def test_every_page_is_the_one_page(client: Client, path: str) -> None:
    reply = await client.get(path)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-cache"
    assert '<base href="/" data-inject-target="BASE_URL" />' in reply.text


async def test_the_page_is_told_what_there_is(client: Client, folder: Path) -> None:
    page = (await client.get("/")).text
    assert 'JAEGER_CONFIG = {"archiveEnabled":false,"monitor":{"menuEnabled":false}' in page
    assert 'JAEGER_STORAGE_CAPABILITIES = {"archiveStorage":false' in page
    assert '"searchWithoutServiceName":true' in page
    assert "DEFAULT_" not in page
    own = UserInterface(
        folder=folder, config={"monitor": {"menuEnabled": True}, "menu": [{"label": "</script>"}]}
    )
    async with query_api(ui=own) as other:
        page = (await other.get("/")).text
        assert '"monitor":{"menuEnabled":true}' in page
        assert page.count("</script>") == PAGE.count("</script>")


async def test_the_page_may_run_its_own_scripts_only(client: Client) -> None:
    reply = await client.get("/")
    policy = reply.headers["Content-Security-Policy"]
    inline = re.findall(r"<script>(.*?)</script>", reply.text, re.DOTALL)
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    (scripts,) = re.findall(r"script-src ([^;]*)", policy)
    assert "unsafe-inline" not in scripts
    assert "frame-ancestors 'self'" in policy


async def test_pages_that_may_read_may_show_the_ui_in_a_frame(folder: Path) -> None:
    origins = ["https://grafana.example"]
    async with query_api(ui=UserInterface(folder=folder), allow_origins=origins) as client:
        policy = (await client.get("/")).headers["Content-Security-Policy"]
        assert "frame-ancestors 'self' https://grafana.example" in policy


async def test_the_page_is_asked_for_again_but_not_sent_again(client: Client) -> None:
    first = await client.get("/search")
    again = await client.get("/search", If_None_Match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert (await client.get("/search", If_None_Match='"other"')).status == 200


async def test_files_named_by_their_content_are_kept_for_ever(client: Client) -> None:
    reply = await client.get("/static/index-CDGSPNPD.js", Accept_Encoding="identity")
    assert reply.text == CODE
    assert "javascript" in reply.headers["Content-Type"]
    assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    other = await client.get("/robots.txt")
    assert other.headers["Cache-Control"] == "no-cache"
    again = await client.get("/robots.txt", If_None_Match=other.headers["ETag"])
    assert again.status == 304


async def test_files_are_compressed_on_the_way(client: Client) -> None:
    reply = await client.get("/static/index-CDGSPNPD.js", Accept_Encoding="gzip")
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.headers["Vary"] == "Accept-Encoding"
    assert reply.text == CODE
    assert "javascript" in reply.headers["Content-Type"]
    again = await client.get(
        "/static/index-CDGSPNPD.js", Accept_Encoding="gzip", If_None_Match=reply.headers["ETag"]
    )
    assert (again.status, again.body) == (304, b"")
    head = await client.get("/static/index-CDGSPNPD.js", method="HEAD", Accept_Encoding="gzip")
    assert (head.status, head.body) == (200, b"")
    part = await client.get("/static/index-CDGSPNPD.js", Accept_Encoding="gzip", Range="bytes=0-6")
    assert (part.status, part.text) == (206, CODE[:7])


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../secret.txt",
        "/..%2fsecret.txt",
        "/static/%2e%2e/%2e%2e/secret.txt",
        "/%2e%2e/secret.txt",
        "/static/nothing.js",
        "/static/",
    ],
)
async def test_nothing_outside_the_folder_is_served(client: Client, path: str) -> None:
    from yarl import URL

    url = URL(f"http://127.0.0.1:{client.port}{path}", encoded=True)
    async with client.session.get(url) as response:
        assert SECRET not in await response.text()


async def test_a_missing_file_is_no_page(client: Client) -> None:
    assert (await client.get("/static/index-XXXXXXXX.js")).status == 404
    assert (await client.get("/api/nothing")).status == 404


async def test_a_ui_may_live_under_a_path(folder: Path) -> None:
    async with query_api(ui=UserInterface(folder=folder), base_path="/tools/kubeweft") as client:
        page = await client.get("/tools/kubeweft/search")
        assert '<base href="/tools/kubeweft/" data-inject-target="BASE_URL" />' in page.text
        assert (await client.get("/tools/kubeweft/api/services")).status == 200
        assert (await client.get("/tools/kubeweft/static/index-CDGSPNPD.js")).status == 200
        assert (await client.get("/search")).status == 404
        for probe in ("/healthz", "/readyz", "/tools/kubeweft/readyz"):
            assert (await client.get(probe)).status == 200
        description = (await client.get("/tools/kubeweft/openapi.json")).json()
        assert description["servers"] == [{"url": "/tools/kubeweft"}]


async def test_links_in_the_folder_are_followed_as_mounts_make_them(folder: Path) -> None:
    real = folder.parent / "..data"
    shutil.move(folder, real)
    folder.symlink_to(real)
    async with query_api(ui=UserInterface(folder=folder)) as client:
        assert (await client.get("/static/index-CDGSPNPD.js")).status == 200


def test_a_folder_without_a_ui_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no built Jaeger UI: cannot read its index\.html"):
        build_application(everybody(FixedAnswers()), ui=UserInterface(folder=tmp_path))


async def test_a_server_without_a_ui_tells_what_is_here() -> None:
    async with query_api() as client:
        home = await client.get("/")
        assert home.status == 200
        assert home.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in home.headers["Content-Security-Policy"]
        for path in ("/api/traces", "/api/v3/traces/{trace_id}", "/redirect", "/openapi.json"):
            assert f"<code>{path}</code>" in home.text
        form = re.findall(r'<input name="(\w+)"', home.text)
        assert form == ["resource", "namespace", "name", "cluster", "time"]


async def test_without_a_ui_a_trace_has_a_page_that_leads_to_its_json() -> None:
    async with query_api() as client:
        page = await client.get(f"/trace/{TRACE_ID.hex()}")
        assert f'href="/api/traces/{TRACE_ID.hex()}?prettyPrint=true"' in page.text
        for wrong in ("/trace/%3Cscript%3E", "/search", "/trace/", "/trace/ff%22"):
            assert (await client.get(wrong)).status == 404
