"""The clusters that policies name: what each policy says about them, and what they all come to. Pure.

A cluster is one thing to all policies. Where two describe it differently, the policy that comes first decides, and the
other is told: by priority, then age, then name. What a policy selects there is not touched by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kubeweft.control.compiling.referring import References
from kubeweft.control.compiling.verdicts import ClusterUse, PartOf, Problem, Unresolved
from kubeweft.control.declared.schema import Cluster, KubeconfigRef, TokenRef
from kubeweft.control.declared.secrets import Known
from kubeweft.model.plan import JoinedCluster

LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Naming:
    """One policy's words about its clusters. Several are given in the order of precedence."""

    policy: str
    clusters: tuple[Cluster, ...]


@dataclass(slots=True)
class Description:
    """One cluster as all policies together describe it; ``kubeconfig`` is None for the local one."""

    name: str
    kubeconfig: KubeconfigRef | None
    context: str = ""
    audit_token: TokenRef | None = None
    labels: dict[str, str] = field(default_factory=dict)
    said_by: dict[str, str] = field(default_factory=dict)

    def take(self, cluster: Cluster, policy: str) -> Iterator[str]:
        """Add what one more policy says; what another has said otherwise before is told, with that policy's name.

        A policy that means another cluster by this name adds nothing: its token would admit requests of that one.
        """
        if (self.kubeconfig, self.context) != (cluster.kubeconfig_secret_ref, cluster.context):
            yield self._conflict("kubeconfigSecretRef or context", self.said_by["kubeconfig"])
            return
        if cluster.audit_token_secret_ref is not None:
            if self.audit_token is None:
                self.audit_token = cluster.audit_token_secret_ref
                self.said_by["token"] = policy
            elif self.audit_token != cluster.audit_token_secret_ref:
                yield self._conflict("auditTokenSecretRef", self.said_by["token"])
        for key, value in sorted(cluster.labels.items()):
            self.said_by.setdefault(f"label {key}", policy)
            if self.labels.setdefault(key, value) != value:
                yield self._conflict(f"label {key!r}", self.said_by[f"label {key}"])

    def _conflict(self, what: str, winner: str) -> str:
        return f"cluster {self.name}: another {what} is given by policy {winner!r}, which comes first"


@dataclass(frozen=True, slots=True)
class Clusters:
    """What all policies come to: the clusters to join, and by policy what it does not get.

    ``audited`` are those with a reference to an audit token (see ``Plan``), also where what it leads to is not there.
    """

    joined: tuple[JoinedCluster, ...]
    audited: tuple[tuple[str, bool], ...]
    local_labels: Mapping[str, str]
    conflicts: Mapping[str, tuple[str, ...]]
    unresolved: Mapping[str, tuple[Unresolved, ...]]
    secrets: frozenset[str]


def check_clusters(clusters: Sequence[Cluster], *, own: str) -> Iterator[Problem]:
    """What is wrong with a policy's clusters by themselves; ``own`` is the name of the cluster Kubeweft runs in."""
    if not clusters:
        yield Problem("InvalidSpec", "spec.clusters", "must not be empty; leave it out for the local cluster")
    if sum(cluster.kubeconfig_secret_ref is None for cluster in clusters) > 1:
        message = "only one cluster may be without 'kubeconfigSecretRef' (the local one)"
        yield Problem("InvalidSpec", "spec.clusters", message)
    for cluster in clusters:
        field_name = f"spec.clusters[{cluster.name}]"
        if cluster.kubeconfig_secret_ref is None:
            yield from _check_local(field_name, cluster, own)
        elif cluster.name in (LOCAL, own):
            message = (
                "this is the cluster Kubeweft runs in: leave kubeconfigSecretRef out, or take another name"
            )
            yield Problem("InvalidSpec", f"{field_name}.name", message)


def uses_of(clusters: Iterable[Cluster], *, own: str) -> tuple[ClusterUse, ...]:
    """The clusters of a policy by the names that the plan knows them by."""
    return tuple(
        ClusterUse(c.name, own if c.kubeconfig_secret_ref is None and c.name == LOCAL else c.name)
        for c in clusters
    )


