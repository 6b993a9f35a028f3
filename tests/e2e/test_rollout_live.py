"""A rollout on the real control plane as ``kubeweft`` tells it, against the audit log and a watch of our own."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster_requests import Cluster, Json, config_map, owner
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from independent_watch import IndependentWatch, Line, namespaced
from kubeweft.display.history.manifest import manifest_at
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.timestamps import parse_timestamp
from kubeweft.store.sqlite_reader import SqliteReader
from ledger import (
    Ledger,
    is_acknowledged_write,
    make_ledger,
    state_of,
    stored_spans,
    wait_until_stored,
    written_in,
)
from operator_process import CLUSTER, OperatorProcess, found, kubeweft, listening_at, shown
from rollout import Rollout, deployment_manifest

WRITTEN = ("deployments.apps", "replicasets.apps", "pods", "configmaps")
ROLLOUT = ("deployments.apps", "replicasets.apps", "pods")


@dataclass(frozen=True)
class Story:
    """What happened in one namespace, told by witnesses (``lines``, ``audited``), and the store that must tell it."""

    namespace: str
    store: Path
    lines: list[Line]
    audited: list[Json]
    ledger: Ledger
    began: int
    shown: Json

    @property
    def spans(self) -> list[Json]:
        spans: list[Json] = self.shown["spans"]
        return spans

    @property
    def deployment(self) -> str:
        return f"deployments.apps/{self.namespace}/demo"

    def of_rollout(self) -> list[Line]:
        """Lines of what is shown under the Deployment."""
        return [line for line in self.lines if line.resource in ROLLOUT or line.name == "owned"]


def run_story(cluster: Cluster, namespace: str) -> None:
    """The five steps; before the last, ConfigMaps with two kinds of owners, and Events that repeat."""
    create, scale_up, change_image, scale_down, delete = Rollout(cluster.api, namespace=namespace).steps()
    for step in (create, scale_up):
        step.act()
    deployment = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/demo")
    node = cluster.get("/api/v1/nodes/node-1")
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    cluster.create(maps, config_map("owned", owners=(owner(deployment, controller=False),), size="small"))
    cluster.create(maps, config_map("of-node", owners=(owner(node),)))
    cluster.merge(f"{maps}/owned", {"data": {"size": "large"}})
    repeat_events(cluster, namespace, deployment)
    for step in (change_image, scale_down):
        step.act()
    delete.act()


def repeat_events(cluster: Cluster, namespace: str, deployment: Json) -> None:
    """An Event in each of the two forms that says again what it has said."""
    now = datetime.datetime.now(datetime.UTC)
    seconds, micros = now.strftime("%Y-%m-%dT%H:%M:%SZ"), now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    about = owner(deployment, namespace=namespace)
    metadata = {"namespace": namespace}
    core, newer = (
        f"/api/v1/namespaces/{namespace}/events",
        f"/apis/events.k8s.io/v1/namespaces/{namespace}/events",
    )
    old_form = {
        "metadata": {**metadata, "name": "demo.repeated"},
        "involvedObject": about,
        "reason": "Repeated",
        "message": "the same again",
        "type": "Warning",
        "source": {"component": "test"},
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "count": 1,
    }
    new_form = {
        "metadata": {**metadata, "name": "demo.series"},
        "regarding": about,
        "reason": "InSeries",
        "note": "and again",
        "type": "Normal",
        "action": "Testing",
        "reportingController": "example.com/test",
        "reportingInstance": "test-1",
        "eventTime": micros,
    }
    cluster.create(core, old_form)
    cluster.create(newer, new_form)
    for count in (2, 3):
        cluster.merge(f"{core}/demo.repeated", {"count": count})
        cluster.merge(f"{newer}/demo.series", {"series": {"count": count, "lastObservedTime": micros}})


@pytest.fixture(scope="module")
def story(
    control_plane: ControlPlane, audit_target: AuditTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    """Everything has happened, the operator has seen it and has ended."""
    folder = tmp_path_factory.mktemp("rollout")
    options = listening_at(audit_target, folder / "token")
    with (
        Cluster(control_plane.kubeconfig) as cluster,
        OperatorProcess(folder, control_plane.kubeconfig, options=options) as operator,
        cluster.namespace() as namespace,
    ):
        began = cluster_time(cluster, namespace)
        with IndependentWatch(control_plane.kubeconfig, namespaced(namespace)) as watch:
            run_story(cluster, namespace)

            def ledger() -> Ledger:
                return make_ledger(written_in(control_plane.audit_log, namespace, WRITTEN), list(watch.lines))

            wait_until(lambda: "owned" in gone(watch.lines), "the ConfigMap to go with its owner")
            wait_until_stored(ledger, operator.store, namespace)
        yield Story(
            namespace=namespace,
            store=operator.store,
            lines=watch.lines,
            audited=written_in(control_plane.audit_log, namespace, WRITTEN),
            ledger=ledger(),
            began=began,
            shown=shown(operator.store, "deployment/demo", "-n", namespace),
        )


def gone(lines: list[Line]) -> set[str]:
    return {line.name for line in lines if line.type == "DELETED"}


def cluster_time(cluster: Cluster, namespace: str) -> int:
    """When the namespace was made, by the API server's clock, in nanoseconds."""
    created = cluster.get(f"/api/v1/namespaces/{namespace}")["metadata"]["creationTimestamp"]
    return parse_timestamp(created)


