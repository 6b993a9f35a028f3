"""Every built-in rule links what it says, on a real control plane: the shipped manifests, real objects, real controllers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykube
import pytest
import yaml

from controlplane.testing import wait_until
from kubeweft.model import vocabulary as v
from kubeweft.store.interfaces import ObjectQuery
from kubeweft.store.sqlite_reader import SqliteReader
from operator_process import OperatorProcess

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "config" / "link-rules").glob("*.yaml"))
HERE = Path(__file__).parent / "link_rules"
SPACE = "relations"
Link = tuple[str, str, str, str]  # rule, source, role of the target, target

EXPECTED: set[Link] = {
    ("owner", "replicasets/web", "Parent", "deployments/web"),
    ("owner", "pods/web", "Parent", "replicasets/web"),
    ("pod-node", "pods/web", "Peer", "nodes/node"),
    ("pod-secret", "pods/web", "Peer", "secrets/tls"),
    ("pod-secret", "pods/web", "Peer", "secrets/pull"),
    ("pod-configmap", "pods/web", "Peer", "configmaps/settings"),
    ("pod-persistentvolumeclaim", "pods/web", "Peer", "persistentvolumeclaims/data"),
    ("pod-serviceaccount", "pods/web", "Peer", "serviceaccounts/robot"),
    ("pod-priorityclass", "pods/web", "Peer", "priorityclasses/relations-high"),
    ("persistentvolumeclaim-volume", "persistentvolumeclaims/data", "Peer", "persistentvolumes/relations-volume"),
    ("volume-storageclass", "persistentvolumes/relations-volume", "Peer", "storageclasses/relations-disk"),
    ("volume-storageclass", "persistentvolumeclaims/data", "Peer", "storageclasses/relations-disk"),
    ("service-pods", "services/web", "Child", "pods/web"),
    ("endpointslice-service", "endpointslices/web", "Peer", "services/web"),
    ("ingress-service", "ingresses/web", "Peer", "services/web"),
    ("httproute-service", "httproutes/web", "Peer", "services/web"),
    ("horizontalpodautoscaler-target", "horizontalpodautoscalers/web", "Peer", "deployments/web"),
    ("poddisruptionbudget-pods", "poddisruptionbudgets/web", "Peer", "pods/web"),
    ("networkpolicy-pods", "networkpolicies/web", "Peer", "pods/web"),
    ("job-cronjob", "jobs/tick-now", "Parent", "cronjobs/tick"),
    ("rolebinding-role", "rolebindings/readers", "Peer", "roles/reader"),
    ("rolebinding-role", "clusterrolebindings/relations-readers", "Peer", "clusterroles/relations-reader"),
    ("rolebinding-subjects", "rolebindings/readers", "Peer", "serviceaccounts/robot"),
    ("rolebinding-subjects", "clusterrolebindings/relations-readers", "Peer", "serviceaccounts/robot"),
    ("webhook-service", "validatingwebhookconfigurations/relations-checks", "Peer", "services/web"),
    ("apiservice-service", "apiservices/v1.dead.example.org", "Peer", "services/web"),
    ("helm-release", "configmaps/by-helm", "Parent", "releases/shop"),
    ("argocd-application", "configmaps/by-argo", "Parent", "applications/shop"),
    ("argocd-application", "configmaps/by-argo-label", "Parent", "applications/shop"),
    ("flux-kustomization", "configmaps/by-flux", "Parent", "kustomizations/apps"),
    ("flux-helmrelease", "configmaps/by-flux-helm", "Parent", "helmreleases/cache"),
    ("crossplane-claim", "xdatabases/relations-orders", "Parent", "databases/orders"),
    ("federated-member", "networkpolicies/federated", "Child", "east:networkpolicies/federated"),
    ("federated-by", "networkpolicies/member", "Parent", "hub:networkpolicies/member"),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(
    kubeconfig: Path, kubectl: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """An operator under which the rules, and then the world they speak of, have been applied with kubectl."""
    folder = tmp_path_factory.mktemp("link-rules")

    def apply(*arguments: object, text: str | None = None) -> None:
        command = [str(kubectl), "--kubeconfig", str(kubeconfig), *map(str, arguments)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    apply("apply", "--server-side", "--force-conflicts", "-f", ROOT / "crds")
    apply("apply", "-f", HERE / "crds.yaml")
    apply("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    with OperatorProcess(folder, kubeconfig) as operator:
        apply("apply", "-k", ROOT / "config" / "link-rules")
        apply("wait", "--for=condition=Ready", "linkrules", "--all", "--timeout=45s")
        for name in (SPACE, "argocd"):
            apply("create", "namespace", name)
        text = (HERE / "world.yaml").read_text().replace("{namespace}", SPACE)
        documents = [document for document in yaml.safe_load_all(text) if document]
        elsewhere = [d for d in documents if "namespace" in d["metadata"]]  # kubectl's -n refuses these
        apply("apply", "-f", "-", text=yaml.safe_dump_all(elsewhere))
        apply(
            "apply",
            "-n",
            SPACE,
            "-f",
            "-",
            text=yaml.safe_dump_all(d for d in documents if d not in elsewhere),
        )
        apply("create", "job", "tick-now", "--from=cronjob/tick", "-n", SPACE)
        yield operator
        apply("delete", "apiservice", "v1.dead.example.org")
        apply("delete", "linkrules", "--all")
        apply("delete", "namespace", SPACE, "argocd", "--wait=false")


def links_in(store: Path) -> set[Link]:
    """All links of rules from the side of their source, names without what controllers add to them."""
    found: set[Link] = set()
    with SqliteReader(store) as reader:
        objects = reader.find_objects(ObjectQuery(limit=5_000))
        for one in objects:
            windows = reader.windows_of(one.key, since=0, until=2**63 - 1)
            for span in reader.spans_of([window.trace_id for window in windows]):
                if span.source == "link":
                    text = {name: str(value) for name, value in span.attributes.items()}
                    cluster = text[v.LINK_CLUSTER]
                    target = f"{text[v.LINK_RESOURCE]}/{plain(text[v.LINK_RESOURCE], text[v.LINK_NAME])}"
                    target = target if cluster == span.key.cluster else f"{cluster}:{target}"
                    source = f"{span.key.resource}/{plain(span.key.resource, span.key.name)}"
                    found.add((text[v.LINK_RULE], source, text[v.LINK_ROLE], target))
    return found


def plain(resource: str, name: str) -> str:
    """``web-6d4b75cb6d-x2x5p`` is one of ``web``."""
    return name.partition("-")[0] if resource in ("pods", "replicasets", "endpointslices", "nodes") else name


def test_every_shipped_rule_is_expected_to_link_something() -> None:
    names = {
        yaml.safe_load(file.read_text())["metadata"]["name"] for file in RULES if file.stem != "kustomization"
    }
    assert names == {rule for rule, *_ in EXPECTED}


def test_each_rule_links_what_it_says(world: OperatorProcess) -> None:
    missing: set[Link] = set(EXPECTED)

    def complete() -> bool:
        missing.intersection_update(EXPECTED - links_in(world.store))
        return not missing

    try:
        wait_until(complete, "all links", seconds=60)
    except AssertionError:
        raise AssertionError(f"not linked: {sorted(missing)}\n{world.log_text()[-3000:]}") from None


def test_each_link_is_told_at_its_other_end_too(world: OperatorProcess) -> None:
    inverse = {"Parent": "Child", "Child": "Parent", "Peer": "Peer"}
    links = links_in(world.store)
    for rule, source, role, target in EXPECTED:
        if ":" not in target:
            assert (rule, target, inverse[role], source) in links, (rule, target)


def test_the_status_counts_what_was_linked(world: OperatorProcess, api: pykube.HTTPClient) -> None:
    def counted() -> bool:
        status = {rule["metadata"]["name"]: rule.get("status", {}) for rule in _rules(api)}
        return all(status[rule].get("matchedObjects", 0) and _links(status[rule]) for rule, *_ in EXPECTED)

    wait_until(counted, "the counters of all rules", seconds=75)
    for rule in _rules(api):
        assert rule["status"]["evaluationErrors"] == 0, rule


def _links(status: dict[str, Any]) -> int:
    return int(status.get("resolvedLinks", 0)) + int(status.get("unresolvedLinks", 0))


def _rules(api: pykube.HTTPClient) -> list[dict[str, Any]]:
    answer = api.get(version="kubeweft.io/v1alpha1", url="linkrules")
    api.raise_for_status(answer)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
