"""What policies select, keep and hide on a real cluster, while an operator runs on and policies come, change and go.

Each kind of selecting is tried on changes, Kubernetes Events and audited requests alike. What leaves to receivers is in
``test_policy_exporters``, what the store forgets in ``test_policy_retention``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_requests import Cluster, Json, policy
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from kubectl_command import Kubectl
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from ledger import audit_entries
from operator_process import OperatorProcess, listening_at
from policy_stage import CONFIG_MAPS, Stage
from policy_values import REDACTION, Values
from store_contents import decoded, in_spans, on_disk

ROBOT = "robot-0c9f3e7a"
MAPS: Json = {"resources": [CONFIG_MAPS]}


@pytest.fixture(scope="module")
def robot(control_plane: ControlPlane) -> Iterator[Cluster]:
    """Another user, who may do everything too."""
    with Cluster(control_plane.kubeconfig_for(ROBOT, groups=("system:masters",))) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def stage(
    control_plane: ControlPlane, audit_target: AuditTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Audited requests come by both inlets, and nothing is traced but by the policy of a test."""
    folder = tmp_path_factory.mktemp("features")
    options = listening_at(audit_target, folder / "token") | {
        "audit-log": control_plane.audit_log,
        "without-policy": "nothing",
    }
    with Cluster(control_plane.kubeconfig) as cluster:
        cluster.install_crds()
        with OperatorProcess(folder, control_plane.kubeconfig, options=options, watched=()) as operator:
            stage = Stage(cluster, operator)
            with stage.watching("configmaps", "namespaces"):
                yield stage
                stage.check_silence()


@pytest.fixture
def here(stage: Stage) -> Iterator[str]:
    with stage.cluster.namespace(pods=False) as namespace:
        yield namespace


@pytest.fixture
def there(stage: Stage) -> Iterator[str]:
    with stage.cluster.namespace(pods=False) as namespace:
        yield namespace


def label(stage: Stage, namespace: str, **labels: str | None) -> None:
    """Change the labels of a namespace, for which a policy has to trace namespaces, and wait until that is seen."""
    changed = stage.cluster.merge(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})
    version = changed["metadata"]["resourceVersion"]
    wait_until(
        lambda: any(
            s.attributes.get(v.RESOURCE_VERSION) == version
            for s in stage.spans("", namespace)
            if s.source == "change"
        ),
        f"the labels of {namespace} to be seen",
    )


# ------------------------------------------------------------------------------------------------------- selecting


def test_labels_of_objects(stage: Stage, here: str) -> None:
    """An object that gets the label begins to be traced, one that loses it stops."""
    expression = {"key": "tier", "operator": "In", "values": ["web", "api"]}
    with stage.policy(match={**MAPS, "objectSelector": {"matchExpressions": [expression]}}):
        for name, tier in (("out", "db"), ("in", "web"), ("always", "api")):
            stage.create(here, name, labels={"tier": tier})
        stage.wait_created(here, "always")
        unseen = [stage.stir(here, "out")]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(here, "in"), stage.stir(here, "always")])

        version = stage.merge(here, "out", {"metadata": {"labels": {"tier": "api"}}})
        first = stage.wait_version(here, "out", version)
        assert "tier" in str(first.attributes[v.WORDS])
        assert any(s.body for s in stage.spans(here, "out")), "nobody could tell what it is"
        stage.merge(here, "in", {"metadata": {"labels": {"tier": "db"}}})
        version = stage.merge(here, "always", {"data": {"step": "2"}})
        stage.wait_version(here, "always", version)
        unseen = [stage.stir(here, "in")]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(here, "out"), stage.stir(here, "always")])


def test_labels_of_namespaces(stage: Stage, here: str, there: str) -> None:
    """The labels change while it runs, and with them what is traced, also of objects that nobody touched meanwhile."""
    namespaces = {"resources": [{"apiGroups": [""], "resources": ["namespaces"]}]}
    chosen = {**MAPS, "namespaceSelector": {"matchLabels": {"team": "blue"}}}
    with stage.policy(match=namespaces), stage.policy(match=chosen):
        label(stage, there, team="blue")
        for namespace in (here, there):
            stage.create(namespace, "thing")
        unseen = [stage.stir(here, "thing")]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(there, "thing")])

        label(stage, here, team="blue")
        label(stage, there, team="red")
        unseen = [stage.stir(there, "thing")]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(here, "thing")])
        assert any(s.body for s in stage.spans(here, "thing")), "nobody could tell what it is"

        label(stage, here, team=None)
        label(stage, there, team="blue")
        unseen = [stage.stir(here, "thing")]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(there, "thing")])


