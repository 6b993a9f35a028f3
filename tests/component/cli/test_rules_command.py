"""``kubeweft rules``: files in, links out, and an exit status that a pipeline can rely on; and against a cluster."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_line import Fails, Typed, one_line
from kubeweft.model.references import ResourceType
from listed_cluster import Asked, ListedCluster, listed

LIBRARY = Path(__file__).parents[3] / "config/link-rules"
LINK_RULES = ResourceType("kubeweft.io", "v1alpha1", "linkrules", "LinkRule", False)
POD_NODE = yaml.safe_load((LIBRARY / "pod-node.yaml").read_text())
SERVICE_PODS = yaml.safe_load((LIBRARY / "service-pods.yaml").read_text())
Object = dict[str, Any]


def make(api_version: str, kind: str, name: str, namespace: str = "", **fields: Any) -> Object:
    """An object."""
    labels = fields.pop("labels", None)
    metadata: Object = {"name": name}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= {"labels": labels} if labels else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def pod(name: str, namespace: str = "shop", node: str = "worker-1") -> Object:
    """A Pod of the Service ``web``, with a Secret."""
    volumes = [{"name": "tls", "secret": {"secretName": "tls"}}]
    return make(
        "v1", "Pod", name, namespace, labels={"app": "web"}, spec={"nodeName": node, "volumes": volumes}
    )


WORLD = [
    pod("web-1"),
    pod("web-2", node="worker-2"),
    pod("web-3"),
    pod("other", "elsewhere"),
    make("v1", "Node", "worker-1"),
    make("v1", "Service", "web", "shop", spec={"selector": {"app": "web"}}),
    make("v1", "Namespace", "shop", labels={"team": "a"}),
    make("v1", "Secret", "tls", "shop", data={"key": "c2VjcmV0"}),
]


def write(file: Path, *documents: Object) -> str:
    """Several documents in one file."""
    file.write_text(yaml.safe_dump_all(documents))
    return str(file)


def links(text: str) -> set[tuple[str, str, str]]:
    """Source, target and what is known of the target, from JSON."""
    return {
        (link["source"]["name"], link["target"]["name"], link["targetState"])
        for rule in json.loads(text)["rules"]
        for link in rule["links"]
    }


@pytest.fixture
def cluster() -> Iterator[ListedCluster]:
    """The world, on a server, with the rule ``pod-node`` in it."""
    with listed(ListedCluster([*WORLD, {**POD_NODE, "status": STATUS}], [LINK_RULES])) as served:
        yield served


STATUS = {
    "matchedObjects": 4,
    "resolvedLinks": 3,
    "unresolvedLinks": 1,
    "evaluationErrors": 0,
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Linking", "message": "objects matched: 4"},
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "the rule is understood"},
    ],
}


def test_a_rule_is_tried_on_the_objects_in_files(run: Typed, tmp_path: Path) -> None:
    write(tmp_path / "all.yaml", POD_NODE, *WORLD[:2], WORLD[4])
    done = run("rules", "test", "-f", "all.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "pod-node: 2 objects matched, 2 links, 1 to what is missing\n"
        "  OBJECT           IS LINKED TO    ROLE  CLASS   TARGET IS\n"
        "  pods shop/web-1  nodes worker-1  Peer  RunsOn  found\n"
        "  pods shop/web-2  nodes worker-2  Peer  RunsOn  missing\n"
    )


def test_rules_and_objects_may_be_in_several_files_and_in_folders(run: Typed, tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    write(tmp_path / "objects/pods.yaml", *WORLD[:3])
    (tmp_path / "objects/nodes.json").write_text(json.dumps(WORLD[4]))
    (tmp_path / "objects/values.yaml").write_text("replicas: 2\n")
    rule = write(tmp_path / "rule.yaml", POD_NODE)
    done = run("rules", "test", "-f", rule, "-f", "objects", "-o", "json", cwd=tmp_path)
    assert links(done.stdout) == {
        ("web-1", "worker-1", "found"),
        ("web-2", "worker-2", "missing"),
        ("web-3", "worker-1", "found"),
    }


def test_selectors_find_their_targets_among_the_files(run: Typed, tmp_path: Path) -> None:
    write(tmp_path / "all.yaml", SERVICE_PODS, *WORLD)
    done = run("rules", "test", "-f", "all.yaml", "-o", "json", cwd=tmp_path)
    assert {target for _, target, _ in links(done.stdout)} == {"web-1", "web-2", "web-3"}


def test_what_kubectl_prints_can_be_piped_in(
    run: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = write(tmp_path / "rule.yaml", POD_NODE)
    monkeypatch.setattr(
        "sys.stdin", io.StringIO(json.dumps({"apiVersion": "v1", "kind": "List", "items": WORLD}))
    )
    done = run("rules", "test", "-f", rule, "-f", "-", "pod/web-2", "-n", "shop", "-o", "json", cwd=tmp_path)
    assert links(done.stdout) == {("web-2", "worker-2", "missing")}


@pytest.mark.parametrize(
    ("demand", "objects", "status"),
    [
        ("unlinked", WORLD, 0),
        ("unlinked", WORLD[4:], 1),
        ("none", WORLD[4:], 0),
        ("unresolved", WORLD, 1),
        ("unresolved", [WORLD[0], WORLD[4]], 0),
    ],
)
def test_the_status_says_whether_the_rule_does_what_is_demanded(
    run: Typed, tmp_path: Path, demand: str, objects: list[Object], status: int
) -> None:
    write(tmp_path / "all.yaml", POD_NODE, *objects)
    assert run("rules", "test", "-f", "all.yaml", "--fail-on", demand, cwd=tmp_path).returncode == status


def test_a_failing_expression_is_told_and_no_success(run: Typed, tmp_path: Path) -> None:
    rule = json.loads(json.dumps(POD_NODE))
    rule["spec"]["targets"][0] = {
        "name": "x",
        "type": "CEL",
        "resource": {"resource": "nodes"},
        "cel": {"expression": "object.spec.nothing"},
    }
    write(tmp_path / "all.yaml", rule, *WORLD)
    done = run("rules", "test", "-f", "all.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "4 failed expressions" in done.stdout
    assert "failed for pods shop/web-1" in done.stdout
    assert "nothing" in done.stdout.rpartition("the first error: ")[2]


def test_one_object_is_asked_about_with_all_rules(run: Typed, tmp_path: Path) -> None:
    objects = write(tmp_path / "objects.yaml", *WORLD)
    done = run("rules", "test", "-f", LIBRARY, "-f", objects, "po", "web-1", "-n", "shop", cwd=tmp_path)
    assert done.returncode == 0
    assert "pod-node: 1 object matched, 1 link\n" in done.stdout
    assert "pod-secret: 1 object matched, 1 link\n" in done.stdout
    assert "ingress-service" not in done.stdout


def test_links_into_another_cluster(run: Typed, tmp_path: Path) -> None:
    annotated = make("v1", "ConfigMap", "settings", "shop")
    annotated["metadata"]["annotations"] = {"kubeweft.io/member": "east/shop/settings, west/shop/settings"}
    write(tmp_path / "hub.yaml", annotated)
    write(tmp_path / "east.yaml", make("v1", "ConfigMap", "settings", "shop"))
    words = [
        "--cluster",
        "hub",
        "--in",
        "east=east.yaml",
        "-f",
        "hub.yaml",
        "-f",
        str(LIBRARY / "federated-member.yaml"),
    ]
    done = run("rules", "test", *words, cwd=tmp_path)
    assert (
        "configmaps shop/settings  configmaps shop/settings in east  Child  FederatedTo  found" in done.stdout
    )
    assert (
        "configmaps shop/settings  configmaps shop/settings in west  Child  FederatedTo  not read"
        in done.stdout
    )


def test_a_suspended_rule_can_be_tried(run: Typed, tmp_path: Path) -> None:
    rule = json.loads(json.dumps(POD_NODE))
    rule["spec"]["suspend"] = True
    write(tmp_path / "all.yaml", rule, *WORLD)
    done = run("rules", "test", "-f", "all.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert "'pod-node' is suspended; it is tried as if it were not" in done.stderr


def broken() -> Object:
    """A rule with three mistakes."""
    rule: Object = json.loads(json.dumps(POD_NODE))
    rule["metadata"]["name"] = "broken"
    rule["spec"]["targets"][0]["fieldPath"]["name"] = ".spec"
    rule["spec"]["source"]["matchConditions"] = [{"name": "c", "expression": "object."}]
    rule["spec"]["link"] = {"role": "Peer", "grouping": "SameTrace"}
    return rule


@pytest.mark.parametrize("command", ["test", "check"])
def test_a_wrong_rule_is_refused_with_all_its_mistakes(fails: Fails, tmp_path: Path, command: str) -> None:
    write(tmp_path / "all.yaml", broken(), *WORLD)
    said = fails("rules", command, "-f", "all.yaml", cwd=tmp_path)
    assert "all.yaml: LinkRule 'broken': spec.targets[node].fieldPath.name" in said
    assert "spec.source.matchConditions[c].expression" in said
    assert "spec.link.role" in said


def test_check_compiles_and_nothing_else(run: Typed, tmp_path: Path) -> None:
    done = run("rules", "check", "-f", LIBRARY, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(" accepted ") == len(list(LIBRARY.glob("*.yaml"))) - 1
    write(tmp_path / "rule.yaml", broken())
    done = run("rules", "check", "-f", "rule.yaml", "-o", "json", cwd=tmp_path)
    (rule,) = json.loads(done.stdout)["rules"]
    assert (done.returncode, rule["verdict"], len(rule["problems"])) == (2, "refused", 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test", "-f", "nowhere.yaml"], "cannot read nowhere.yaml: No such file"),
        (["test", "-f", "objects.yaml"], "there is no LinkRule in these files"),
        (["test", "-f", "mixed.yaml", "widget/x"], "there is no object of a type 'widget' here"),
        (["test", "-f", "mixed.yaml", "pod/nobody"], "the files have no pods 'nobody'"),
        (["check", "-f", "objects.yaml"], "there is no LinkRule in these files"),
        (["explain", "-f", "mixed.yaml", "nobody"], "there is no LinkRule 'nobody'; there are: pod-node"),
        (["test", "-f", "mixed.yaml", "-f", "mixed.yaml"], "two LinkRules are called 'pod-node'"),
        (["list", "--kubeconfig", "nowhere"], "no usable kubeconfig"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    fails: Fails, tmp_path: Path, words: list[str], said: str
) -> None:
    write(tmp_path / "objects.yaml", *WORLD)
    write(tmp_path / "mixed.yaml", POD_NODE, *WORLD)
    assert said in one_line(fails("rules", *words, cwd=tmp_path))


def test_the_help_of_every_part_has_examples_and_tells_the_exit_status(run: Typed, tmp_path: Path) -> None:
    for name in ("test", "check", "list", "explain"):
        text = run("rules", name, "--help", cwd=tmp_path).stdout
        assert text.count(f"kubeweft rules {name}") >= 2, text
    assert "Exit status:" in run("rules", "test", "--help", cwd=tmp_path).stdout


def test_explaining_says_it_in_plain_words(run: Typed, tmp_path: Path) -> None:
    done = run("rules", "explain", "-f", LIBRARY, "service-pods", cwd=tmp_path)
    assert "reads        services\n" in done.stdout
    assert "pods whose labels are selected by spec.selector" in done.stdout
    assert "what happens to the target is shown under the object" in done.stdout


def test_a_refused_rule_is_explained_by_its_mistakes(run: Typed, tmp_path: Path) -> None:
    write(tmp_path / "rule.yaml", broken())
    done = run("rules", "explain", "-f", "rule.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout.count("  problem")) == (0, 3)
    assert "refused" in done.stdout


# ------------------------------------------------------------------------------------------------ a live cluster


def test_a_rule_is_tried_on_a_cluster(run: Typed, cluster: ListedCluster, tmp_path: Path) -> None:
    rule = write(tmp_path / "rule.yaml", POD_NODE)
    words = ["-f", rule, "--kubeconfig", cluster.kubeconfig(tmp_path), "-o", "json"]
    assert links(run("rules", "test", *words, cwd=tmp_path).stdout) == {
        ("web-1", "worker-1", "found"),
        ("web-2", "worker-2", "missing"),
        ("web-3", "worker-1", "found"),
        ("other", "worker-1", "found"),
    }
    assert set(cluster.asked) == {
        Asked("/api/v1/pods", False),
        Asked("/api/v1/nodes/worker-1", True),
        Asked("/api/v1/nodes/worker-2", True),
    }


def test_only_one_namespace_or_one_object_is_read(run: Typed, cluster: ListedCluster, tmp_path: Path) -> None:
    rule = write(tmp_path / "rule.yaml", POD_NODE)
    words = ["-f", rule, "--kubeconfig", cluster.kubeconfig(tmp_path), "-n", "shop", "-o", "json"]
    assert len(links(run("rules", "test", *words, cwd=tmp_path).stdout)) == 3
    assert Asked("/api/v1/namespaces/shop/pods", False) in cluster.asked
    cluster.asked.clear()
    assert links(run("rules", "test", *words, "pod/web-2", cwd=tmp_path).stdout) == {
        ("web-2", "worker-2", "missing")
    }
    assert cluster.asked[0] == Asked("/api/v1/namespaces/shop/pods/web-2", False)
    assert Asked("/api/v1/namespaces/shop/pods", False) not in cluster.asked


def test_selector_targets_are_read_by_their_metadata(
    run: Typed, cluster: ListedCluster, tmp_path: Path
) -> None:
    rule = write(tmp_path / "rule.yaml", SERVICE_PODS)
    done = run(
        "rules", "test", "-f", rule, "--kubeconfig", cluster.kubeconfig(tmp_path), "-o", "json", cwd=tmp_path
    )
    assert {target for _, target, _ in links(done.stdout)} == {"web-1", "web-2", "web-3"}
    assert Asked("/api/v1/pods", True) in cluster.asked
    assert Asked("/api/v1/pods", False) not in cluster.asked


def test_what_may_not_be_read_is_not_called_missing(
    run: Typed, cluster: ListedCluster, tmp_path: Path
) -> None:
    cluster.forbidden = {"nodes"}
    rule = write(tmp_path / "rule.yaml", POD_NODE)
    words = [
        "-f",
        rule,
        "--kubeconfig",
        cluster.kubeconfig(tmp_path),
        "--fail-on",
        "unresolved",
        "-o",
        "json",
    ]
    done = run("rules", "test", *words, cwd=tmp_path)
    assert {state for *_, state in links(done.stdout)} == {"not read"}
    assert done.returncode == 0
    assert "not read: nodes: not allowed: nodes is forbidden" in done.stderr


def test_sources_that_may_not_be_read_are_an_error(
    fails: Fails, cluster: ListedCluster, tmp_path: Path
) -> None:
    cluster.forbidden = {"pods"}
    rule = write(tmp_path / "rule.yaml", POD_NODE)
    said = fails("rules", "test", "-f", rule, "--kubeconfig", cluster.kubeconfig(tmp_path), cwd=tmp_path)
    assert "none of the rules' sources can be read: pods: not allowed" in said
    assert "the cluster has no pods 'nobody' in namespace shop" in _about_nobody(fails, cluster, tmp_path)


def _about_nobody(fails: Fails, cluster: ListedCluster, folder: Path) -> str:
    cluster.forbidden = set()
    where = ["--kubeconfig", cluster.kubeconfig(folder), "-n", "shop"]
    return fails("rules", "test", "-f", "rule.yaml", *where, "pod/nobody", cwd=folder)


def test_secrets_are_never_read_whole(run: Typed, cluster: ListedCluster, tmp_path: Path) -> None:
    rule = yaml.safe_load((LIBRARY / "helm-release.yaml").read_text())
    rule["spec"]["source"]["resources"] = [{"apiGroups": [""], "resources": ["secrets"]}]
    write(tmp_path / "rule.yaml", rule)
    words = ["-f", "rule.yaml", "--kubeconfig", cluster.kubeconfig(tmp_path), "--fail-on", "none"]
    assert run("rules", "test", *words, cwd=tmp_path).returncode == 0
    assert cluster.asked == [Asked("/api/v1/secrets", True)]


def test_root_owners_are_followed_through_the_cluster(run: Typed, tmp_path: Path) -> None:
    owned = pod("web-1")
    owned["metadata"]["ownerReferences"] = [_owner("apps/v1", "ReplicaSet", "web-5d")]
    middle = make("apps/v1", "ReplicaSet", "web-5d", "shop")
    middle["metadata"]["ownerReferences"] = [_owner("apps/v1", "Deployment", "web")]
    rule = json.loads(json.dumps(POD_NODE))
    rule["spec"]["targets"] = [{"name": "root", "type": "Owner", "owner": {"recursive": True}}]
    write(tmp_path / "rule.yaml", rule)
    with listed(ListedCluster([owned, middle, make("apps/v1", "Deployment", "web", "shop")])) as cluster:
        where = ["--kubeconfig", cluster.kubeconfig(tmp_path), "-o", "json"]
        done = run("rules", "test", "-f", "rule.yaml", *where, cwd=tmp_path)
    assert links(done.stdout) == {("web-1", "web", "found")}


def _owner(api_version: str, kind: str, name: str) -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": name, "controller": True}


def test_the_rules_of_a_cluster_are_listed_explained_and_tried(
    run: Typed, cluster: ListedCluster, tmp_path: Path
) -> None:
    where = ["--kubeconfig", cluster.kubeconfig(tmp_path)]
    listing = run("rules", "list", *where, cwd=tmp_path).stdout.splitlines()
    assert listing[1].split() == ["pod-node", "True", "Linking", "Peer", "RunsOn", "4", "3", "1", "0"]
    (rule,) = json.loads(run("rules", "list", *where, "-o", "json", cwd=tmp_path).stdout)["rules"]
    assert (rule["name"], rule["resolvedLinks"]) == ("pod-node", 3)
    explained = run("rules", "explain", "pod-*", *where, cwd=tmp_path).stdout
    assert "Ready is True, Linking: objects matched: 4" in explained
    tried = run("rules", "test", "pod/web-1", "-n", "shop", *where, cwd=tmp_path)
    assert (tried.returncode, "pods shop/web-1  nodes worker-1" in tried.stdout) == (0, True)


def test_a_cluster_without_the_definition_of_rules(fails: Fails, tmp_path: Path) -> None:
    with listed(ListedCluster(WORLD)) as cluster:
        said = fails("rules", "list", "--kubeconfig", cluster.kubeconfig(tmp_path), cwd=tmp_path)
    assert "kubeweft crds --apply" in one_line(said)
