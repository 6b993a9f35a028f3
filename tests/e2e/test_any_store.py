"""Kubeweft over the stores of others: what is shown from them is what is shown from our own file.

The whole chain is real: the operator (or a recorded rollout) → OTLP → jaeger-remote-storage with memory or Badger →
``jaeger.storage.v2`` → the display → ``jaeger.storage.v2`` → Jaeger's query service.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from cluster_requests import Cluster
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from jaeger_process import jaeger_over
from kubeweft.app.serving import ServeOptions
from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.declared.objects import LINK_RULES, DeclaredObject
from kubeweft.display.history.manifest import manifest_at, manifest_yaml
from kubeweft.display.stories import read_story
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.writing.json_shape import to_text, tree_as_json
from kubeweft.display.writing.text import write_tree
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import NotNow
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.rules import LinkRule
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import ObjectQuery, SpanReader
from kubeweft.store.opening import open_reader
from operator_process import KUBEWEFT, OperatorProcess, listening_at
from replay import read_story as read_recording
from replay import replay
from rollout import Rollout
from served_stores import served
from trace_stores import Database, TraceStore, export, remote_storage, running_jaeger

pytestmark = pytest.mark.jaeger

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "tests" / "stories" / "rollout"
ARRIVAL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recorded rollout in a file of our own, and the objects that it is about."""

    file: Path
    spans: list[Span]

    @property
    def objects(self) -> list[ObjectKey]:
        """The Deployment first, then one of each other type that something happened to."""
        happened = {span.key: None for span in self.spans if span.source not in ("object", "link")}
        first = {key.resource: key for key in reversed(happened)}
        return sorted(first.values(), key=lambda key: key.resource != "deployments")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    file = tmp_path_factory.mktemp("recorded") / "store.db"
    spans = asyncio.run(replay(file, read_recording(RECORDING), rules=_shipped_rules()))
    return Recorded(file, list(spans.values()))