def test_conditions(stage: Stage, here: str, there: str) -> None:
    """What an expression says of the object, its namespace and its cluster; where it fails, nothing is selected."""
    conditions = [
        {"name": "high", "expression": "object.data.level == 'high'"},
        {"name": "team", "expression": "namespaceObject.metadata.labels['team'] == 'blue'"},
        {"name": "place", "expression": "cluster.name == 'local' && cluster.labels['env'] == 'test'"},
    ]
    namespaces = {"resources": [{"apiGroups": [""], "resources": ["namespaces"]}]}
    with stage.policy(match=namespaces):
        label(stage, here, team="blue")
        label(stage, there, team="red")
        for name, level in (("early", "high"), ("early-low", "low")):
            stage.create(here, name, data={"level": level})
        with stage.policy(
            match={**MAPS, "matchConditions": conditions},
            clusters=[{"name": "local", "labels": {"env": "test"}}],
        ) as path:
            stage.create(there, "fits", data={"level": "high"})
            stage.create(here, "low", data={"level": "low"})
            stage.create(here, "without")
            stage.create(here, "fits", data={"level": "high"})
            stage.wait_created(here, "fits")
            unseen = [stage.stir(there, "fits"), stage.stir(here, "low"), stage.stir(here, "without")]
            stage.check_stirs(unseen=unseen, seen=[stage.stir(here, "fits")])
            failed = f'kubeweft_match_condition_errors_total{{policy="{path.rpartition("/")[2]}"}}'
            assert stage.operator.metric(failed) >= 2  # "without", created and stirred
            stage.tell(here, "early-low", "never touched")
            stage.tell(here, "early", "never touched")
            wait_until(lambda: stage.spans(here, "early"), "an Event about an object from before the policy")
            assert stage.spans(here, "early-low") == []

            stage.merge(here, "fits", {"data": {"level": "low"}})
            version = stage.merge(here, "without", {"data": {"level": "high"}})
            stage.wait_version(here, "without", version)
            unseen = [stage.stir(here, "fits")]
            stage.check_stirs(unseen=unseen, seen=[stage.stir(here, "without")])


def test_names_of_namespaces_and_what_is_excluded(stage: Stage, here: str, there: str) -> None:
    resources = [{"apiGroups": [""], "resources": ["configmaps", "services"]}]
    match = {
        "resources": resources,
        "namespaces": [here, there],
        "excludeNamespaces": [there],
        "excludeResources": [{"apiGroups": ["*"], "resources": ["services"]}],
    }
    with stage.cluster.namespace(pods=False) as elsewhere, stage.policy(match=match) as path:
        for namespace in (here, there, elsewhere):
            stage.create(namespace, "thing")
        stage.create(here, "thing", resource="services", spec={"ports": [{"port": 80}]})
        unseen = [
            stage.stir(there, "thing"),
            stage.stir(elsewhere, "thing"),
            stage.stir(here, "thing", resource="services"),
        ]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(here, "thing")])
        stage.change(path, match={"resources": resources, "excludeNamespaces": [here]})
        unseen = [stage.stir(here, "thing")]
        seen = [
            stage.stir(there, "thing"),
            stage.stir(elsewhere, "thing"),
            stage.stir(there, "thing"),
        ]
        stage.check_stirs(unseen=unseen, seen=seen)


# --------------------------------------------------------------------------------------------------------- sources


