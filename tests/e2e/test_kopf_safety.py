"""Kopf is tame: what bears the marks of other operators is left alone, and nothing in a cluster ends the operator.

One operator, with the shipped rights by a service account of which half has been taken away again, among objects with
finalizers and annotations of others, a dead aggregated API, and definitions that come and go. Proved by the objects
themselves and by the audit log, which holds every request of the operator.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from acting_alone import is_allowed, log_everything_of
from cluster_requests import CRDS, JSON_PATCH, POLICIES, RBAC, ROOT, Cluster, Json, config_map, policy
from controlplane.kubeconfigs import embedded
from controlplane.plane import ControlPlane
from controlplane.testing import wait_until
from foreign_objects import (
    FINALIZERS,
    GROUP,
    custom,
    definition,
    foreign_objects,
    marked,
    owned_by_others,
)
from kubectl_command import Kubectl
from kubeweft.control.watching.handlers import safe_settings
from kubeweft.model import vocabulary as v
from ledger import StoredSpans, audit_entries
from operator_process import OperatorProcess

ACCOUNT = "system:serviceaccount:kubeweft-system:kubeweft"
SYSTEM = "kubeweft-system"
ALLOWED, FORBIDDEN = "churn.example.org", "hidden.example.org"
BUILT_IN = f"{RBAC}/clusterroles/kubeweft-watcher-builtin"
ROUNDS, AT_A_TIME = 3, 5
Seen = set[tuple[str, str]]


@dataclass
class Story:
    """What happened, in the order of the fields; versions of objects are those that the test itself wrote last."""

    namespace: str = ""
    written: dict[str, Json] = field(default_factory=dict)
    found: dict[str, Json] = field(default_factory=dict)
    leaving: dict[str, Json] = field(default_factory=dict)
    freed: dict[str, int] = field(default_factory=dict)
    churned: Seen = field(default_factory=set)
    seen: Seen = field(default_factory=set)
    policy: Json = field(default_factory=dict)
    ready: tuple[int, str] = (0, "")
    log: str = ""
    requests: list[Json] = field(default_factory=list)
    users: set[str] = field(default_factory=set)


class Watching:
    """An operator, and which objects its store tells of."""

    def __init__(self, operator: OperatorProcess) -> None:
        self.operator = operator
        self._spans = StoredSpans(operator.store)

    def seen(self) -> Seen:
        """Type and name of all objects of which a change is stored."""
        return {(s.key.resource, s.key.name) for s in self._spans.now() if s.source == "change"}

    def rounds(self, name: str) -> set[str]:
        """The resource versions of an object that are stored, deletion marks included."""
        return {
            str(s.attributes[v.RESOURCE_VERSION])
            for s in self._spans.now()
            if s.source == "change" and s.key.name == name
        }

    def wait(self, *objects: tuple[str, str]) -> None:
        try:
            wait_until(lambda: self.seen().issuperset(objects), "objects to be seen")
        except AssertionError as error:
            missing = set(objects) - self.seen()
            raise AssertionError(f"{error}: {missing}\n{self.operator.log_text()[-3000:]}") from None


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane without nodes that logs every request of the operator."""
    folder = tmp_path_factory.mktemp("kopf-plane")
    with ControlPlane(folder / "plane", nodes=0, audit_policy=log_everything_of(ACCOUNT, folder)) as plane:
        yield plane


