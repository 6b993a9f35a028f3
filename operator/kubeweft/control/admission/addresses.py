"""Where the admission webhook listens, and how API servers reach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from kubeweft.model.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """``host`` is the name or IP in the URL; with ``service`` (namespace, name) API servers go through that instead.

    The Service has to serve the port that is listened on under the same number.
    """

    listen_host: str
    port: int
    host: str = ""
    service: tuple[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names and IPs that the serving certificate has to bear."""
        if self.service is None:
            return (self._reached_by,)
        namespace, name = self.service
        return (f"{name}.{namespace}.svc", f"{name}.{namespace}")

    def client_config(self, authorities: str, *, path: str) -> dict[str, Any]:
        """``clientConfig`` of a webhook; ``authorities`` is the bundle of CA certificates in base64."""
        return {**self._place(path), "caBundle": authorities}

    def _place(self, path: str) -> Mapping[str, Any]:
        if self.service is not None:
            namespace, name = self.service
            return {"service": {"namespace": namespace, "name": name, "port": self.port, "path": path}}
        host = f"[{self._reached_by}]" if ":" in self._reached_by else self._reached_by
        return {"url": f"https://{host}:{self.port}{path}"}

    @property
    def _reached_by(self) -> str:
        return self.host or self.listen_host


def reached_at(*, listen: tuple[str, int], host: str = "", service: str = "") -> Address:
    """From the settings ``admission_listen`` (host and port), ``admission_host`` and ``admission_service``.

    Raises ``UserError`` if nobody could reach the webhook by what they say.
    """
    listen_host, port = listen
    if port == 0:
        raise UserError("--admission-listen needs a port of its own, not 0: API servers are told which it is")
    if service:
        namespace, slash, name = service.partition("/")
        if not (namespace and slash and name) or "/" in name:
            raise UserError(f"--admission-service must be NAMESPACE/NAME, not {service}")
        return Address(listen_host=listen_host, port=port, service=(namespace, name))
    if not host and _is_unreachable(listen_host):
        raise UserError(
            "--admission-listen takes all addresses, so say by which name or IP API servers reach it: "
            "--admission-host, or --admission-service in a cluster"
        )
    return Address(listen_host=listen_host, port=port, host=host.strip("[]"))


def _is_unreachable(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host