def test_metadata_alone_then_everything_then_metadata(stage: Stage, here: str) -> None:
    """Values are in the store only if they were written while everything was wanted; switching is no change."""
    services = {"resources": [{"apiGroups": [""], "resources": ["services"]}], "namespaces": [here]}

    def spec(mode: str) -> Json:
        return {"match": services, "sources": {"objects": {"mode": mode}}}

    def value(step: str) -> Json:
        return {"type": "ExternalName", "externalName": f"canary-5a3f10-{step}.example.com"}

    def write(step: str) -> Span:
        patch = {"metadata": {"annotations": {"example.com/step": step}}, "spec": value(step)}
        return stage.wait_version(here, "thing", stage.merge(here, "thing", patch, resource="services"))

    def said(change: Span) -> str:
        return f"{change.attributes[v.WORDS]} {change.attributes[v.PATCH]}"

    with stage.policy(**spec("Metadata")) as path:
        for name in ("quiet", "thing"):
            stage.create(here, name, resource="services", annotations={"a": "b"}, spec=value(name))
        change = write("first")
        assert "metadata.annotations['example.com/step']" in said(change)
        assert "canary" not in said(change)
        # A watch that begins anew is told again what came after the last checkpoint, with the values of then.
        stage.wait_checkpoint("services", str(change.attributes[v.RESOURCE_VERSION]))

        stage.change(path, **spec("Full"))
        grown = said(write("second"))
        assert "first → second" in grown
        assert "canary" not in grown, "what was there before is no change"
        snapshot = [s.body for s in stage.spans(here, "thing") if s.body][-1]
        assert json.loads(snapshot)["spec"]["externalName"] == "canary-5a3f10-second.example.com"
        assert "spec.externalName canary-5a3f10-second.example.com → canary-5a3f10-third" in said(
            write("third")
        )

        stage.change(path, **spec("Metadata"))
        after = said(write("fourth"))
        assert "third → fourth" in after
        assert "spec" not in after
        told = [s for s in stage.spans(here, "quiet") if s.source == "change"]
        assert len(told) == 1, "switching is told as a change of an object that nobody touched"

    store = stage.operator.store
    content = decoded(store, ("", "services")) + on_disk(store)
    found = {step for step in ("second", "third") if f"canary-5a3f10-{step}".encode() in content}
    assert found == {"second", "third"}, "the search finds nothing"
    for never in ("quiet", "thing", "first", "fourth"):
        assert f"canary-5a3f10-{never}".encode() not in content


def test_users_to_omit(stage: Stage, here: str, robot: Cluster) -> None:
    match = {**MAPS, "namespaces": [here]}
    with stage.policy(match=match, sources={"audit": {"omitUsers": [ROBOT]}}) as path:
        stage.create(here, "thing")
        omitted = stage.stir(here, "thing", by=robot)
        stage.check_stirs(seen=[stage.stir(here, "thing")], unseen=[])
        assert stage.sources_of(omitted) == {"change", "event"}
        stage.change(path, match=match)
        stage.wait(stage.stir(here, "thing", by=robot))


def test_requests_that_only_read(stage: Stage, here: str) -> None:
    """The audit policy tells of few of them; one goes through the API server to a Service."""

    def read(path: str) -> None:
        code, _ = stage.cluster.attempt("GET", f"/api/v1/namespaces/{here}/services/none/proxy/{path}")
        assert code in (404, 503)

    def requests() -> set[str]:
        return {str(s.attributes[v.URL_PATH]) for s in stage.spans(here, "none") if s.source == "request"}

    resources = [{"apiGroups": [""], "resources": ["configmaps", "services"]}]
    match = {"resources": resources, "namespaces": [here]}
    with stage.policy(match=match) as path:
        stage.create(here, "thing")
        read("omitted")
        stage.wait(stage.stir(here, "thing"))
        assert requests() == set()
        stage.change(path, match=match, sources={"audit": {"omitReadOnly": False}})
        read("kept")
        wait_until(requests, "the request that reads")
        assert {url.rpartition("/")[2] for url in requests()} == {"kept"}


def test_the_audit_log_file(stage: Stage, control_plane: ControlPlane, here: str) -> None:
    """Each request once: though both inlets tell of it, when the policy changes between them, and over a restart."""
    match = {**MAPS, "namespaces": [here]}

    def spec(mode: str) -> Json:
        return {"match": match, "sources": {"audit": {"mode": mode}}}

    with stage.policy(**spec("LogFile")) as path:
        stage.create(here, "thing")
        stage.wait(stage.stir(here, "thing"))
        stage.change(path, **spec("Webhook"))
        stage.wait(stage.stir(here, "thing"))
        stage.change(path, **spec("LogFile"))
        stage.wait(stage.stir(here, "thing"))
        stage.operator.interrupt()
        meanwhile = stage.stir(here, "thing")
        stage.operator.start_watching()
        stage.wait(stage.stir(here, "thing"))
        stage.wait(meanwhile)
        told = [s.attributes[v.AUDIT_ID] for s in stage.spans(here, "thing") if s.source == "request"]
        written = [
            entry["auditID"]
            for entry in audit_entries(control_plane.audit_log)
            if (about := entry.get("objectRef") or {}).get("namespace") == here
            and about["resource"] == "configmaps"
            and about.get("name") == "thing"
        ]
        assert len(written) >= 6
        assert sorted(map(str, told)) == sorted(written)


# ---------------------------------------------------------------------------------------------- diffs and secrets