@pytest.fixture(scope="module")
def story(plane: ControlPlane, kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("kopf")
    told = Story()
    with Cluster(plane.kubeconfig) as cluster, cluster.namespace(pods=False) as told.namespace:
        account = grant_half_of_the_rights(plane, Kubectl(kubectl, plane.kubeconfig), cluster, folder)
        cluster.install_crds()
        create_foreign_objects(cluster, told)
        watched = ("configmaps", f"guards.{GROUP}")
        with OperatorProcess(folder, account, watched=watched) as operator:
            watching = Watching(operator)
            cluster.wait_in_force(f"{POLICIES}/foreign")
            change_foreign_objects(cluster, told)
            delete_under_foreign_guard(cluster, told)
            churn(cluster, told, watching)
            watching.wait(("configmaps", "foreign"), ("guards", "foreign"))
            look_again(cluster, told, watching)
            told.ready = operator.ask("/readyz")
        told.log = operator.log_text()
        release(cluster, told)
    entries = list(audit_entries(plane.audit_log))
    told.requests = [entry for entry in entries if entry["user"]["username"] == ACCOUNT]
    told.users = {entry["user"]["username"] for entry in entries if is_ours(entry)}
    return told


def is_ours(entry: Json) -> bool:
    """Whether the operator or the Kopf in it made a request."""
    agent = entry.get("userAgent", "").lower()
    return "kubeweft" in agent or "kopf" in agent


def grant_half_of_the_rights(plane: ControlPlane, kubectl: Kubectl, cluster: Cluster, folder: Path) -> Path:
    """As the README says, then every second group of built-in types is taken away; gives the account's kubeconfig."""
    kubectl("create", "namespace", SYSTEM)
    kubectl("create", "serviceaccount", "kubeweft", "-n", SYSTEM)
    kubectl("apply", "-k", ROOT / "config" / "rbac")
    rules = cluster.get(BUILT_IN)["rules"]
    cluster.send(
        "PATCH", BUILT_IN, [{"op": "replace", "path": "/rules", "value": rules[::2]}], kind=JSON_PATCH
    )
    more = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "churn", "labels": {"kubeweft.io/aggregate-to-watcher": "true"}},
        "rules": [{"apiGroups": [ALLOWED, GROUP], "resources": ["*"], "verbs": ["get", "list", "watch"]}],
    }
    cluster.apply(f"{RBAC}/clusterroles", more)
    summed = f"{RBAC}/clusterroles/kubeweft-watcher"
    wanted = len(rules[::2]) + len(more["rules"])
    wait_until(lambda: len(cluster.get(summed)["rules"] or ()) == wanted, "the roles to be summed up")
    token = kubectl("create", "token", "kubeweft", "-n", SYSTEM, "--duration=1h").strip()
    content = yaml.safe_load(embedded(plane.kubeconfig))
    content["users"][0]["user"] = {"token": token}
    file = folder / "account.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def create_foreign_objects(cluster: Cluster, told: Story) -> None:
    """Before the operator starts. One ConfigMap and one custom resource are being deleted, and held."""
    for collection, document in foreign_objects(told.namespace):
        path = f"{collection}/{document['metadata']['name']}"
        if "foreign.example.org/" in collection:
            wait_until(lambda: cluster.attempt("GET", collection)[0] == 200, "the type to be served")  # noqa: B023
        told.written[path] = cluster.create(collection, marked(document))
        if document["kind"] in ("ConfigMap", "Guard"):
            cluster.create(collection, marked(document, name="leaving"))
            cluster.delete(f"{collection}/leaving")
            told.leaving[f"{collection}/leaving"] = cluster.get(f"{collection}/leaving")
    guard = f"/apis/{GROUP}/v1/namespaces/{told.namespace}/guards/foreign"
    progress = {"status": {"kopf": {"progress": {"create_fn": {"retries": 7}}}}}
    told.written[guard] = cluster.merge(f"{guard}/status", progress)


def change_foreign_objects(cluster: Cluster, told: Story) -> None:
    """While the operator runs: content, and a mark."""
    for path in told.written:
        for number in ("1", "2"):
            change: Json = {"metadata": {"annotations": {"example.org/note": f"still not yours: {number}"}}}
            if "configmaps" in path:
                change["data"] = {"round": number}
            elif "guards/" in path:
                change["spec"] = {"round": number}
            told.written[path] = cluster.merge(path, change)


