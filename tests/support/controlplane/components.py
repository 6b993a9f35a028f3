"""The command line of each component: pure, from layout, ports and settings, so that a flag and its reason stand side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.binaries.finding import Binaries
from controlplane.certificates import KeyPair
from controlplane.layout import AuditSettings, Layout, PlaneSettings, Ports

SERVICE_ADDRESS = "10.96.0.1"  # of the service `kubernetes`: the first of the range
FRONT_PROXY_USER = "front-proxy-client"
_SERVICE_CIDR = "10.96.0.0/16"
_POD_CIDR = "10.128.0.0/10"  # kwok gives pod addresses from it; large, so that a soak never runs out
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The files the components authenticate with and check each other by."""

    authority: KeyPair
    serving: KeyPair
    front_proxy: KeyPair
    service_accounts: KeyPair
    tokens: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a command line depends on."""

    binaries: Binaries
    layout: Layout
    ports: Ports
    settings: PlaneSettings
    credentials: Credentials


def etcd(plan: Plan) -> list[str]:
    """One member that never syncs to disk: what a crash of the machine would lose is only a test's."""
    client = f"http://{_LOOPBACK}:{plan.ports.etcd}"
    peer = f"http://{_LOOPBACK}:{plan.ports.etcd_peer}"
    return [
        str(plan.binaries["etcd"]),
        "--name=default",
        f"--data-dir={plan.layout.etcd}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
    ]


def apiserver(plan: Plan) -> list[str]:
    """kube-apiserver as kubeadm would run it, but on loopback, quick to stop, and told to audit."""
    keys = plan.credentials
    return [
        str(plan.binaries["kube-apiserver"]),
        f"--etcd-servers=http://{_LOOPBACK}:{plan.ports.etcd}",
        f"--bind-address={_LOOPBACK}",
        f"--secure-port={plan.ports.apiserver}",
        f"--advertise-address={_LOOPBACK}",
        "--endpoint-reconciler-type=none",  # Endpoints may not hold a loopback address
        f"--service-cluster-ip-range={_SERVICE_CIDR}",
        f"--tls-cert-file={keys.serving.certificate}",
        f"--tls-private-key-file={keys.serving.key}",
        f"--client-ca-file={keys.authority.certificate}",
        f"--token-auth-file={keys.tokens}",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys.service_accounts.certificate}",
        f"--service-account-signing-key-file={keys.service_accounts.key}",
        *_aggregation_flags(keys),
        *audit_flags(plan.settings.audit, plan.layout),
        *_tracing_flags(plan),
        "--allow-privileged=true",
        "--shutdown-delay-duration=0s",
        "--profiling=false",
        *plan.settings.apiserver_flags,
    ]


def _aggregation_flags(keys: Credentials) -> list[str]:
    """For APIServices; no kube-proxy runs, so a service's endpoints are dialled directly."""
    return [
        "--enable-aggregator-routing=true",
        f"--requestheader-client-ca-file={keys.authority.certificate}",
        f"--requestheader-allowed-names={FRONT_PROXY_USER}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={keys.front_proxy.certificate}",
        f"--proxy-client-key-file={keys.front_proxy.key}",
    ]


def audit_flags(audit: AuditSettings, layout: Layout) -> list[str]:
    """The log file blocks (the default), so it is exact; the webhook is batched and may lose what a crash finds in its buffer."""
    flags = [
        f"--audit-policy-file={audit.policy.resolve()}",
        f"--audit-log-path={layout.audit_log}",
        f"--audit-log-maxsize={audit.log_megabytes}",
    ]
    if audit.webhook is not None:
        flags.append(f"--audit-webhook-config-file={layout.settings / 'audit-webhook.yaml'}")
        flags.append("--audit-webhook-batch-max-wait=1s")  # default 30 s
    return flags


def _tracing_flags(plan: Plan) -> list[str]:
    if plan.settings.tracing is None:
        return []
    return [f"--tracing-config-file={plan.layout.settings / 'tracing.yaml'}"]


def controller_manager(plan: Plan) -> list[str]:
    """All controllers, each under its own service account as on real clusters: that is who the audit log then names."""
    keys = plan.credentials
    kubeconfig = plan.layout.users / "kube-controller-manager"
    return [
        str(plan.binaries["kube-controller-manager"]),
        *_component_flags(kubeconfig, port=plan.ports.controller_manager),
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={keys.service_accounts.key}",
        f"--root-ca-file={keys.authority.certificate}",
        f"--cluster-signing-cert-file={keys.authority.certificate}",
        f"--cluster-signing-key-file={keys.authority.key}",
        "--allocate-node-cidrs=false",
        "--kube-api-qps=200",  # default 20: a rollout of 100 Deployments should be limited by the machine
        "--kube-api-burst=400",
    ]


def scheduler(plan: Plan) -> list[str]:
    """The default scheduler with its default profile."""
    return [
        str(plan.binaries["kube-scheduler"]),
        *_component_flags(plan.layout.users / "kube-scheduler", port=plan.ports.scheduler),
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _component_flags(kubeconfig: Path, *, port: int) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={_LOOPBACK}",
        f"--secure-port={port}",
        "--leader-elect=false",  # there is only one, and waiting for an old lease would cost 15 s
        "--profiling=false",
    ]


def kwok(plan: Plan) -> list[str]:
    """Plays every node's kubelet with the stages of its own module."""
    stages: Sequence[Path] = sorted(plan.binaries.stages.glob("*.yaml"))
    return [
        str(plan.binaries["kwok"]),
        f"--kubeconfig={plan.layout.users / 'kwok'}",
        "--manage-all-nodes=true",
        "--node-lease-duration-seconds=40",
        f"--cidr={_POD_CIDR}",
        f"--server-address={_LOOPBACK}:{plan.ports.kwok}",
        *(f"--config={stage}" for stage in stages),
    ]
