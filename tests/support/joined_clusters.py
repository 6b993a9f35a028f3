"""Control planes joined to another one: their kubeconfigs as Secrets there, and what policies and statuses say of them."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster_requests import RBAC, Cluster, Json, config_map
from controlplane.kubeconfigs import embedded
from controlplane.plane import ControlPlane
from controlplane.testing import wait_until
from kubeweft.model.spans import Span
from ledger import stored_spans
from operator_process import OperatorProcess

NAMESPACE = "kubeweft-system"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
TOLD_WITHIN = 30.0  # seconds in which a status says that a cluster cannot be reached
CONFIG_MAPS = {"resources": [{"apiGroups": [""], "resources": ["configmaps"]}]}


def start_together(*planes: ControlPlane) -> None:
    """Start several control planes at the same time."""
    with ThreadPoolExecutor(max_workers=len(planes)) as threads:
        for started in [threads.submit(plane.start) for plane in planes]:
            started.result()


class Remote:
    """A control plane that others may join: requests to it, and a namespace of its own in it."""

    def __init__(self, name: str, plane: ControlPlane) -> None:
        """``name`` is what policies call it. The plane runs."""
        self.name = name
        self.plane = plane
        self.cluster = Cluster(plane.kubeconfig)

    @contextlib.contextmanager
    def namespace(self) -> Iterator[str]:
        """A namespace for config maps."""
        with self.cluster.namespace(pods=False) as namespace:
            yield namespace

    def write(self, namespace: str, name: str) -> None:
        """Create a ConfigMap."""
        self.cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(name, text=name))

    def user(self, name: str, *rules: Json) -> Path:
        """The kubeconfig of a user with these rights over the whole cluster; without any given, to read everything."""
        given = list(rules) or [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
        self.cluster.apply(f"{RBAC}/clusterroles", _named("ClusterRole", name, rules=given))
        binding = _named(
            "ClusterRoleBinding",
            name,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            subjects=[{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        )
        self.cluster.apply(f"{RBAC}/clusterrolebindings", binding)
        return self.plane.kubeconfig_for(name)

    def forbid(self, user: str) -> None:
        """Take all rights from a user."""
        self.cluster.delete(f"{RBAC}/clusterrolebindings/{user}")


class Home:
    """The cluster that the operator runs in: its Secrets and its policies."""

    def __init__(self, cluster: Cluster) -> None:
        """Makes the namespace for the Secrets if it is not there, and installs the definitions."""
        self.cluster = cluster
        cluster.install_crds()
        cluster.apply(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        )

    def put_secret(self, name: str, content: Mapping[str, bytes]) -> None:
        """Create a Secret, or replace its content."""
        data = {key: base64.b64encode(value).decode() for key, value in content.items()}
        metadata = {"name": name, "namespace": NAMESPACE}
        self.cluster.apply(
            SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        )

    def put_kubeconfig(self, name: str, kubeconfig: Path, *, token: str = "") -> None:
        """The Secret by which policies join the cluster of this name."""
        extra = {"token": token.encode()} if token else {}
        self.put_secret(f"join-{name}", {"kubeconfig": embedded(kubeconfig), **extra})

    def state(self, policy: str, cluster: str) -> Json:
        """What the status of a policy says about one of its clusters; empty if it says nothing."""
        status = self.cluster.get(policy).get("status") or {}
        return next((c for c in status.get("clusters") or [] if c["name"] == cluster), {})

    def condition(self, policy: str, kind: str) -> Json:
        """A condition of a policy; empty if there is none."""
        status = self.cluster.get(policy).get("status") or {}
        return next((c for c in status.get("conditions") or [] if c["type"] == kind), {})

    def wait_state(
        self, policy: str, cluster: str, is_so: Callable[[Json], object], *, seconds: float = TOLD_WITHIN
    ) -> Json:
        """Wait until the status says so about a cluster; AssertionError with what it says instead."""
        try:
            wait_until(
                lambda: is_so(self.state(policy, cluster)), f"{cluster} in the status", seconds=seconds
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.cluster.get(policy).get('status')}") from None
        return self.state(policy, cluster)


def joined(name: str, *, token: bool = False, secret: str = "") -> Json:
    """An entry of ``spec.clusters`` for the Secret that ``put_kubeconfig`` wrote."""
    reference = {"name": secret or f"join-{name}"}
    entry: Json = {"name": name, "kubeconfigSecretRef": {**reference, "key": "kubeconfig"}}
    return entry | ({"auditTokenSecretRef": {**reference, "key": "token"}} if token else {})


def is_ready(state: Json) -> bool:
    """Whether a cluster is traced."""
    return state.get("ready") is True


class Seen:
    """What the store of an operator holds of some namespaces."""

    def __init__(self, operator: OperatorProcess, *namespaces: str) -> None:
        self._operator = operator
        self._namespaces = namespaces

    def spans(self, source: str) -> list[Span]:
        """All of one source."""
        return [s for s in stored_spans(self._operator.store, *self._namespaces) if s.source == source]

    def places(self, source: str = "change") -> set[tuple[str, str]]:
        """Cluster and name of the ConfigMaps that spans of a source are about."""
        return {
            (s.key.cluster, s.key.name)
            for s in self.spans(source)
            if s.key.resource == "configmaps" and s.key.name
        }

    def wait(self, *places: tuple[str, str], source: str = "change", seconds: float = 30) -> None:
        """Wait until these are stored."""
        try:
            wait_until(lambda: set(places) <= self.places(source), f"{places} as {source}", seconds=seconds)
        except AssertionError as error:
            log = self._operator.log_text()[-3000:]
            raise AssertionError(f"{error}: there are {self.places(source)}\n{log}") from None

    def gaps(self, cluster: str) -> list[Span]:
        """The gaps in a cluster, of all its types."""
        return [
            s for s in stored_spans(self._operator.store) if s.source == "gap" and s.key.cluster == cluster
        ]


def _named(kind: str, name: str, **fields: object) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        **fields,
    }
