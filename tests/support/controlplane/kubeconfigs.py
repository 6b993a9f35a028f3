"""Writes kubeconfig files: for a person or a component at our API server, and for the API server at its audit webhook."""

import base64
import os
from pathlib import Path
from typing import Any

import yaml

from controlplane.certificates import KeyPair


def write_client(path: Path, *, server: str, authority: Path, user: str, certificate: KeyPair) -> Path:
    """A kubeconfig that authenticates with a client certificate; files are named by absolute path."""
    cluster = {"server": server, "certificate-authority": str(authority)}
    credentials = {"client-certificate": str(certificate.certificate), "client-key": str(certificate.key)}
    return _write(path, cluster=cluster, user_name=user, credentials=credentials)


def write_webhook(
    path: Path, *, url: str, token: str | None, authority: Path | None, client: KeyPair | None = None
) -> Path:
    """The file of --audit-webhook-config-file, with an optional bearer token, CA and client certificate."""
    cluster = {"server": url}
    if authority is not None:
        cluster["certificate-authority"] = str(authority)
    credentials = {"token": token} if token else {}
    if client is not None:
        credentials |= {"client-certificate": str(client.certificate), "client-key": str(client.key)}
    return _write(path, cluster=cluster, user_name="kube-apiserver", credentials=credentials)


def embedded(kubeconfig: Path) -> bytes:
    """A kubeconfig with the content of the files that it names, so that it works anywhere: for a Secret."""
    content: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    for section, part in (("clusters", "cluster"), ("users", "user")):
        for entry in content[section]:
            entry[part] = {key: value for named in entry[part].items() for key, value in [_embed(*named)]}
    return yaml.safe_dump(content).encode()


def _embed(field: str, value: str) -> tuple[str, str]:
    if field not in ("certificate-authority", "client-certificate", "client-key"):
        return field, value
    return f"{field}-data", base64.b64encode(Path(value).read_bytes()).decode()


def _write(path: Path, *, cluster: dict[str, str], user_name: str, credentials: dict[str, str]) -> Path:
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kubeweft-test", "cluster": cluster}],
        "users": [{"name": user_name, "user": credentials}],
        "contexts": [{"name": "kubeweft-test", "context": {"cluster": "kubeweft-test", "user": user_name}}],
        "current-context": "kubeweft-test",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(content, file, sort_keys=False)
    return path