def secrets_of(clusters: Iterable[Cluster]) -> frozenset[str]:
    """All Secrets that a policy names for its clusters."""
    references = [r for c in clusters for r in (c.kubeconfig_secret_ref, c.audit_token_secret_ref)]
    return frozenset(reference.name for reference in references if reference is not None)


def combine_clusters(namings: Sequence[Naming], secrets: Known, *, own: str, namespace: str) -> Clusters:
    """All clusters that policies in force name, ``namings`` being in the order of precedence."""
    described: dict[str, Description] = {}
    conflicts: dict[str, tuple[str, ...]] = {}
    for naming in namings:
        told = [text for c in naming.clusters for text in _describe(described, c, naming.policy, own)]
        if told:
            conflicts[naming.policy] = tuple(told)
    local = described.pop(own, None)
    joined, missing, names = _resolve(described.values(), secrets, namespace)
    return Clusters(
        joined=joined,
        audited=tuple(
            (name, any(u.reason == "Pending" for u in missing[name]))
            for name, description in sorted(described.items())
            if description.audit_token is not None
        ),
        local_labels=dict(sorted(local.labels.items())) if local else {},
        conflicts=conflicts,
        unresolved={n.policy: tuple(u for c in n.clusters for u in missing.get(c.name, ())) for n in namings},
        secrets=names,
    )


def _check_local(field_name: str, cluster: Cluster, own: str) -> Iterator[Problem]:
    if cluster.name not in (LOCAL, own):
        message = (
            f"the cluster that Kubeweft runs in is called {own!r}: name that, or give a kubeconfigSecretRef"
        )
        yield Problem("InvalidSpec", f"{field_name}.name", message)
    if cluster.context:
        message = "it chooses within a kubeconfig: give a kubeconfigSecretRef, or remove it"
        yield Problem("InvalidSpec", f"{field_name}.context", message)
    if cluster.audit_token_secret_ref is not None:
        message = "the token of the local cluster is set by --audit-token-file: remove it"
        yield Problem("InvalidSpec", f"{field_name}.auditTokenSecretRef", message)


def _describe(described: dict[str, Description], cluster: Cluster, policy: str, own: str) -> Iterator[str]:
    (use,) = uses_of((cluster,), own=own)
    description = described.get(use.known_as)
    if description is None:
        description = described[use.known_as] = Description(
            use.known_as,
            cluster.kubeconfig_secret_ref,
            context=cluster.context,
            said_by={"kubeconfig": policy},
        )
    yield from description.take(cluster, policy)


def _resolve(
    descriptions: Iterable[Description], secrets: Known, namespace: str
) -> tuple[tuple[JoinedCluster, ...], dict[str, list[Unresolved]], frozenset[str]]:
    """The clusters whose Secrets are there, what is missing by cluster, and all Secrets that are named.

    A token that two clusters share would not tell which of them speaks: the one that was described first has it.
    """
    joined: list[JoinedCluster] = []
    missing: dict[str, list[Unresolved]] = {}
    names: set[str] = set()
    owners: dict[str, str] = {}
    for description in descriptions:
        references = References(PartOf("cluster", description.name), secrets, namespace=namespace)
        made = _join(description, references, owners)
        names |= references.names
        missing[description.name] = references.unresolved
        if references.all_there:
            joined.append(made)
    return tuple(sorted(joined, key=lambda c: c.name)), missing, frozenset(names)


def _join(description: Description, references: References, owners: dict[str, str]) -> JoinedCluster:
    kubeconfig, audit = description.kubeconfig, description.audit_token
    assert kubeconfig is not None, "the local cluster is not joined"
    content = references.value(kubeconfig.name, kubeconfig.key)
    token = references.token(audit.name, audit.key) if audit is not None else ""
    if audit is not None and token and owners.setdefault(token, description.name) != description.name:
        message = f"its token is that of the cluster {owners[token]} too: each cluster needs its own"
        references.refuse(audit.name, message, needed=False)
        token = ""
    return JoinedCluster(
        name=description.name,
        kubeconfig=content,
        context=description.context,
        labels=tuple(sorted(description.labels.items())),
        audit_token=token,
    )