def attribute(span: Json, name: str) -> Any:
    return span["attributes"].get(name)


# ------------------------------------------------------------------------------------------------- the whole truth


def test_there_is_one_root(story: Story) -> None:
    ids = {span["span_id"] for span in story.spans}
    assert len(ids) == len(story.spans)
    assert [s["object"] for s in story.spans if s["parent_span_id"] not in ids] == [story.deployment]
    assert story.shown["object"]["uids"] == [uid_of(story, "deployments.apps")]
    assert story.shown["truncated"] == []


def uid_of(story: Story, resource: str) -> str:
    (uid,) = {line.uid for line in story.lines if line.resource == resource}
    return uid


def test_every_acknowledged_write_is_one_request(story: Story) -> None:
    writes = {e["auditID"] for e in of_rollout(story) if is_acknowledged_write(e)}
    shown_requests = Counter(attribute(s, v.AUDIT_ID) for s in story.spans if s["source"] == "request")
    assert len(writes) > 50
    assert {i: n for i in writes if (n := shown_requests[i]) != 1} == {}
    assert shown_requests.keys() <= {e["auditID"] for e in story.audited}, "a request that nobody made"


def of_rollout(story: Story) -> list[Json]:
    return [e for e in story.audited if e["objectRef"]["resource"] != "configmaps"]


def test_every_version_is_one_change(story: Story) -> None:
    seen = Counter((line.uid, line.version) for line in story.of_rollout())
    changes = Counter(
        (attribute(s, v.UID), attribute(s, v.RESOURCE_VERSION))
        for s in story.spans
        if s["source"] == "change" and attribute(s, v.CHANGE_TYPE) != "Sighting"
    )
    assert len(seen) > 50
    assert set(seen.values()) == {1}
    assert changes == seen


def test_the_store_holds_no_more_than_what_happened(story: Story) -> None:
    story.ledger.check(
        span
        for span in stored_spans(story.store, story.namespace)
        if span.source != "change"
        or (span.attributes[v.UID], span.attributes[v.RESOURCE_VERSION]) in seen_by(story)
    )


def seen_by(story: Story) -> set[tuple[str, str]]:
    """Objects older than our watch (``kube-root-ca.crt``) and other types are not in its lines."""
    return {(line.uid, line.version) for line in story.lines}


def test_each_change_is_under_the_write_that_caused_it(story: Story) -> None:
    """All writers are in the audit log, so no change of the Deployment or a ReplicaSet may be left without one."""
    by_id = {span["span_id"]: span for span in story.spans}
    alone = [
        (span["object"], attribute(span, v.WORDS))
        for span in story.spans
        if span["source"] == "change"
        and span["object"].startswith(("deployments.apps/", "replicasets.apps/"))
        and by_id[span["parent_span_id"]]["source"] != "request"
    ]
    assert alone == []


def test_the_controllers_answer_is_under_its_status_update(story: Story) -> None:
    by_id = {span["span_id"]: span for span in story.spans}
    (observed,) = (
        span
        for span in story.spans
        if span["object"] == story.deployment
        and "status.observedGeneration 1 → 2" in str(attribute(span, v.WORDS)).splitlines()
    )
    request = by_id[observed["parent_span_id"]]
    assert request["source"] == "request"
    assert (attribute(request, v.VERB), attribute(request, v.SUBRESOURCE)) == ("update", "status")
    assert attribute(request, v.USER) == "system:serviceaccount:kube-system:deployment-controller"


def test_managed_fields_are_nowhere(story: Story) -> None:
    assert all("managedFields" in line.object["metadata"] for line in story.lines if line.resource in ROLLOUT)
    assert "managedFields" not in json.dumps(story.shown)
    for span in stored_spans(story.store):
        # Elsewhere the word may stand: the schema of our own CRD names the field.
        assert not span.body or "managedFields" not in json.loads(span.body)["metadata"]
        assert "/metadata/managedFields" not in str(span.attributes.get(v.PATCH, ""))


def test_all_replica_sets_pods_and_other_owned_objects_are_in_the_tree(story: Story) -> None:
    expected = {(line.resource, line.name) for line in story.of_rollout()}
    objects = {span["object"] for span in story.spans if span["source"] == "object"}
    assert objects == {f"{resource}/{story.namespace}/{name}" for resource, name in expected}
    kinds = Counter(resource for resource, _ in expected)
    assert kinds["replicasets.apps"] == 2
    assert kinds["pods"] >= 8
    assert kinds["configmaps"] == 1


def test_an_object_is_under_its_cluster_scoped_owner(story: Story) -> None:
    tree = shown(story.store, "node/node-1")
    by_id = {span["span_id"]: span for span in tree["spans"]}
    (owned,) = (
        s
        for s in tree["spans"]
        if s["object"] == f"configmaps/{story.namespace}/of-node" and s["source"] == "object"
    )
    assert by_id[owned["parent_span_id"]]["object"] == "nodes//node-1"


