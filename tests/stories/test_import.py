"""The recorded cluster, imported from its audit log: 100 Deployments created, rolled, scaled and deleted."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from audit_log import RECORDED
from kubeweft.app.importing import Importer, Report
from kubeweft.display.history.manifest import manifest_at
from kubeweft.display.stories import read_story
from kubeweft.display.writing.json_shape import tree_as_json
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.timestamps import parse_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.sources.audit.files import Line, read_lines
from kubeweft.store.sqlite import SqliteStore

pytestmark = pytest.mark.timeout(180)  # 24,339 events take some 5 seconds of a quiet CPU

EVENTS = 24_339
APP = ObjectKey("local", "apps", "deployments", "team-6", "app-67")


def run_import(file: Path, lines: Iterable[Line]) -> Report:
    with SqliteStore(file) as store:
        importer = Importer(store, cluster="local", window_length=DEFAULT_WINDOW)
        importer.read(lines)
        return importer.finish()


@pytest.fixture(scope="module")
def audited() -> list[Any]:
    """The heads of all audit events: a response body is cut down to its metadata."""
    heads = []
    with zstandard.open(RECORDED, "rb") as stream:
        for raw in io.BufferedReader(stream):
            event = orjson.loads(raw)
            answer = event.pop("responseObject", None) or {}
            event.pop("requestObject", None)
            event["answer"] = {"kind": answer.get("kind", ""), "metadata": answer.get("metadata", {})}
            event["answer"]["metadata"].pop("managedFields", None)
            heads.append(event)
    return heads


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    file = tmp_path_factory.mktemp("import") / "kubeweft.db"
    return file, run_import(file, read_lines(str(RECORDED)))


@pytest.fixture(scope="module")
def spans(imported: tuple[Path, Report]) -> list[Span]:
    with SqliteStore.open_reader(imported[0]) as reader:
        return [span for _, span in reader.spans_after(0, limit=10**7)]


def test_every_line_is_accounted_for(imported: tuple[Path, Report], spans: list[Span]) -> None:
    _, report = imported
    assert (report.lines, report.requests + report.events + report.ignored) == (EVENTS, EVENTS)
    assert (report.bad, report.unresolved, report.unlinked) == (Counter(), 0, 0)
    assert report.new_spans == len(spans) == len({(span.trace_id, span.span_id) for span in spans})


def test_every_request_is_one_span(audited: list[Any], spans: list[Span]) -> None:
    expected = Counter(
        event["auditID"]
        for event in audited
        if not (event["objectRef"]["resource"] == "events" and event["answer"]["kind"] == "Event")
    )
    requests = Counter(str(span.attributes[v.AUDIT_ID]) for span in spans if span.source == "request")
    assert requests == expected


def test_every_version_that_an_answer_showed_is_one_change(audited: list[Any], spans: list[Span]) -> None:
    """Of a Deployment, whose bodies are all in the log, but for answers of a delete."""
    shown = {
        (answer["metadata"]["uid"], answer["metadata"]["resourceVersion"])
        for event in audited
        if (answer := event["answer"])["kind"] == "Deployment"
    }
    changes = Counter(
        (span.attributes[v.UID], span.attributes[v.RESOURCE_VERSION])
        for span in spans
        if span.source == "change"
        and span.key.resource == "deployments"
        and span.attributes[v.CHANGE_TYPE] in ("Added", "Modified")
    )
    assert len(shown) > 3000
    assert set(changes) == shown
    assert set(changes.values()) == {1}


def test_every_step_follows_on_the_one_before(spans: list[Span]) -> None:
    """From the creation (or the first sighting) of each object an unbroken chain leads to its last version."""
    steps: dict[str, set[tuple[str, str]]] = {}
    firsts: dict[str, set[str]] = {}
    for span in spans:
        if span.source == "change":
            told = span.attributes
            uid, version = str(told[v.UID]), str(told[v.RESOURCE_VERSION])
            if told[v.CHANGE_TYPE] in ("Added", "Sighting"):
                firsts.setdefault(uid, set()).add(version)
            else:
                steps.setdefault(uid, set()).add((str(told.get(v.OLD_VERSION, "")), version))
    assert len(steps) > 1000
    for uid, pairs in steps.items():
        reached = firsts.get(uid, set()) | {new for _, new in pairs}
        assert all(old in reached or (not old and len(pairs) == 1) for old, _ in pairs), uid


def test_the_story_of_one_deployment(imported: tuple[Path, Report]) -> None:
    with SqliteStore.open_reader(imported[0]) as reader:
        tree = tree_as_json(read_story(reader, APP, kinds=Kinds()))
    objects = Counter(
        str(span["object"]).partition("/")[0] for span in tree["spans"] if span["source"] == "object"
    )
    assert tree["truncated"] == []
    assert (objects["deployments.apps"], objects["replicasets.apps"]) == (1, 2)
    assert objects["pods"] > 3
    words = [str(span["attributes"].get(v.WORDS, "")) for span in tree["spans"]]
    assert any("spec.replicas" in text for text in words)
    assert any("image" in text for text in words)
    by_id = {span["span_id"]: span for span in tree["spans"]}
    changes = [s for s in tree["spans"] if s["source"] == "change" and s["object"] == str(APP)]
    assert len(changes) > 5
    assert {by_id[span["parent_span_id"]]["source"] for span in changes} == {"request"}


def without_manifest(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata without the annotation that is redacted, for it holds the whole object once more."""
    annotations = {
        k: t for k, t in metadata["annotations"].items() if not k.endswith("last-applied-configuration")
    }
    return metadata | {"annotations": annotations}


def test_a_manifest_is_what_the_last_answer_before_it_showed(
    imported: tuple[Path, Report], audited: list[Any]
) -> None:
    answers = [
        (parse_timestamp(event["requestReceivedTimestamp"]), without_manifest(event["answer"]["metadata"]))
        for event in audited
        if event["answer"]["kind"] == "Deployment" and event["answer"]["metadata"]["name"] == APP.name
    ]
    answers.sort(key=lambda one: int(one[1]["resourceVersion"]))
    assert len(answers) > 10
    with SqliteStore.open_reader(imported[0]) as reader:
        for time, metadata in answers[:-1]:
            assert without_manifest(manifest_at(reader, APP, time)["metadata"]) == metadata


def test_importing_it_again_adds_nothing(imported: tuple[Path, Report]) -> None:
    file, first = imported
    again = run_import(file, read_lines(str(RECORDED)))
    assert again.new_spans == 0
    assert (again.lines, again.requests, again.events, again.changes, again.objects) == (
        first.lines,
        first.requests,
        first.events,
        first.changes,
        first.objects,
    )
