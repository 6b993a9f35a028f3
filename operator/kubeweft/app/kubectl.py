"""What kubectl decides before it asks a cluster: which context is meant, and which namespace where none is given.

Only kubeconfig files are read; no cluster is asked and no credential is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pykube
import yaml
from pykube.exceptions import PyKubeError

from kubeweft.model.errors import UserError

DEFAULT_NAMESPACE = "default"
HOME_KUBECONFIG = "~/.kube/config"


@dataclass(frozen=True, slots=True)
class Place:
    """Where kubectl would look: the namespace, and by which names the cluster is known here, the likeliest first."""

    namespace: str = DEFAULT_NAMESPACE
    cluster_names: tuple[str, ...] = ()


def place_of(*, kubeconfig: str, context: str, environ: Mapping[str, str] = os.environ) -> Place:
    """The place of a context, or of the current one; raises ``UserError`` for files and contexts that are not there.

    As for kubectl: ``--kubeconfig`` names one file, ``KUBECONFIG`` may name several, of which the first to say
    something is right, and without any the namespace is ``default``.
    """
    files = _files(kubeconfig, environ)
    document = _merged([_read(file) for file in files])
    config = pykube.KubeConfig(document, current_context=context or None)
    try:
        chosen = config.current_context
    except PyKubeError:  # no file, or none with a current context
        return Place()
    if chosen not in config.contexts:
        if context:
            known = ", ".join(config.contexts) or "none"
            raise UserError(f"there is no context {context} in the kubeconfig: it has {known}")
        return Place()
    cluster = str(config.contexts[chosen].get("cluster", ""))
    return Place(config.namespace or DEFAULT_NAMESPACE, tuple(filter(None, (chosen, cluster))))


def _files(kubeconfig: str, environ: Mapping[str, str]) -> list[Path]:
    if kubeconfig:
        file = Path(kubeconfig).expanduser()
        if not file.is_file():
            raise UserError(f"there is no kubeconfig file {kubeconfig}: check --kubeconfig")
        return [file]
    named = environ.get("KUBECONFIG", "") or HOME_KUBECONFIG
    files = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    return [file for file in files if file.is_file()]


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot read the kubeconfig {file}: {reason}") from None
    if content is None:  # an empty file is an empty kubeconfig
        return {}
    if not isinstance(content, dict) or not _has_contexts(content):
        raise UserError(f"{file} is no kubeconfig")
    return content


def _has_contexts(content: dict[str, Any]) -> bool:
    contexts = content.get("contexts") or []
    return isinstance(contexts, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("context") or {}, dict)
        for one in contexts
    )


def _merged(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Contexts and the current one, the first file first; nothing else of a kubeconfig is needed here."""
    contexts: dict[str, Any] = {}
    for document in documents:
        for entry in document.get("contexts") or []:
            contexts.setdefault(entry["name"], entry.get("context") or {})
    current = next((str(d["current-context"]) for d in documents if d.get("current-context")), "")
    listed = [{"name": name, "context": context} for name, context in contexts.items()]
    return {"contexts": listed, "current-context": current}