def delete_under_foreign_guard(cluster: Cluster, told: Story) -> None:
    """While the operator runs, policies and rules too are deleted, and held by others; one that nobody holds goes."""
    for collection, document in foreign_objects(told.namespace):
        if document["kind"] in ("TracingPolicy", "LinkRule", "ConfigMap"):
            path = f"{collection}/held"
            created = cluster.create(collection, marked(document, name="held"))
            if document["kind"] != "ConfigMap":
                wait_until(lambda: cluster.reason(path), "the status")  # noqa: B023
            cluster.delete(path)
            told.leaving[path] = cluster.get(path)
            assert told.leaving[path]["metadata"]["uid"] == created["metadata"]["uid"]
    free = f"{POLICIES}/free"
    cluster.create(POLICIES, policy("free"))
    cluster.wait_in_force(free)
    cluster.delete(free)
    told.freed[free] = cluster.attempt("GET", free)[0]


def churn(cluster: Cluster, told: Story, watching: Watching) -> None:
    """Definitions come, are used and go, some of them forbidden to the operator; in the end one comes back changed."""
    for number in range(ROUNDS):
        names = [f"churn{number}{letter}s" for letter in "abcde"[:AT_A_TIME]]
        groups = [ALLOWED if place % 2 == 0 else FORBIDDEN for place in range(AT_A_TIME)]
        for name, group in zip(names, groups, strict=True):
            cluster.apply(CRDS, definition(name, group=group))
        for name, group in zip(names, groups, strict=True):
            use(cluster, told.namespace, name, group=group)
        used = {(name, "used") for name, group in zip(names, groups, strict=True) if group == ALLOWED}
        watching.wait(*used)
        told.churned |= used
        for name, group in zip(names, groups, strict=True):
            cluster.remove_crd(f"{name}.{group}")
    cluster.apply(CRDS, definition("churn0as", group=ALLOWED, namespaced=False))
    use(cluster, "", "churn0as", group=ALLOWED, name="back")
    cluster.create(f"/api/v1/namespaces/{told.namespace}/configmaps", config_map("new", text="new"))
    watching.wait(("churn0as", "back"), ("configmaps", "new"))


def use(cluster: Cluster, namespace: str, plural: str, *, group: str, name: str = "used") -> None:
    collection = f"/apis/{group}/v1" + (f"/namespaces/{namespace}" if namespace else "") + f"/{plural}"
    wait_until(lambda: cluster.attempt("GET", collection)[0] == 200, f"{plural} to be served")
    with_status = custom(plural, name, group=group, size=1)
    wait_until(
        lambda: cluster.attempt("POST", collection, with_status)[0] in (201, 409), f"{plural} to be used"
    )


def look_again(cluster: Cluster, told: Story, watching: Watching) -> None:
    """How everything is after a while, in which the operator has seen all of it."""
    watched = [o for path, o in told.written.items() if "configmaps" in path or "guards/" in path]
    for obj in watched:
        version = obj["metadata"]["resourceVersion"]
        wait_until(lambda: version in watching.rounds("foreign"), "the newest version to be seen")  # noqa: B023
    for path in told.written:
        told.found[path] = cluster.get(path)
    for path in told.leaving:
        told.found[path] = cluster.get(path)
    told.policy = cluster.get(f"{POLICIES}/foreign")
    told.seen = watching.seen()


def release(cluster: Cluster, told: Story) -> None:
    """Their owners let go of what is being deleted; everything else is taken away."""
    nobody = [{"op": "remove", "path": "/metadata/finalizers"}]
    for path in told.leaving:
        cluster.send("PATCH", path, nobody, kind=JSON_PATCH)
        told.freed[path] = cluster.attempt("GET", path)[0]
    for path in reversed(told.written):
        cluster.send("PATCH", path, nobody, kind=JSON_PATCH)
        with contextlib.suppress(AssertionError):
            cluster.delete(path)


# ---------------------------------------------------------------------------------------------- nothing is touched


def test_objects_of_others_are_as_their_owners_left_them(story: Story) -> None:
    """To the last field: not even their version has changed."""
    whole = {path for path in story.written if "configmaps" in path or "guards/" in path}
    assert len(whole) == 2
    for path in whole:
        assert story.found[path] == story.written[path]