def test_every_state_of_every_event_is_there(story: Story) -> None:
    told = {state_of(line.object) for line in story.lines if line.resource == "events"}
    events = Counter(
        (attribute(s, v.EVENT_UID), attribute(s, v.EVENT_COUNT))
        for s in story.spans
        if s["source"] == "event"
    )
    assert events == Counter(told)
    for reason, in_series in (("Repeated", None), ("InSeries", True)):
        states = [s for s in story.spans if attribute(s, v.EVENT_REASON) == reason]
        assert [attribute(s, v.EVENT_COUNT) for s in states] == [1, 2, 3]
        assert attribute(states[-1], v.EVENT_SERIES) is in_series
        assert {s["object"] for s in states} == {story.deployment}


# ------------------------------------------------------------------------------------------- the object at a moment


def shown_start(story: Story, uid: str, version: str) -> str:
    (start,) = (
        s["start"]
        for s in story.spans
        if s["source"] == "change"
        and (attribute(s, v.UID), attribute(s, v.RESOURCE_VERSION)) == (uid, version)
        and attribute(s, v.CHANGE_TYPE) != "Sighting"
    )
    return str(start)


def as_kept(obj: Json) -> Json:
    """An object as it may be shown: all of it but managedFields."""
    return {**obj, "metadata": {k: value for k, value in obj["metadata"].items() if k != "managedFields"}}


@pytest.mark.parametrize("resource", ["deployments.apps", "replicasets.apps"])
def test_the_manifest_at_each_version_is_what_the_watch_saw(story: Story, resource: str) -> None:
    plural, _, group = resource.partition(".")
    versions = [line for line in story.lines if line.resource == resource and line.type != "DELETED"]
    assert len(versions) > 10
    with SqliteReader(story.store) as reader:
        for line in versions:
            key = ObjectKey(CLUSTER, group, plural, story.namespace, line.name)
            moment = parse_timestamp(shown_start(story, line.uid, line.version))
            assert manifest_at(reader, key, moment) == as_kept(line.object)


def test_show_at_gives_the_manifest_as_yaml_and_json(story: Story) -> None:
    of_deployment = [line for line in story.lines if line.resource == "deployments.apps"]
    line = next(line for line in of_deployment if line.object["spec"]["replicas"] == 4)
    at = ("--at", shown_start(story, line.uid, line.version))
    assert shown(story.store, "deployment/demo", "-n", story.namespace, *at) == as_kept(line.object)
    text = kubeweft("show", "deployment/demo", "-n", story.namespace, *at, "-o", "yaml", store=story.store)
    assert yaml.safe_load(text) == as_kept(line.object)
    wanted = deployment_manifest(story.namespace, "demo")["spec"]
    assert yaml.safe_load(text)["spec"]["selector"] == wanted["selector"]  # type: ignore[index]


# ----------------------------------------------------------------------------------------------- finding and reading


def names(objects: list[Json]) -> set[str]:
    return {str(o["name"]) for o in objects}


def test_search_by_kind_namespace_and_name(story: Story) -> None:
    pods = {line.name for line in story.lines if line.resource == "pods"}
    sets = {line.name for line in story.lines if line.resource == "replicasets.apps"}
    inside = ("-n", story.namespace)
    assert names(found(story.store, "--kind", "pod", *inside)) == pods
    assert names(found(story.store, "--kind", "rs", *inside)) == sets
    one = min(sets)
    assert names(found(story.store, "--name", f"{one}*", *inside)) == {
        n for n in pods | sets if n.startswith(one)
    }
    assert found(story.store, *inside, "--name", "nobody") == []


def test_search_by_text_and_time(story: Story) -> None:
    inside = ("-n", story.namespace)
    assert names(found(story.store, "the same again", *inside)) == {"demo"}
    assert "demo" in names(found(story.store, "--text", "deployment-controller", "--kind", "deploy", *inside))
    before = datetime.datetime.fromtimestamp(story.began // 10**9, datetime.UTC)
    day = datetime.timedelta(days=1)
    earlier = ("--since", (before - day).isoformat(), "--until", (before - day / 2).isoformat())
    assert found(story.store, *inside, *earlier) == []
    lately = ("--since", before.isoformat())
    assert {"demo", "owned"} <= names(found(story.store, *inside, *lately))


def test_piped_text_is_plain_and_whole(story: Story) -> None:
    text = kubeweft("show", "deployment/demo", "-n", story.namespace, store=story.store)
    assert "\x1b" not in text
    assert "spec.replicas 2 → 4" in text
    assert "spec.template.spec.containers[web].image nginx:1.26 → nginx:1.27" in text
    assert "delete by kubernetes-admin" in text
    for name in {line.name for line in story.of_rollout()}:
        assert name in text
    listing = kubeweft("search", "-n", story.namespace, store=story.store)
    assert "\x1b" not in listing
    assert "demo" in listing
