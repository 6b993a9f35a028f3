"""The recorded rollout: create 2, scale to 4, change the image, scale to 2, delete; on a real control plane."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from kubeweft.display.stories import read_story as read_tree
from kubeweft.display.writing.json_shape import tree_as_json
from kubeweft.display.writing.text import write_tree
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.sqlite import SqliteStore
from replay import Arrival, all_spans, read_story, replay, shuffled

FOLDER = Path(__file__).parent / "rollout"
DEPLOYMENT = ObjectKey("local", "apps", "deployments", "story", "demo")
Spans = dict[tuple[bytes, bytes], Span]


@pytest.fixture(scope="module")
def story() -> list[Arrival]:
    return read_story(FOLDER)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("story") / "kubeweft.db"


@pytest.fixture
async def spans(file: Path, story: list[Arrival]) -> Spans:
    return all_spans(file) if file.exists() else await replay(file, story)


def tree_text(file: Path) -> str:
    out = io.StringIO()
    with SqliteStore.open_reader(file) as reader:
        tree = read_tree(reader, DEPLOYMENT, kinds=Kinds())
        write_tree(tree, Console(file=out, width=140, soft_wrap=True, highlight=False))
    return out.getvalue()


async def test_the_trace_reads_as_reviewed(spans: Spans, file: Path) -> None:
    """``expected.trace.txt`` is reviewed like code; to accept a change, write the new text into it."""
    expected = FOLDER / "expected.trace.txt"
    found = tree_text(file)
    if not expected.exists():
        expected.write_text(found)
        pytest.fail(f"{expected} did not exist: read it, and commit it if it is true")
    assert found == expected.read_text()


async def test_there_is_one_root(spans: Spans, file: Path) -> None:
    with SqliteStore.open_reader(file) as reader:
        shown = tree_as_json(read_tree(reader, DEPLOYMENT, kinds=Kinds()))["spans"]
    ids = {span["span_id"] for span in shown}
    assert [s["object"] for s in shown if s["parent_span_id"] not in ids] == ["deployments.apps/story/demo"]
    assert len(ids) == len(shown)


async def test_every_version_of_the_watches_is_one_change(spans: Spans, story: list[Arrival]) -> None:
    watched = {(a.resource, a.version) for a in story if a.resource and a.resource != "events"}
    changes = Counter(
        (f"{s.key.resource}.{s.key.group}".rstrip("."), str(s.attributes[v.RESOURCE_VERSION]))
        for s in spans.values()
        if s.source == "change" and s.attributes[v.CHANGE_TYPE] != "Sighting"
    )
    assert set(changes) == watched
    assert set(changes.values()) == {1}


async def test_every_audited_write_is_one_request(spans: Spans, story: list[Arrival]) -> None:
    audited = Counter(json.loads(a.body)["auditID"] for a in story if not a.resource)
    requests = Counter(str(s.attributes[v.AUDIT_ID]) for s in spans.values() if s.source == "request")
    assert requests == audited


async def test_every_event_is_there_with_its_count(spans: Spans, story: list[Arrival]) -> None:
    told = {
        (obj["metadata"]["uid"], (obj.get("series") or {}).get("count") or obj.get("count") or 1)
        for obj in (json.loads(a.body) for a in story if a.resource == "events" and a.type != "DELETED")
    }
    events = [
        (s.attributes[v.EVENT_UID], s.attributes[v.EVENT_COUNT])
        for s in spans.values()
        if s.source == "event"
    ]
    assert sorted(events) == sorted(told)


async def test_managed_fields_are_nowhere(spans: Spans) -> None:
    for span in spans.values():
        assert b"managedFields" not in span.body
        assert "managedFields" not in str(span.attributes.get(v.PATCH, ""))


async def test_the_controllers_answer_is_under_its_status_update(spans: Spans, file: Path) -> None:
    with SqliteStore.open_reader(file) as reader:
        shown = tree_as_json(read_tree(reader, DEPLOYMENT, kinds=Kinds()))["spans"]
    by_id = {span["span_id"]: span for span in shown}
    observed = [
        s
        for s in shown
        if s["object"] == str(DEPLOYMENT)
        and "status.observedGeneration 1 → 2" in str(s["attributes"].get(v.WORDS, ""))
    ]
    assert len(observed) == 1
    request = by_id[observed[0]["parent_span_id"]]
    assert request["source"] == "request"
    assert request["attributes"][v.SUBRESOURCE] == "status"
    assert "deployment-controller" in request["attributes"][v.USER]


async def test_every_change_is_under_the_request_that_caused_it(spans: Spans, file: Path) -> None:
    with SqliteStore.open_reader(file) as reader:
        shown = tree_as_json(read_tree(reader, DEPLOYMENT, kinds=Kinds()))["spans"]
    by_id = {span["span_id"]: span for span in shown}
    parents = [by_id[span["parent_span_id"]]["source"] for span in shown if span["source"] == "change"]
    assert set(parents) == {"request"}


async def test_both_replica_sets_and_all_pods_are_in_the_tree(
    spans: Spans, file: Path, story: list[Arrival]
) -> None:
    with SqliteStore.open_reader(file) as reader:
        shown = tree_as_json(read_tree(reader, DEPLOYMENT, kinds=Kinds()))["spans"]
    objects = {span["object"] for span in shown}
    names = {
        (a.resource, json.loads(a.body)["metadata"]["name"])
        for a in story
        if a.resource in ("pods", "replicasets.apps")
    }
    assert objects == {"deployments.apps/story/demo", *(f"{r}/story/{name}" for r, name in names)}
    assert sum(1 for resource, _ in names if resource == "replicasets.apps") == 2


@pytest.mark.parametrize("seed", range(4))
async def test_shuffled_arrivals_give_the_same_bytes(
    spans: Spans, story: list[Arrival], tmp_path: Path, seed: int
) -> None:
    assert await replay(tmp_path / "shuffled.db", shuffled(story, seed)) == spans


async def test_doubled_arrivals_give_the_same_bytes(
    spans: Spans, story: list[Arrival], tmp_path: Path
) -> None:
    assert await replay(tmp_path / "doubled.db", story, doubled=True) == spans


@pytest.mark.parametrize("cut", [1, 40, 133, 200, 278])
async def test_a_kill_and_a_restart_give_the_same_bytes(
    spans: Spans, story: list[Arrival], tmp_path: Path, cut: int
) -> None:
    assert await replay(tmp_path / "cut.db", story[:cut], story[cut:]) == spans


async def test_two_replicas_give_the_same_bytes(spans: Spans, story: list[Arrival], tmp_path: Path) -> None:
    one = await replay(tmp_path / "one.db", shuffled(story, 11))
    two = await replay(tmp_path / "two.db", shuffled(story, 12))
    assert one == two == spans
