"""``show`` and ``search``: shapes that others script against, and what is said when nothing fits."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import yaml

from audit_log import DAY, WORLD
from command_line import Fails, Typed, one_line
from kubeweft.model.spans import SOURCES


def test_the_tree_is_plain_where_nobody_looks(run: Typed, folder: Path) -> None:
    shown = run("show", "deployment/web", "-n", "shop", cwd=folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Deployment shop/web" in shown.stdout
    assert "spec.replicas 2 → 4" in shown.stdout
    assert "Pod shop/web-1-a" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_json_has_the_shape_that_others_script_against(run: Typed, folder: Path) -> None:
    shown = json.loads(run("show", "deploy", "web", "-n", "shop", "-o", "json", cwd=folder).stdout)
    assert set(shown) == {"object", "windows", "spans", "linked", "truncated"}
    assert shown["object"] == {
        "cluster": "local",
        "group": "apps",
        "resource": "deployments",
        "kind": "Deployment",
        "namespace": "shop",
        "name": "web",
        "uids": ["uid-web"],
    }
    assert (shown["windows"], shown["linked"], shown["truncated"]) == (3, [], [])
    first = shown["spans"][0]
    assert (first["source"], first["object"], first["parent_span_id"]) == (
        "object",
        "deployments.apps/shop/web",
        "",
    )
    known = {""}
    for span in shown["spans"]:
        assert [name for name in span if name != "rules"] == [
            "trace_id",
            "span_id",
            "parent_span_id",
            "source",
            "cluster",
            "object",
            "name",
            "start",
            "end",
            "attributes",
            "spanLinks",
        ]
        assert span["source"] in SOURCES
        assert ("rules" in span) == (span["source"] == "link")
        assert (len(span["trace_id"]), len(span["span_id"])) == (32, 16)
        assert span["start"].startswith(f"{DAY}T")
        assert len(span["start"]) == len("2026-11-21T10:00:00.000000000Z")
        assert span["parent_span_id"] in known, "a span comes before its parent"
        known.add(span["span_id"])


def test_deleted_objects_and_custom_resources_are_shown(run: Typed, folder: Path) -> None:
    assert "w1  created" in run("show", "widget/w1", cwd=folder).stdout.replace("Widget shop/", "")
    assert "z1" in run("show", "zones.example.com/z1", "-n", "shop", cwd=folder).stdout


@pytest.mark.parametrize(
    ("moment", "replicas"), [("10:00:02", 2), (f"{DAY}T10:20:00Z", 4), (f"{DAY} 10:36", 2)]
)
def test_a_manifest_as_it_was(run: Typed, folder: Path, moment: str, replicas: int) -> None:
    moment = moment if moment.startswith(DAY) else f"{DAY}T{moment}Z"
    written = run("show", "deployment/web", "-n", "shop", "--at", moment, cwd=folder)
    manifest = yaml.safe_load(written.stdout)
    assert (manifest["kind"], manifest["spec"]) == ("Deployment", {"replicas": replicas})
    as_json = run("show", "deployment/web", "-n", "shop", "--at", moment, "-o", "json", cwd=folder)
    assert json.loads(as_json.stdout) == manifest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["deployment/wbe", "-n", "shop"], "did you mean web?"),
        (["deployment/web", "-n", "shpo"], "there is one with -n shop --cluster local"),
        (["deployment/web", "--cluster", "prod"], "there is no such cluster, but local"),
        (["unicorn/web"], "no object of that kind"),
        (["web"], "write KIND/NAME"),
        (["deployment/"], "write KIND/NAME"),
        (["deployment/shop/web"], "write deployment/web -n shop"),
        (["deployment/\x1b[31mwbe"], "deployment/\N{REPLACEMENT CHARACTER}[31mwbe"),
        (["deployment/web", "--extensions", "nowhere.yaml"], "in nowhere.yaml: No such file or directory"),
        (["deployment/web", "--extensions", "world.log"], "world.log"),
        (["deployment/web", "--store", "other.db"], "there is no store at other.db"),
        (["deployment/web", "--store", "."], "there is no store"),
        (["deployment/web", "--store", "world.log"], "no store"),
        (["deployment/web", "--since", "yesterday"], "'yesterday' is no time"),
        (["deployment/web", "--since", "1m", "--until", "2m"], "nothing can be between"),
        (["deployment/web", "-n", "shop", "--at", f"{DAY}T09:00Z"], "nothing is known"),
        (["deployment/web", "--at", "10:00", "--view", "nope"], "for which --view says nothing"),
        (
            ["deployment/web", "-o", "yaml", "--since", "1h", "--objects", "5"],
            "--since and --objects say nothing",
        ),
        (["deployment/web", "-n", "shop", "--at", f"{DAY}T12:00Z"], "was deleted"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(
    fails: Fails, folder: Path, words: list[str], expected: str
) -> None:
    assert expected in one_line(fails("show", *words, cwd=folder))


def test_more_or_fewer_objects_are_shown_as_asked(run: Typed, folder: Path) -> None:
    words = ["deployment/web", "-n", "shop"]
    whole = json.loads(run("show", *words, "-o", "json", cwd=folder).stdout)
    assert whole["truncated"] == []
    few = run("show", *words, "--objects", "2", cwd=folder).stdout
    assert few.startswith("Deployment shop/web")
    assert "2 objects" in few.splitlines()[1]
    assert "show more with --objects 5, narrow the time with --since and --until" in few.splitlines()[-1]
    assert "--objects" not in run("show", *words, "--objects", "50", cwd=folder).stdout


def test_no_more_objects_than_fit(fails: Fails, folder: Path) -> None:
    for number in ("0", "20001", "many"):
        assert "'--objects'" in fails("show", "deployment/web", "--objects", number, cwd=folder)


def test_options_that_do_not_exist(fails: Fails, folder: Path) -> None:
    assert "'xml' is not one of" in fails("show", "deployment/web", "-o", "xml", cwd=folder)
    assert "Missing argument" in fails("show", cwd=folder)


def test_a_store_of_another_program_is_left_alone(fails: Fails, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "places.sqlite") as connection:
        connection.execute("CREATE TABLE bookmarks(url)")
    before = (tmp_path / "places.sqlite").read_bytes()
    (tmp_path / "log").write_bytes(WORLD[2] + b"\n")
    for words in (["show", "pod/x"], ["search"], ["import", "log"]):
        assert "another program" in one_line(fails(*words, "--store", "places.sqlite", cwd=tmp_path))
    assert (tmp_path / "places.sqlite").read_bytes() == before


def found(run: Typed, folder: Path, *words: str) -> list[str]:
    objects = json.loads(run("search", *words, "-o", "json", cwd=folder).stdout)
    for one in objects:
        assert set(one) == {
            "cluster",
            "group",
            "resource",
            "kind",
            "namespace",
            "name",
            "first",
            "last",
            "windows",
        }
    return [f"{one['kind']}/{one['name']}" for one in objects if one["name"]]


def test_objects_are_found_by_kind_name_text_and_time(run: Typed, folder: Path) -> None:
    assert found(run, folder, "--kind", "deploy") == ["Deployment/web"]
    assert found(run, folder, "--name", "web-*", "--kind", "rs") == ["ReplicaSet/web-1"]
    assert found(run, folder, "BackOff") == found(run, folder, "--text", "backoff") == ["Pod/web-1-a"]
    assert found(run, folder, "--since", f"{DAY}T11:00Z", "-n", "shop")[0] == "Pod/web-1-a"
    assert found(run, folder, "--since", f"{DAY}T11:30Z") == []
    assert found(run, folder, "--kind", "widgets.example.com") == ["Widget/w1"]
    assert found(run, folder, "--name", "nothing-is-called-so") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "nope"], "nothing was found"),
        (["--cluster", "nope"], "nothing was found: there is no cluster nope, but local"),
        (["--kind", "unicorns"], "nothing was found: no kind unicorns is known"),
    ],
)
def test_a_search_that_finds_nothing_says_so(run: Typed, folder: Path, words: list[str], said: str) -> None:
    done = run("search", *words, cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"{said}\n")
    assert json.loads(run("search", *words, "-o", "json", cwd=folder).stdout) == []


def test_a_search_is_for_one_text(fails: Fails, folder: Path) -> None:
    assert "a search is for one" in one_line(fails("search", "back-off", "--text", "failed", cwd=folder))


def test_a_search_in_text_has_a_line_for_each_object(run: Typed, folder: Path) -> None:
    lines = run("search", "-n", "shop", cwd=folder).stdout.splitlines()
    assert lines[0].split()[:4] == ["CLUSTER", "KIND", "NAMESPACE", "NAME"]
    assert any(line.split()[:4] == ["local", "Deployment", "shop", "web"] for line in lines)