def test_diffs(stage: Stage, here: str) -> None:
    """Ignored paths are in no diff and no body; a diff above the limit is cut, and the whole object follows."""
    ignored = ["data.noise", "data['odd.key']", "metadata.annotations['example.com/tick']"]
    ports = "spec.ports[*].targetPort"
    match = {
        "resources": [{"apiGroups": [""], "resources": ["configmaps", "services"]}],
        "namespaces": [here],
    }
    with stage.policy(match=match, diff={"ignorePaths": [*ignored, ports], "maxBytes": 256}):
        data = {"noise": "noise-0", "signal": "signal-0"}
        stage.create(here, "thing", annotations={"example.com/kept": "yes"}, data=data)
        ticked = {"metadata": {"annotations": {"example.com/tick": "noise-1"}}}
        loud = {**ticked, "data": {"noise": "noise-2", "odd.key": "noise-3", "signal": "signal-1"}}
        change = stage.wait_version(here, "thing", stage.merge(here, "thing", loud))
        assert change.attributes[v.WORDS] == "data.signal signal-0 → signal-1"

        large = {"data": {"large": "x" * 300}}
        cut = stage.wait_version(here, "thing", stage.merge(here, "thing", large))
        assert cut.attributes[v.PATCH_TRUNCATED] is True
        assert v.PATCH not in cut.attributes
        version = cut.attributes[v.RESOURCE_VERSION]
        bodies = [
            s.body
            for s in stage.spans(here, "thing")
            if s.attributes.get(v.RESOURCE_VERSION) == version and s.body
        ]
        assert [json.loads(body)["data"]["large"] for body in bodies] == ["x" * 300]

        ports_of = {"spec": {"ports": [{"port": 80, "targetPort": 8080, "name": "a"}]}}
        stage.create(here, "service", resource="services", **ports_of)
        ports_of["spec"]["ports"] = [{"port": 80, "targetPort": 9090, "name": "b"}]
        version = stage.merge(here, "service", ports_of, resource="services")
        words = str(stage.wait_version(here, "service", version).attributes[v.WORDS])
        assert "a → b" in words
        assert "target" not in words
        assert b"noise-" not in b"".join(in_spans(stage.spans(here)))


def test_redaction_takes_effect_at_once_also_for_what_was_known_before(
    stage: Stage, here: str, robot: Cluster
) -> None:
    match = {**MAPS, "namespaces": [here]}
    before, after = Values("0before0"), Values("0after0")
    with stage.policy(match=match) as path:
        for name in ("one", "two"):
            stage.create(here, name)
            before.write(stage, here, name, by=robot)
        told = b"".join(in_spans(stage.spans(here)))
        assert all(secret.encode() in told for secret in (*before.secret, ROBOT))
        known = len(stage.spans(here))

        stage.change(path, match=match, redaction=REDACTION)
        for name in ("one", "two"):
            after.write(stage, here, name, by=robot)
        told = b"".join(in_spans(stage.spans(here)[known:]))
        assert b"0after0" in told
        assert {s for s in (*before.secret, *after.secret, ROBOT) if s.encode() in told} == set()
        content = decoded(stage.operator.store, ("", "configmaps")) + on_disk(stage.operator.store)
        assert {s for s in after.secret if s.encode() in content} == set()
        digests = {json.loads(body)["data"]["digested"] for body in last_bodies(stage, here, "one", "two")}
        assert len(digests) == 1, "equal values have equal digests"
        users = users_of(stage.spans(here, "one", "two")[known:])
        assert len([user for user in users if user.startswith("hmac:")]) >= 2, users

        known = len(stage.spans(here))
        stage.change(path, match=match, redaction={**REDACTION, "userIdentity": "Omit"})
        after.write(stage, here, "one", by=robot)
        assert users_of(stage.spans(here)[known:]) == {"***"}


def users_of(spans: list[Span]) -> set[str]:
    return {str(s.attributes[v.USER]) for s in spans if s.source == "request"}


def last_bodies(stage: Stage, namespace: str, *names: str) -> list[bytes]:
    """The newest snapshot of each."""
    return [[s.body for s in stage.spans(namespace, name) if s.body][-1] for name in names]


# ---------------------------------------------------------------------------------------------- how a policy stands


def test_suspending_and_resuming(stage: Stage, here: str, there: str) -> None:
    """A suspended policy is ready, as it was asked to be, and traces nothing; another one goes on."""
    match, other = ({**MAPS, "namespaces": [namespace]} for namespace in (here, there))
    with stage.policy(match=match) as path, stage.policy(match=other):
        for namespace in (here, there):
            stage.create(namespace, "thing")
        stage.wait(stage.stir(here, "thing"))
        stage.change(path, reason="Suspended", match=match, suspend=True)
        assert stage.condition(path, "Ready")["status"] == "True"
        unseen = [stage.stir(here, "thing")]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(there, "thing")])
        stage.change(path, match=match)
        stage.check_stirs(unseen=unseen, seen=[stage.stir(here, "thing")])