def _shipped_rules() -> list[LinkRule]:
    rules = []
    for file in sorted((ROOT / "config" / "link-rules").glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        if document.get("kind") == "LinkRule":
            rule = compile_rule(DeclaredObject.from_body(LINK_RULES, document)).rule
            assert rule is not None
            rules.append(rule)
    return rules


@pytest.fixture(params=["memory", "badger", "jaeger"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TraceStore]:
    name: str = request.param
    opened = running_jaeger(tmp_path) if name == "jaeger" else remote_storage(tmp_path, _database(name))
    with opened as one:
        yield one


def _database(name: str) -> Database:
    return "badger" if name == "badger" else "memory"


def shown(reader: SpanReader, key: ObjectKey, view: str) -> str:
    """What ``kubeweft show`` writes, as text and as JSON."""
    tree = read_story(reader, key, view=builtin_views().view(view), kinds=Kinds())
    console = Console(file=io.StringIO(), width=240, no_color=True)
    write_tree(tree, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue() + to_text(tree_as_json(tree))


def before_its_end(recorded: Recorded, key: ObjectKey) -> int:
    """The time of the last change of an object but its deletion."""
    changes = [span for span in recorded.spans if span.key == key and span.source == "change"]
    return max(span.start for span in changes if span.attributes[v.CHANGE_TYPE] != "Deleted")


def test_a_recorded_rollout_reads_the_same_from_every_store(recorded: Recorded, store: TraceStore) -> None:
    export(store.receiver, recorded.spans)
    assert recorded.objects[0].resource == "deployments"
    with open_reader(str(recorded.file)) as own, open_reader(store.address) as remote:
        for key in recorded.objects:
            for view in builtin_views().views:
                assert shown(remote, key, view) == shown(own, key, view), f"{key} in {view}"
        moment = before_its_end(recorded, recorded.objects[0])
        manifests = [manifest_yaml(manifest_at(one, recorded.objects[0], moment)) for one in (own, remote)]
        assert manifests[0] == manifests[1]
        assert "kind: Deployment" in manifests[0]
        for query in (ObjectQuery(), ObjectQuery(resources=(("", "pods"),)), ObjectQuery(text="scaled up")):
            assert remote.find_objects(query) == own.find_objects(query)


def test_the_commands_tell_the_same_from_a_file_and_from_an_address(
    recorded: Recorded, store: TraceStore
) -> None:
    export(store.receiver, recorded.spans)
    key = recorded.objects[0]
    own, remote = str(recorded.file), store.address
    for words in (
        ("show", f"{key.resource}/{key.name}", "-n", key.namespace, "--linked", "full"),
        ("show", f"{key.resource}/{key.name}", "-n", key.namespace, "-o", "json"),
        ("search", "scaled up"),
        ("search", "--kind", "pod", "-n", key.namespace, "--name", "demo-*"),
    ):
        text = kubeweft(*words, "--store", own)
        assert key.name in text
        assert kubeweft(*words, "--store", remote) == text


def kubeweft(*words: str) -> str:
    """What a command writes."""
    ended = subprocess.run([str(KUBEWEFT), *words], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_badger_keeps_the_story_over_a_restart(recorded: Recorded, tmp_path: Path) -> None:
    key = recorded.objects[0]
    with remote_storage(tmp_path, "badger") as store:
        export(store.receiver, recorded.spans)
    with (
        remote_storage(tmp_path, "badger") as again,
        open_reader(again.address) as remote,
        open_reader(str(recorded.file)) as own,
    ):
        assert shown(remote, key, "tree") == shown(own, key, "tree")


def test_a_storage_that_was_restarted_is_read_on_by_a_reader_that_stays_open(
    recorded: Recorded, tmp_path: Path
) -> None:
    """As ``kubeweft serve --from`` stays, when the database before it is updated."""
    key = recorded.objects[0]
    with remote_storage(tmp_path, "badger") as store, open_reader(f"{store.address}?fresh=0") as remote:
        export(store.receiver, recorded.spans)
        text = shown(remote, key, "tree")
        store.component.stop()
        with pytest.raises(NotNow, match="cannot be reached"):
            shown(remote, key, "tree")
        store.component.start()

        def reads_on() -> bool:
            with contextlib.suppress(NotNow):
                return shown(remote, key, "tree") == text
            return False

        wait_until(reads_on, "the reader to find the storage again", seconds=ARRIVAL_SECONDS)


# ---------------------------------------------------------------------------------------------------------- whole chain


def ask(jaeger: str, path: str, **parameters: str) -> Any:
    """What Jaeger's query service answers to its UI."""
    url = f"{jaeger}{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]


def told(traces: list[dict[str, Any]]) -> list[Any]:
    """Traces in a form that does not depend on the order in which spans came, nor on the process that sent them."""
    return sorted(
        [
            (
                span["traceID"],
                span["spanID"],
                span["operationName"],
                span["startTime"],
                span["duration"],
                trace["processes"][span["processID"]]["serviceName"],
                sorted((tag["key"], str(tag["value"])) for tag in span["tags"]),
                sorted((one["refType"], one["traceID"], one["spanID"]) for one in span["references"]),
            )
            for trace in traces
            for span in trace["spans"]
        ]
    )


def test_jaeger_shows_the_same_whether_the_display_reads_its_own_file_or_a_remote_storage(
    recorded: Recorded, tmp_path: Path
) -> None:
    key = recorded.objects[0]
    start, end = min(s.start for s in recorded.spans), max(s.end for s in recorded.spans)
    tags = json.dumps({"resource": key.resource, "namespace": key.namespace, "name": key.name})
    searched = {"tags": tags, "start": str(start // 1000), "end": str(end // 1000 + 1), "limit": "20"}
    answers: dict[str, list[Any]] = {}

    def look(name: str, options: ServeOptions) -> None:
        with served(options) as where, jaeger_over(where.grpc, tmp_path / name) as jaeger:
            assert "tree" in ask(jaeger, "/api/services")
            for service in ("tree", "stored"):
                found = ask(jaeger, "/api/traces", service=service, **searched)
                assert found, f"nothing found by {service} from {name}"
                answers.setdefault(name, []).append(told(found))
                for trace in found:  # opened by its ID alone, as by a click
                    opened = ask(jaeger, f"/api/traces/{trace['traceID']}")
                    answers[name].append(told(opened))

    with remote_storage(tmp_path / "badger", "badger") as store:
        export(store.receiver, recorded.spans)
        look("remote", ServeOptions(grpc="127.0.0.1:0", source=store.address))
    look("own", ServeOptions(grpc="127.0.0.1:0", store=str(recorded.file)))
    assert answers["remote"] == answers["own"]


def test_a_live_rollout_is_read_back_from_the_storage_to_which_the_operator_exports(
    control_plane: ControlPlane, audit_target: AuditTarget, tmp_path: Path
) -> None:
    options = listening_at(audit_target, tmp_path / "token")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(remote_storage(tmp_path / "badger", "badger"))
        cluster = stack.enter_context(Cluster(control_plane.kubeconfig))
        cluster.install_crds()
        options |= {"otlp": f"grpc://{store.receiver}"}
        operator = stack.enter_context(OperatorProcess(tmp_path, control_plane.kubeconfig, options=options))
        namespace = stack.enter_context(cluster.namespace())
        Rollout(cluster.api, namespace=namespace, name="demo").run()
        own = stack.enter_context(open_reader(str(operator.store)))
        remote = stack.enter_context(open_reader(f"{store.address}?fresh=0"))
        [found] = _eventually(
            lambda: own.find_objects(
                ObjectQuery(resources=(("apps", "deployments"),), namespace=namespace, name="demo")
            )
        )
        wait_until(
            lambda: shown(remote, found.key, "tree") == shown(own, found.key, "tree"),
            "the storage to tell what our own store tells",
            seconds=ARRIVAL_SECONDS,
        )
        text = shown(remote, found.key, "tree")
    assert "11 objects" in text  # the Deployment, two ReplicaSets and eight Pods
    assert "spec.replicas 2 → 4" in text


def _eventually(look: Callable[[], list[Any]]) -> list[Any]:
    found: list[Any] = []

    def looked() -> bool:
        found[:] = look()
        return bool(found)

    wait_until(looked, "the Deployment to be stored", seconds=ARRIVAL_SECONDS)
    return found