def test_marks_stay_on_what_kopf_watches(story: Story) -> None:
    """Policies, rules, definitions and API services: beyond their status nothing is another."""
    assert len(story.written) == 6
    for path, written in story.written.items():
        assert story.found[path]["metadata"]["finalizers"] == FINALIZERS
        assert owned_by_others(story.found[path]) == owned_by_others(written)


def test_only_the_status_of_our_own_objects_is_managed_by_us(story: Story) -> None:
    for path, found in story.found.items():
        ours = [e for e in found["metadata"]["managedFields"] if "kubeweft" in e["manager"]]
        if "/kubeweft.io/" in path:
            assert ours, path
            assert all(e["subresource"] == "status" and set(e["fieldsV1"]) == {"f:status"} for e in ours)
        else:
            assert ours == []


def test_what_is_being_deleted_is_held_by_its_owners_alone(story: Story) -> None:
    assert len(story.leaving) == 5
    for path, before in story.leaving.items():
        now = story.found[path]
        assert now["metadata"]["deletionTimestamp"] == before["metadata"]["deletionTimestamp"]
        assert sorted(now["metadata"]["finalizers"]) == sorted(FINALIZERS)
        assert owned_by_others(now) == owned_by_others(before)


def test_deletion_never_waits_for_us(story: Story) -> None:
    """It is complete in the moment in which its last owner lets go, and at once where there is none."""
    assert set(story.leaving) < set(story.freed)
    assert set(story.freed.values()) == {404}


def test_the_operator_wrote_nothing_but_status(story: Story) -> None:
    verbs = Counter(request["verb"] for request in story.requests)
    assert verbs["watch"] > 20, verbs
    assert verbs["patch"] >= 2, verbs
    assert [request for request in story.requests if not is_allowed(request)] == []
    assert story.users == {ACCOUNT}


def test_nothing_can_bear_what_kopf_takes_for_its_own(plane: ControlPlane) -> None:
    ours = safe_settings().persistence.finalizer
    bearing = config_map("impossible")
    bearing["metadata"]["finalizers"] = [ours]
    with Cluster(plane.kubeconfig) as cluster:
        status, answer = cluster.attempt("POST", "/api/v1/namespaces/default/configmaps", bearing)
    assert status == 422
    assert ours in answer


# ------------------------------------------------------------------------------------------------- nothing stops it


def test_definitions_that_come_and_go_are_followed(story: Story) -> None:
    assert len(story.churned) == ROUNDS * 3
    assert story.churned <= story.seen
    assert ("churn0as", "back") in story.seen
    assert ("configmaps", "new") in story.seen
    assert not [
        name for name, _ in story.seen if name in {f"churn{n}{x}s" for n in range(ROUNDS) for x in "bd"}
    ]


def test_half_of_the_types_are_forbidden_and_said_to_be(story: Story) -> None:
    answers = {
        (about.get("apiGroup", ""), about["resource"], request["responseStatus"]["code"])
        for request in story.requests
        if request["verb"] in ("list", "watch") and (about := request.get("objectRef") or {})
    }
    forbidden = {(group, resource) for group, resource, code in answers if code == 403}
    listed = {(group, resource) for group, resource, code in answers if code == 200}
    assert len(forbidden) > 20
    assert len(listed) > 20
    conditions = {c["type"]: c for c in story.policy["status"]["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("True", "Tracing")
    reachable = conditions["ClustersReachable"]
    assert (reachable["status"], reachable["reason"]) == ("True", "Forbidden")
    assert "secrets" in reachable["message"]


def test_it_is_well_and_never_stumbled(story: Story) -> None:
    assert story.ready == (200, "ok\n")
    assert "Traceback" not in story.log
    errors = [line for line in story.log.splitlines() if " ERROR " in line or " CRITICAL " in line]
    assert errors == []
