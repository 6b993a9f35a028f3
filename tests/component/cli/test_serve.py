"""``kubeweft serve`` as a process: it says when it is ready, refuses in one line, and ends by Ctrl-C without an error."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from serve_process import KUBEWEFT, serving_store, stored_in
from story_answers import story


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a small story."""
    return stored_in(tmp_path / "kubeweft.db", story())


def test_it_serves_until_it_is_interrupted(store: Path, tmp_path: Path) -> None:
    views = tmp_path / "views.yaml"
    views.write_text("views: [{name: requests-only, number: 20, from: tree}]")
    with serving_store(tmp_path, f"--store={store}", f"--views={views}") as served:
        assert served.grpc.startswith("127.0.0.1:")
        with urllib.request.urlopen(f"{served.http}/api/services", timeout=20) as answer:
            assert {"tree", "requests-only full"} <= set(json.loads(answer.read())["data"])


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing, so that where a redirect leads to is seen."""

    def redirect_request(self, *_: Any) -> None:
        return None


def asked(url: str, **headers: str) -> tuple[int, Any, str]:
    """Status, headers and text of an answer, a refusal or redirect too."""
    request = urllib.request.Request(
        url, headers={n.replace("_", "-"): value for n, value in headers.items()}
    )
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def test_names_pages_and_paths_of_the_query_api_are_told_by_flags(store: Path, tmp_path: Path) -> None:
    options = (
        "--allow-host=traces.example",
        "--allow-host=kubeweft.example",
        "--allow-origin=https://grafana.example",
        "--base-path=/kubeweft",
        "--trace-page=https://jaeger.example/trace/{trace_id}",
    )
    with serving_store(tmp_path, f"--store={store}", *options) as served:
        assert served.http.endswith("/kubeweft")
        services = f"{served.http}/api/services"
        for host in ("traces.example", "kubeweft.example:443"):
            assert asked(services, Host=host)[0] == 200
        status, _, text = asked(services, Host="evil.example")
        assert (status, "--allow-host NAME" in text) == (403, True)
        _, headers, _ = asked(services, Origin="https://grafana.example")
        assert headers["Access-Control-Allow-Origin"] == "https://grafana.example"
        assert asked(services.replace("/kubeweft", ""))[0] == 404
        status, headers, _ = asked(f"{served.http}/redirect?resource=deployment&name=demo")
        assert status == 302
        page, _, trace_id = headers["Location"].rpartition("/")
        assert (page, len(trace_id)) == ("https://jaeger.example/trace", 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store=nowhere.db"], "there is no store at nowhere.db"),
        (["--http=0.0.0.0:0"], "--auth kubernetes"),
        (["--http=0.0.0.0:0", "--auth=kubernetes"], "--insecure-no-tls"),
        (["--from=grpc://127.0.0.1:1"], "--store and --from name two stores"),
        (["--shared-identities=prod"], "write NAME=CONTEXT"),
        (["--http=127.0.0.1:0", "--base-path=kubeweft"], "the base path 'kubeweft' has to be like /kubeweft"),
        (["--http=127.0.0.1:0", "--trace-page=https://jaeger.example"], "has to hold {trace_id}"),
        (["--http=127.0.0.1:0", "--allow-host=traces.example:443"], "without scheme and port"),
        (["--http=127.0.0.1:0", "--allow-origin=grafana.example"], "write https://grafana.example"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    store: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    command = [str(KUBEWEFT), "serve", f"--store={store}", "--grpc=127.0.0.1:0", "--http=", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert message in done.stderr
