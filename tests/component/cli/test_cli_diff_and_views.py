"""``diff``, ``views`` and the views of ``show``: shapes that others script against, and exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from audit_log import DAY
from command_line import Fails, Typed, one_line
from kubeweft.app.serving import ServeOptions
from served_stores import served

OURS = """
views:
- name: bare
  number: 30
  steps: [fold-duplicates, order-facts, fit-objects]
selections:
- {name: near, number: 7, down: 1, linked: none}
"""
WEB = ("deployment/web", "-n", "shop")


def between(since: str, until: str) -> tuple[str, ...]:
    return ("--from", f"{DAY}T{since}Z", "--to", f"{DAY}T{until}Z")


def test_the_diff_is_one_of_yaml_with_who_did_it(run: Typed, folder: Path) -> None:
    done = run("diff", *WEB, *between("10:00:02", "10:20"), cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n-  replicas: 2\n+  replicas: 4\n" in done.stdout
    assert "spec.replicas 2 → 4\n    2026-11-21 10:" in done.stdout
    assert "by somebody (kubectl) → 200" in done.stdout
    assert "\x1b" not in done.stdout


def test_words_and_patch_and_json_and_yaml(run: Typed, folder: Path) -> None:
    asked = ("diff", *WEB, *between("10:00:02", "10:20"), "-o")
    assert "@@" not in run(*asked, "words", cwd=folder).stdout
    assert json.loads(run(*asked, "patch", cwd=folder).stdout) == [
        {"op": "replace", "path": "/spec/replicas", "value": 4}
    ]
    shape = json.loads(run(*asked, "json", cwd=folder).stdout)
    assert [(field["path"], field["old"], field["new"]) for field in shape["fields"]] == [
        ("spec.replicas", 2, 4)
    ]
    assert shape["fields"][0]["by"][-1]["user"] == "somebody"
    assert yaml.safe_load(run(*asked, "yaml", cwd=folder).stdout) == shape


@pytest.mark.parametrize(
    ("since", "until", "status"), [("10:00:02", "10:20", 1), ("10:20", "10:25", 0), ("10:20", "12:00", 1)]
)
def test_exit_status_for_scripts(run: Typed, folder: Path, since: str, until: str, status: int) -> None:
    assert run("diff", *WEB, *between(since, until), "--exit-code", cwd=folder).returncode == status
    assert run("diff", *WEB, *between(since, until), cwd=folder).returncode == 0


def test_before_it_was_created_it_was_not_there(run: Typed, folder: Path) -> None:
    done = run("diff", *WEB, *between("09:00", "09:30"), "--exit-code", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Deployment shop/web  in cluster local\n")
    assert done.stdout.count("not there yet, created 10:00:") == 2
    assert "it was there at neither of the two moments" in done.stdout


def test_a_deletion_is_said(run: Typed, folder: Path) -> None:
    done = run("diff", *WEB, *between("10:20", "12:00"), "-o", "words", cwd=folder)
    assert "UTC  deleted" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([*WEB, "--from", "1m", "--to", "2m"], "lies after --to"),
        (["deployment/wbe", "-n", "shop", "--from", "1h"], "did you mean web?"),
        ([*WEB, "--from", "teatime"], "'teatime' is no time"),
    ],
)
def test_what_cannot_be_told_is_said_in_one_line(
    fails: Fails, folder: Path, words: list[str], expected: str
) -> None:
    assert expected in one_line(fails("diff", *words, cwd=folder))


def test_every_view_and_selection_can_be_shown(run: Typed, folder: Path) -> None:
    listed = json.loads(run("views", "-o", "json", cwd=folder).stdout)
    assert listed["views"][0]["name"] == "tree"
    for view in listed["views"]:
        for selection in listed["selections"]:
            words = ("show", *WEB, "--view", view["name"], "--select", selection["name"])
            assert "web" in run(*words, cwd=folder).stdout
            assert json.loads(run(*words, "-o", "json", cwd=folder).stdout)["object"]["name"] == "web"
        assert view["name"] in run("views", cwd=folder).stdout


def test_views_of_ones_own(run: Typed, fails: Fails, folder: Path) -> None:
    (folder / "ours.yaml").write_text(OURS)
    shown = run("show", *WEB, "--views", "ours.yaml", "--view", "bare", "--select", "near", cwd=folder)
    assert "ReplicaSet shop/web-1" in shown.stdout
    assert "Pod shop/web-1-a" not in shown.stdout
    assert "bare" in run("views", "--views", "ours.yaml", cwd=folder).stdout
    (folder / "wrong.yaml").write_text("views: [{name: x, number: 29, steps: [no-such]}]")
    assert "there is no step 'no-such'" in one_line(fails("views", "--views", "wrong.yaml", cwd=folder))
    assert "cannot read the views" in one_line(fails("views", "--views", "missing.yaml", cwd=folder))


def test_a_selection_is_changed_by_what_follows_its_name(run: Typed, folder: Path) -> None:
    shown = run("show", *WEB, "--select", "down=1", cwd=folder).stdout
    assert "ReplicaSet shop/web-1" in shown
    assert "Pod shop/web-1-a" not in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--view", "no"], "there is no view 'no': choose one of tree"),
        (["--select", "no"], "there is no selection 'no': choose one of owned"),
        (["--select", "owned,up=many"], "from 0 to 32"),
        (["--select", "owned,upp=1"], "after its name come up="),
        (["--select", "owned,linked=some"], "choose one of auto, none, names, full"),
    ],
)
def test_what_there_is_not(fails: Fails, folder: Path, words: list[str], expected: str) -> None:
    assert expected in one_line(fails("show", *WEB, *words, cwd=folder))


def test_a_store_elsewhere_is_read_like_a_file(
    run: Typed, fails: Fails, folder: Path, tmp_path: Path
) -> None:
    with served(ServeOptions(store=str(folder / "kubeweft.db"), grpc="127.0.0.1:0")) as where:
        store = f"grpc://{where.grpc}"
        here, there = (run("show", *WEB, *more, cwd=folder).stdout for more in ((), ("--store", store)))
        assert there == here
        asked = ("diff", *WEB, *between("10:00:02", "10:20"), "-o", "patch")
        assert run(*asked, "--store", store, cwd=tmp_path).stdout == run(*asked, cwd=folder).stdout
    assert "127.0.0.1" in one_line(fails("show", *WEB, "--store", "grpc://127.0.0.1:1", cwd=folder))
    assert "no store is known as ftp://" in one_line(fails("show", *WEB, "--store", "ftp://x", cwd=folder))
