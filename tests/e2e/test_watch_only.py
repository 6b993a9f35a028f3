"""Without any audit log: what changed, who changed it as far as the objects tell, and a tree that reads well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster_requests import Cluster, Json
from controlplane.plane import ControlPlane
from independent_watch import IndependentWatch, Line, namespaced
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from ledger import Ledger, make_ledger, stored_spans, wait_until_stored
from operator_process import OperatorProcess, kubeweft, shown
from rollout import Rollout

ROLLOUT = ("deployments.apps", "replicasets.apps", "pods", "events")
OF_DELETION = "metadata.deletion"  # deletionTimestamp, deletionGracePeriodSeconds


@dataclass(frozen=True)
class Story:
    """A rollout as our own watch saw it, and the store of an operator that only watched."""

    namespace: str
    store: Path
    lines: list[Line]
    ledger: Ledger

    @property
    def changes(self) -> dict[tuple[str, str], Span]:
        """All steps by UID and version."""
        return {
            (str(s.attributes[v.UID]), str(s.attributes[v.RESOURCE_VERSION])): s
            for s in stored_spans(self.store, self.namespace)
            if s.source == "change" and s.attributes[v.CHANGE_TYPE] != "Sighting"
        }


@pytest.fixture(scope="module")
def story(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A rollout, watched."""
    folder = tmp_path_factory.mktemp("watch-only")
    kubeconfig = control_plane.kubeconfig
    with (
        Cluster(kubeconfig) as cluster,
        OperatorProcess(folder, kubeconfig) as operator,
        cluster.namespace() as namespace,
    ):
        paths = {name: path for name, path in namespaced(namespace).items() if name in ROLLOUT}
        with IndependentWatch(kubeconfig, paths) as watch:
            rollout = Rollout(cluster.api, namespace=namespace)
            rollout.run()
            wait_until_stored(lambda: make_ledger([], list(watch.lines)), operator.store, namespace)
        yield Story(namespace, operator.store, watch.lines, make_ledger([], watch.lines))


def newest_managers(obj: Json) -> set[str]:
    """Who wrote last, as the object itself tells: to the second, so it may be several."""
    managed = obj["metadata"]["managedFields"]
    newest = max(entry["time"] for entry in managed)
    return {entry["manager"] for entry in managed if entry["time"] == newest}


def writers(before: Json, after: Json) -> set[str]:
    """Who wrote the step between two versions: their entry is new or newer, or holds more than before."""
    old = {identity(entry): entry for entry in before["metadata"]["managedFields"]}
    found = set()
    for entry in after["metadata"]["managedFields"]:
        known = old.get(identity(entry))
        if known is None or known["time"] != entry["time"] or fields_of(entry) - fields_of(known):
            found.add(str(entry["manager"]))
    return found


def identity(entry: Json) -> tuple[str, str, str]:
    return entry["manager"], entry["operation"], entry.get("subresource", "")


def fields_of(entry: Json) -> set[str]:
    """All fields of a managedFields entry as paths."""

    def walk(fields: Json, path: str) -> Iterator[str]:
        for name, inner in fields.items():
            yield f"{path}/{name}"
            yield from walk(inner, f"{path}/{name}")

    return set(walk(entry["fieldsV1"], ""))


def test_every_version_is_one_change_and_nobody_asked(story: Story) -> None:
    spans = stored_spans(story.store, story.namespace)
    watched = {name.partition(".")[0] for name in ROLLOUT}
    story.ledger.check(s for s in spans if s.source != "change" or s.key.resource in watched)
    assert not [s for s in spans if s.source == "request"]


def test_each_change_names_who_wrote_last(story: Story) -> None:
    told, changes = Counter[str](), story.changes
    latest: dict[str, Json] = {}
    for line in story.lines:
        if line.type == "DELETED" or line.resource == "events":
            continue
        change, before = changes[line.uid, line.version], latest.get(line.uid)
        latest[line.uid] = line.object
        managers = set(filter(None, str(change.attributes.get(v.FIELD_MANAGER, "")).split(", ")))
        if OF_DELETION in str(change.attributes.get(v.WORDS, "")):
            assert not managers, "who deletes does not write its name into the object"
            continue
        if "spec.nodeName" in str(change.attributes.get(v.WORDS, "")):
            assert not managers, "a binding leaves managedFields as they were"
            continue
        sure = writers(before, line.object) if before else set()
        assert managers, change
        assert managers <= (sure or newest_managers(line.object)), change
        told.update(managers)
    assert told["kube-controller-manager"] > 10
    assert told["kwok"] + told["kube-scheduler"] > 0


def test_the_scaling_is_ascribed_to_who_scaled(story: Story) -> None:
    """Two write the Deployment within the same second: the controller only its status, we only its spec."""
    (scaled,) = (
        s
        for s in story.changes.values()
        if s.key.resource == "deployments" and "spec.replicas 2 → 4" in str(s.attributes.get(v.WORDS))
    )
    line = next(line for line in story.lines if line.version == scaled.attributes[v.RESOURCE_VERSION])
    (ours,) = (
        entry["manager"]
        for entry in line.object["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    )
    assert scaled.attributes[v.FIELD_MANAGER] == ours != "kube-controller-manager"


def test_the_tree_holds_everything_and_reads_well(story: Story) -> None:
    tree = shown(story.store, "deployment/demo", "-n", story.namespace)
    names = {(line.resource, line.name) for line in story.lines if line.resource != "events"}
    objects = {s["object"] for s in tree["spans"] if s["source"] == "object"}
    assert objects == {f"{resource}/{story.namespace}/{name}" for resource, name in names}
    text = kubeweft("show", "deployment/demo", "-n", story.namespace, store=story.store)
    for words in (
        "spec.replicas 2 → 4",
        "spec.template.spec.containers[web].image nginx:1.26 → nginx:1.27",
        "status.observedGeneration 1 → 2",
        "kube-controller-manager",
        "ScalingReplicaSet",
        "deleted",
    ):
        assert words in text
    for _, name in names:
        assert name in text
