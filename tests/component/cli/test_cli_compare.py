"""``compare``: two runs side by side, as text and JSON, and what is said when nothing fits."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path

import pytest

from audit_log import DAY
from command_line import Fails, Typed, one_line
from kubeweft.app.comparing import DAY as A_DAY
from kubeweft.app.comparing import parse_side, precision_of

SECOND = 1_000_000_000


def test_two_rollouts_of_one_object(run: Typed, folder: Path) -> None:
    words = [f"deployment/web@{DAY}T10:00Z", f"deployment/web@{DAY}T10:20Z"]
    done = run("compare", *words, "-n", "shop", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "A  Deployment shop/web" in done.stdout
    assert "spec.replicas 2 → 4" in done.stdout
    assert "only in A:" in done.stdout
    assert "\x1b" not in done.stdout
    shape = json.loads(run("compare", *words, "-n", "shop", "-o", "json", cwd=folder).stdout)
    assert set(shape) == {"a", "b", "steps", "only_a", "only_b", "ended"}
    assert shape["b"]["started_with"][0] == "spec.replicas 2 → 4"
    assert shape["ended"][0]["kind"] == "Deployment"


def test_an_object_with_itself_is_the_same(run: Typed, folder: Path) -> None:
    shape = json.loads(run("compare", "rs/web-1", "rs/shop/web-1", "-o", "json", cwd=folder).stdout)
    assert shape["only_a"] == shape["only_b"] == []
    assert shape["a"] == shape["b"]
    assert "the same in the end" in run("compare", "rs/web-1", "rs/web-1", cwd=folder).stdout


def test_what_is_not_counted_is_told_with_how_to_count_it(run: Typed, folder: Path) -> None:
    words = ["deploy/shop/web", "deploy/shop/web"]
    assert "! " not in run("compare", *words, cwd=folder).stdout
    few = run("compare", *words, "--objects", "2", cwd=folder).stdout
    assert "not counted: count more with --objects 5\n" in few
    shape = json.loads(run("compare", *words, "--objects", "2", "-o", "json", cwd=folder).stdout)
    assert shape["b"]["truncated"][0]["hint"] == "count more with --objects 5"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["web", "rs/web-1"], "names no object: write [CLUSTER:]KIND/NAME"),
        (["deploy/a/b/c", "rs/web-1"], "names no object"),
        (["deploy/wbe", "rs/web-1"], "did you mean web?"),
        (["other:deploy/web", "rs/web-1"], "there is no such cluster"),
        (["deploy/web@teatime", "rs/web-1"], "nothing is stored about deploy/web@teatime"),
        (["deploy/web@teatime", "rs/web-1"], "(if 'teatime' is to be a time, write it like 10m, 2h30m"),
        (["deploy/web", "rs/web-1", "--quiet", "long"], "'long' is no duration"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    fails: Fails, folder: Path, words: list[str], expected: str
) -> None:
    assert expected in one_line(fails("compare", *words, cwd=folder))


@pytest.mark.parametrize(
    ("text", "kind", "place", "time"),
    [
        ("deploy/web", "deploy", ("c", "n", "web"), ""),
        ("deploy/web@10:32", "deploy", ("c", "n", "web"), "10:32"),
        ("prod:deploy/shop/web@5m", "deploy", ("prod", "shop", "web"), "5m"),
        ("clusterrole/system:node@a", "clusterrole", ("c", "n", "system:node@a"), ""),
        ("node//n1", "node", ("c", "", "n1"), ""),
    ],
)
def test_a_side_taken_apart(text: str, kind: str, place: tuple[str, str, str], time: str) -> None:
    side = parse_side(text, namespace="n", cluster="c", now=10**18, zone=UTC)
    wanted = side.wanted
    assert (wanted.kind, (wanted.cluster, wanted.namespace, wanted.name), side.time) == (kind, place, time)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("10:32", 60 * SECOND),
        ("10:32:05", SECOND),
        ("10:32:05.5", SECOND // 10),
        ("2026-11-21T10:32Z", 60 * SECOND),
        ("2026-11-21T10:32:05.123456789+02:00", 1),
        ("2026-11-21", A_DAY),
        ("5m", 1),
        ("now", 1),
    ],
)
def test_the_last_unit_that_a_time_names(time: str, expected: int) -> None:
    assert precision_of(time) == expected
