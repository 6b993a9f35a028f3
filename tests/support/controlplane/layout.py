"""Which file of a control plane lies where in its folder, which ports it has, and how the caller wants it: values, no behaviour."""

import fcntl
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from controlplane.certificates import KeyPair
from controlplane.ports import free_ports

DEFAULT_POLICY = Path(__file__).resolve().parents[3] / "config" / "audit" / "policy.yaml"


@dataclass(frozen=True, slots=True)
class Layout:
    """All paths of one control plane; everything below `folder` belongs to it."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit" / "audit.log"

    @property
    def etcd(self) -> Path:
        return self.folder / "etcd"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def webhook_certificate(self) -> KeyPair:
        """For whoever listens at an https audit webhook on this machine."""
        return KeyPair(self.pki / "audit-webhook.crt", self.pki / "audit-webhook.key")

    @property
    def users(self) -> Path:
        return self.folder / "users"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def settings(self) -> Path:
        return self.folder / "settings"

    def claim(self) -> IO[str]:
        """Make the folder and lock it for this process; BlockingIOError when another control plane runs in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = (self.folder / "lock").open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            raise
        return handle

    def wipe(self) -> None:
        """Remove what an earlier run left, and nothing that we did not make."""
        for part in (self.etcd, self.pki, self.users, self.logs, self.settings, self.audit_log.parent):
            shutil.rmtree(part, ignore_errors=True)
        self.kubeconfig.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Ports:
    """One port a listener, all on 127.0.0.1."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kwok: int

    @classmethod
    def choose(cls) -> "Ports":
        """Six ports that are free now."""
        return cls(*free_ports(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How the API server audits; the log file is always written, the webhook only when it has a URL.

    An https webhook must show a certificate of `webhook_authority`, or else of the control plane's own authority, as
    `Layout.webhook_certificate` is. The API server shows `webhook_client`, if there is one.
    """

    policy: Path = DEFAULT_POLICY
    webhook: str | None = None
    webhook_token: str | None = None
    webhook_authority: Path | None = None
    webhook_client: KeyPair | None = None
    log_megabytes: int = 2000  # before it rotates: readers of a whole run want one file


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSettings:
    """What the caller chose; `tracing` is an OTLP/gRPC HOST:PORT for the API server's own spans."""

    nodes: int
    controllers: bool
    fresh: bool
    audit: AuditSettings
    tracing: str | None
    apiserver_flags: Sequence[str]
