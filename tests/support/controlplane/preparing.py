"""Everything a control plane needs on disk before its first process starts: ports, certificates, kubeconfigs, settings."""

import dataclasses
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from controlplane import components as commands
from controlplane import kubeconfigs
from controlplane.binaries.finding import Binaries
from controlplane.certificates import Authority, service_account_keys
from controlplane.layout import Layout, PlaneSettings, Ports
from controlplane.ports import is_listening
from controlplane.processes import Component

CONTROLLERS = ("kube-controller-manager", "kube-scheduler", "kwok")
_GRACE_SECONDS = {"kube-apiserver": 4.0, "etcd": 5.0}
_CONTROLLER_GRACE_SECONDS = 3.0
# kwok stands in for every kubelet, each of which might write its own node only: hence its rights.
_COMPONENT_USERS = {
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kwok": ("kwok", ("system:masters",)),
}


class Prepared:
    """A folder made ready for one run: who may log in where, and the components in the order to start them."""

    def __init__(self, layout: Layout, settings: PlaneSettings, binaries: Binaries) -> None:
        self.layout = layout
        self.ports = _choose_ports(layout)
        self.url = f"https://127.0.0.1:{self.ports.apiserver}"
        self._authority = Authority(layout.pki)
        plan = commands.Plan(
            binaries=binaries,
            layout=layout,
            ports=self.ports,
            settings=settings,
            credentials=_make_credentials(layout, self._authority),
        )
        self._write_kubeconfigs()
        _write_settings(layout, settings, self._authority)
        self.components = _make_components(plan)

    def _write_kubeconfigs(self) -> None:
        self.write_kubeconfig(self.layout.kubeconfig, user="kubernetes-admin", groups=("system:masters",))
        for name, (user, groups) in _COMPONENT_USERS.items():
            self.write_kubeconfig(self.layout.users / name, user=user, groups=groups)

    def write_kubeconfig(self, path: Path, *, user: str, groups: Sequence[str]) -> Path:
        """A kubeconfig with a new client certificate for the user."""
        certificate = self._authority.client(f"user-{path.name}", user=user, groups=groups)
        ca = self._authority.files.certificate
        return kubeconfigs.write_client(
            path, server=self.url, authority=ca, user=user, certificate=certificate
        )


def make_folders(layout: Layout) -> None:
    """The folders that components write to, readable by their owner only."""
    for folder in (layout.settings, layout.logs, layout.audit_log.parent, layout.etcd):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _choose_ports(layout: Layout) -> Ports:
    """The ports of the earlier run where they are free, so that kubeconfigs made then still hold."""
    record = layout.settings / "ports.json"
    if record.exists():
        earlier = Ports(**json.loads(record.read_text()))
        if not any(is_listening(port) for port in dataclasses.astuple(earlier)):
            return earlier
    ports = Ports.choose()
    record.write_text(json.dumps(dataclasses.asdict(ports)))
    return ports


def _make_credentials(layout: Layout, authority: Authority) -> commands.Credentials:
    tokens = layout.pki / "tokens.csv"
    if not tokens.exists():
        tokens.touch(mode=0o600)
        tokens.write_text(f'{secrets.token_hex(32)},kubernetes-admin,admin,"system:masters"\n')
    names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    return commands.Credentials(
        authority=authority.files,
        serving=authority.server("apiserver", names=names, addresses=("127.0.0.1", commands.SERVICE_ADDRESS)),
        front_proxy=authority.client("front-proxy", user=commands.FRONT_PROXY_USER),
        service_accounts=service_account_keys(layout.pki),
        tokens=tokens,
    )


def _write_settings(layout: Layout, settings: PlaneSettings, authority: Authority) -> None:
    audit = settings.audit
    if audit.webhook is not None:
        authority.server(
            layout.webhook_certificate.certificate.stem, names=("localhost",), addresses=("127.0.0.1",)
        )
        path = layout.settings / "audit-webhook.yaml"
        own = authority.files.certificate if audit.webhook.startswith("https:") else None
        kubeconfigs.write_webhook(
            path,
            url=audit.webhook,
            token=audit.webhook_token,
            authority=audit.webhook_authority or own,
            client=audit.webhook_client,
        )
    if settings.tracing is not None:
        tracing = {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "TracingConfiguration",
            "endpoint": settings.tracing,
            "samplingRatePerMillion": 1_000_000,
        }
        (layout.settings / "tracing.yaml").write_text(json.dumps(tracing))


def _make_components(plan: commands.Plan) -> dict[str, Component]:
    lines = {"etcd": commands.etcd(plan), "kube-apiserver": commands.apiserver(plan)}
    if plan.settings.controllers:
        own = (commands.controller_manager(plan), commands.scheduler(plan), commands.kwok(plan))
        lines.update(zip(CONTROLLERS, own, strict=True))
    return {
        name: Component(
            name=name,
            command=command,
            log=plan.layout.logs / f"{name}.log",
            grace=_GRACE_SECONDS.get(name, _CONTROLLER_GRACE_SECONDS),
        )
        for name, command in lines.items()
    }
