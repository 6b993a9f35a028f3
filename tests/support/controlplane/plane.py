"""Starts and stops a whole control plane in one folder: the order of things, and nothing about flags or processes.

Stop order matters: kube-apiserver lingers for a minute when etcd goes first.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from controlplane.binaries.finding import find_binaries
from controlplane.binaries.progress import CallbackProgress, Progress, TerminalProgress
from controlplane.binaries.recipes import CONTROL_PLANE
from controlplane.certificates import KeyPair
from controlplane.cluster import Cluster
from controlplane.layout import AuditSettings, Layout, PlaneSettings
from controlplane.ports import is_listening
from controlplane.preparing import CONTROLLERS, Prepared, make_folders
from controlplane.processes import Component

_POLL_SECONDS = 0.05
_START_SECONDS = 90.0


class ControlPlaneError(RuntimeError):
    """A component did not start or did not become ready; the message ends with its own last words."""


class ControlPlane:
    """A control plane in a folder, as a context manager or by `start` and `stop`.

    `fresh` (the default) begins with an empty cluster; otherwise etcd's data, the certificates and the audit log of an
    earlier run in the same folder go on. `nodes` needs `controllers`; without them it is etcd and kube-apiserver alone.
    Another `audit_webhook_authority` than its own may have issued the webhook's certificate.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        nodes: int = 2,
        audit_webhook: str | None = None,
        audit_webhook_token: str | None = None,
        audit_webhook_authority: Path | None = None,
        audit_webhook_client: KeyPair | None = None,
        audit_policy: Path | None = None,
        controllers: bool = True,
        fresh: bool = True,
        tracing: str | None = None,
        apiserver_flags: Sequence[str] = (),
    ) -> None:
        if audit_webhook_token is not None and not (audit_webhook or "").startswith("https:"):
            raise ControlPlaneError(
                "kube-apiserver sends a token over https only: give an https audit webhook, or no token. "
                "The listener's certificate will be pki/audit-webhook.crt (and .key) in the control plane's folder."
            )
        audit = AuditSettings(
            webhook=audit_webhook,
            webhook_token=audit_webhook_token,
            webhook_authority=audit_webhook_authority,
            webhook_client=audit_webhook_client,
        )
        if audit_policy is not None:
            audit = dataclasses.replace(audit, policy=audit_policy)
        self._settings = PlaneSettings(
            nodes=nodes if controllers else 0,
            controllers=controllers,
            fresh=fresh,
            audit=audit,
            tracing=tracing,
            apiserver_flags=tuple(apiserver_flags),
        )
        self._layout = Layout(Path(directory).resolve())
        self._lock: IO[str] | None = None
        self._prepared: Prepared | None = None

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._layout.kubeconfig

    @property
    def audit_log(self) -> Path:
        """JSON lines, complete up to the last answered request."""
        return self._layout.audit_log

    @property
    def logs(self) -> Path:
        """One log file a component."""
        return self._layout.logs

    @property
    def url(self) -> str:
        """Where the API server answers, e.g. https://127.0.0.1:23456; known once started."""
        return self._started().url

    @property
    def webhook_certificate(self) -> KeyPair:
        """For whoever listens at an https audit webhook; written at the start if there is a webhook."""
        return self._layout.webhook_certificate

    @property
    def components(self) -> dict[str, Component]:
        """The processes by name, in the order they were started."""
        return self._started().components

    def _started(self) -> Prepared:
        if self._prepared is None:
            raise ControlPlaneError("the control plane has not been started")
        return self._prepared

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, report: Callable[[str], None] | None = None) -> None:
        """Start everything and return when pods can be created and scheduled.

        `report` gets each line of progress (stderr without it). On any error all processes are stopped again.
        """
        progress = TerminalProgress() if report is None else CallbackProgress(report)
        began = time.monotonic()
        try:
            self._prepare(progress)
            self._start_api(progress)
            if self._settings.controllers:
                self._start_controllers(progress)
        except BaseException:
            self.stop()
            raise
        progress.note(f"control plane ready after {time.monotonic() - began:.1f} s: {self.url}")

    def _prepare(self, progress: Progress) -> None:
        binaries = find_binaries(
            progress, programs=CONTROL_PLANE if self._settings.controllers else CONTROL_PLANE[:2]
        )
        self._claim()
        self._prepared = Prepared(self._layout, self._settings, binaries)

    def _claim(self) -> None:
        try:
            self._lock = self._layout.claim()
        except BlockingIOError as error:
            raise ControlPlaneError(
                f"another control plane runs in {self._layout.folder}: stop it or choose another"
            ) from error
        if self._settings.fresh:
            self._layout.wipe()
        make_folders(self._layout)

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for another identity, which has the rights that RBAC gives it, at first none."""
        return self._started().write_kubeconfig(
            self._layout.users / user.replace("/", "_"), user=user, groups=groups
        )

    def _start_api(self, progress: Progress) -> None:
        etcd_port = self._started().ports.etcd
        progress.note("starting etcd and kube-apiserver")
        self.components["etcd"].start()
        self._wait(lambda: is_listening(etcd_port), "etcd to listen", needs=("etcd",))
        self.components["kube-apiserver"].start()
        self.wait_api_ready()

    def wait_api_ready(self) -> None:
        """Wait until the API server answers ready; ControlPlaneError with the reason when it does not within 90 s."""
        with contextlib.closing(Cluster(self.kubeconfig)) as cluster:
            self._wait(
                cluster.ready,
                "kube-apiserver to be ready",
                needs=("etcd", "kube-apiserver"),
                why=cluster.why_not_ready,
            )

    def _start_controllers(self, progress: Progress) -> None:
        nodes = self._settings.nodes
        progress.note(f"starting kube-controller-manager, kube-scheduler and kwok with {nodes} nodes")
        for name in CONTROLLERS:
            self.components[name].start()
        with contextlib.closing(Cluster(self.kubeconfig)) as cluster:
            cluster.create_nodes(nodes)
            self._wait(cluster.has_default_service_account, "the default service account", needs=CONTROLLERS)
            self._wait(
                lambda: cluster.ready_nodes() >= nodes, f"{nodes} nodes to be ready", needs=CONTROLLERS
            )

    def _wait(
        self,
        condition: Callable[[], bool],
        what: str,
        *,
        needs: Sequence[str],
        why: Callable[[], str] = lambda: "",
    ) -> None:
        limit = time.monotonic() + _START_SECONDS
        while not condition():
            for name in needs:
                if not self.components[name].running:
                    raise ControlPlaneError(
                        f"{name} ended while waiting for {what}:\n{self.components[name].last_words()}"
                    )
            if time.monotonic() > limit:
                words = self.components[needs[-1]].last_words()
                raise ControlPlaneError(f"waited {_START_SECONDS:.0f} s for {what}. {why()}\n{words}")
            time.sleep(_POLL_SECONDS)

    def first_that_ended(self) -> Component | None:
        """A component that is no longer there although nobody stopped it here, or None."""
        return next((part for part in self.components.values() if not part.running), None)

    def kill_apiserver(self) -> None:
        """SIGKILL, as a crash: what its audit webhook had buffered is lost, its audit log is not."""
        self.components["kube-apiserver"].kill()

    def stop_apiserver(self) -> None:
        """Stop it in order, within seconds."""
        self.components["kube-apiserver"].stop()

    def restart_apiserver(self) -> None:
        """Start it again on the same port (stopping it first if it runs) and wait until it is ready."""
        self.stop_apiserver()
        self.components["kube-apiserver"].start()
        self.wait_api_ready()

    def pause(self, name: str) -> None:
        """Freeze a component: its connections stay open and silent."""
        self.components[name].pause()

    def cont(self, name: str) -> None:
        """Let a frozen component go on."""
        self.components[name].resume()

    def stop(self) -> None:
        """Stop everything, clients first and etcd last; harmless when nothing runs."""
        if self._prepared is not None:
            parts = self._prepared.components
            controllers = [parts[name] for name in CONTROLLERS if name in parts]
            for controller in controllers:
                controller.ask_to_stop()
            for controller in controllers:
                controller.wait_stopped()
            for name in ("kube-apiserver", "etcd"):
                parts[name].stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