def test_of_two_descriptions_of_a_cluster_the_one_of_higher_priority_holds(
    stage: Stage, here: str, there: str
) -> None:
    """The other policy says so, names the winner, and works by the winner's words; what it selects adds up."""

    def spec(env: str, namespace: str, priority: int) -> Json:
        condition = {"name": "env", "expression": f"cluster.labels['env'] == {env!r}"}
        clusters = [{"name": "local", "labels": {"env": env}}]
        match = {**MAPS, "namespaces": [namespace], "matchConditions": [condition]}
        return {"priority": priority, "clusters": clusters, "match": match}

    def check(*, winner: str, loser: str) -> None:
        stage.cluster.wait_in_force(winner)
        stage.cluster.wait_in_force(loser, reason="Conflicted")
        accepted = stage.condition(loser, "Accepted")
        assert (accepted["status"], accepted["reason"]) == ("True", "Conflicted")
        assert repr(winner.rpartition("/")[2]) in accepted["message"]
        assert "'env'" in accepted["message"]
        assert stage.condition(loser, "Ready")["status"] == "True"

    with (
        stage.policy(**spec("first", here, 10)) as first,
        stage.policy(reason="Conflicted", **spec("second", there, 5)) as second,
    ):
        check(winner=first, loser=second)
        for namespace in (there, here):
            stage.create(namespace, "thing")
        stage.wait_created(here, "thing")
        unseen = [stage.stir(there, "thing")]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(here, "thing")])

        stage.cluster.change_policy(second, **spec("second", there, 20))
        check(winner=second, loser=first)
        stage.wait(stage.stir(there, "thing"))
        unseen = [stage.stir(here, "thing")]
        stage.check_stirs(unseen=unseen, seen=[stage.stir(there, "thing")])


# --------------------------------------------------------------------------------------------------------- kubectl


RICH: Json = {
    "clusters": [{"name": "local", "labels": {"env": "dev"}}],
    "match": {
        **MAPS,
        "namespaceSelector": {"matchLabels": {"a": "b"}},
        "objectSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
        "matchConditions": [{"name": "n", "expression": "object.kind != ''"}],
    },
    "sampling": {"percent": 10, "maxSpansPerSecond": 100},
    "retention": {"maxAge": "24h", "maxBytes": "10Gi"},
    "redaction": REDACTION,
    "diff": {"ignorePaths": ["metadata.managedFields"], "maxBytes": 1024},
}


@pytest.mark.parametrize("spec", [{}, RICH], ids=["empty", "rich"])
def test_kubectl(
    stage: Stage, kubectl: Path, control_plane: ControlPlane, tmp_path: Path, spec: Json
) -> None:
    """Waits for it, shows it in columns, and finds nothing to change when it is applied again."""
    run = Kubectl(kubectl, control_plane.kubeconfig)
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy("by-kubectl", **spec)))
    apply = ("apply", "--server-side", "-f", file)
    try:
        assert run(*apply) == "tracingpolicy.kubeweft.io/by-kubectl serverside-applied\n"
        waited = run("wait", "--for=condition=Ready", "tracingpolicy/by-kubectl", "--timeout=40s")
        assert waited == "tracingpolicy.kubeweft.io/by-kubectl condition met\n"
        head, row = run("get", "tracingpolicies", "by-kubectl").splitlines()
        assert head.split() == ["NAME", "READY", "REASON", "CLUSTERS", "AGE"]
        assert row.split()[:-1] == ["by-kubectl", "True", "Tracing", "1/1", "ready"]
        head, row = run("get", "tracingpolicies", "by-kubectl", "-o", "wide").splitlines()
        assert head.split() == ["NAME", "READY", "REASON", "CLUSTERS", "SAMPLING", "SUSPENDED", "AGE"]
        assert row.split()[5:7] == [str(spec.get("sampling", {}).get("percent", 100)), "false"]

        assert run("diff", "--server-side", "-f", file) == ""
        before = stage.cluster.get("/apis/kubeweft.io/v1alpha1/tracingpolicies/by-kubectl")
        run(*apply)
        after = stage.cluster.get("/apis/kubeweft.io/v1alpha1/tracingpolicies/by-kubectl")
        assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1
        assert after["spec"] == before["spec"]
        assert run("diff", "--server-side", "-f", file) == ""
    finally:
        run("delete", "tracingpolicy", "by-kubectl")
