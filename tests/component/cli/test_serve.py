"""``kubeweft serve`` as a process: it says when it is ready, refuses in one line, and ends by Ctrl-C without an error."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store=nowhere.db"], "there is no store at nowhere.db"),
        (["--http=0.0.0.0:0"], "--auth kubernetes"),
        (["--cluster-context=prod"], "write NAME=CONTEXT"),
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
