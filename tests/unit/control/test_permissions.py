"""The RBAC that is shipped: reading only, few Secrets, and no write but to our own status and our own webhook."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG = Path(__file__).parents[3] / "config"
READING = {"get", "list", "watch"}


def documents(folder: str) -> list[dict[str, Any]]:
    return [
        document
        for path in sorted((CONFIG / folder).glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]


def roles() -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d for d in documents("rbac") if d["kind"] == "ClusterRole"}


def grants(role: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


def test_nothing_foreign_may_be_written() -> None:
    for name, role in roles().items():
        if name == "kubeweft-admission":
            continue
        for group, resource, verb in grants(role):
            if verb not in READING:
                assert group == "kubeweft.io", name
                assert resource.endswith("/status"), name
                assert verb in {"update", "patch"}, name


def test_of_webhooks_only_our_own_may_be_touched() -> None:
    (rule,) = roles()["kubeweft-admission"]["rules"]
    assert rule["apiGroups"] == ["admissionregistration.k8s.io"]
    assert rule["resources"] == ["validatingwebhookconfigurations"]
    assert rule["resourceNames"] == ["kubeweft-admission"]


def test_secrets_are_read_by_name_and_in_our_own_namespace_only() -> None:
    namespaced = [d for d in documents("rbac") if d["kind"] == "Role"]
    account = next(d for d in documents("default") if d["kind"] == "ServiceAccount")["metadata"]
    assert [role["metadata"]["namespace"] for role in namespaced] == [account["namespace"]]
    assert set(grants(namespaced[0])) == {("", "secrets", "get")}
    (binding,) = [d for d in documents("rbac") if d["kind"] == "RoleBinding"]
    assert binding["metadata"]["namespace"] == account["namespace"]
    assert binding["roleRef"]["name"] == namespaced[0]["metadata"]["name"]


def test_secrets_and_wildcards_are_not_in_the_default() -> None:
    granted = {grant for role in roles().values() for grant in grants(role)}
    assert not any("*" in grant for grant in granted)
    assert not any(resource == "secrets" for _, resource, _ in granted)


def test_the_watcher_is_the_sum_of_labelled_roles() -> None:
    (selector,) = roles()["kubeweft-watcher"]["aggregationRule"]["clusterRoleSelectors"]
    ((label, value),) = selector["matchLabels"].items()
    labelled = [n for n, r in roles().items() if r["metadata"]["labels"].get(label) == value]
    assert labelled == ["kubeweft-watcher-builtin"]
    (everything,) = documents("rbac/all")
    assert everything["metadata"]["labels"][label] == value
    assert {verb for _, _, verb in grants(everything)} == READING


def test_each_role_is_bound_to_the_service_account_that_the_deployment_uses() -> None:
    default = {d["kind"]: d for d in documents("default")}
    account = default["ServiceAccount"]["metadata"]
    bound = set()
    for binding in (d for d in documents("rbac") if d["kind"] == "ClusterRoleBinding"):
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
        bound.add(binding["roleRef"]["name"])
    assert bound == {
        "kubeweft-watcher",
        "kubeweft-policies",
        "kubeweft-operator",
        "kubeweft-admission",
    }
    assert default["Deployment"]["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]


@pytest.mark.parametrize("folder", ["rbac", "default"])
def test_kustomize_knows_every_file(folder: str) -> None:
    listed = yaml.safe_load((CONFIG / folder / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in (CONFIG / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert files == {name for name in listed if not name.startswith("..")}


def test_the_pod_is_locked_down() -> None:
    (deployment,) = [d for d in documents("default") if d["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == "kubeweft:dev"
    settings = {entry["name"].removeprefix("KUBEWEFT_").lower() for entry in container["env"]}
    assert {"store", "audit_listen", "status_listen", "cluster"} <= settings


def test_audit_events_need_the_token() -> None:
    """Whoever reaches the Service from inside the cluster could else tell stories."""
    (deployment,) = [d for d in documents("default") if d["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    token = next(e["value"] for e in container["env"] if e["name"] == "KUBEWEFT_AUDIT_TOKEN_FILE")
    mount = next(m for m in container["volumeMounts"] if token.startswith(f"{m['mountPath']}/"))
    volume = next(v for v in pod["volumes"] if v["name"] == mount["name"])
    assert not volume["secret"].get("optional")
