"""Putting our CustomResourceDefinitions into a cluster: small, synchronous, by pykube-ng."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pykube
import requests
import yaml

from kubeweft.model.errors import UserError

CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FIELD_MANAGER = "kubeweft-crds"
BROKEN = (  # what pykube raises for files that are not as it expects
    pykube.exceptions.PyKubeError,
    yaml.YAMLError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)


def crd_manifests() -> list[str]:
    """Both definitions as YAML text, from the installed package or from the source tree."""
    packaged = resources.files("kubeweft") / "crds"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[3] / "crds"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return [file.read_text(encoding="utf-8") for file in files]


def install_crds(*, kubeconfig: str, context: str) -> Iterator[str]:
    """Apply both definitions server-side; gives the name of each when it is done. Raises ``UserError``."""
    api = _client(kubeconfig, context)
    for text in crd_manifests():
        name = yaml.safe_load(text)["metadata"]["name"]
        try:
            answer = api.patch(
                base="",
                version="",
                url=f"{CRD_PATH}/{name}",
                params={"fieldManager": FIELD_MANAGER, "force": "true"},
                headers={"Content-Type": "application/apply-patch+yaml"},
                data=text,
            )
            api.raise_for_status(answer)
        except (requests.RequestException, pykube.exceptions.PyKubeError) as error:
            raise UserError(f"cannot install {name}: {error}") from error
        yield name


def _client(kubeconfig: str, context: str) -> pykube.HTTPClient:
    try:
        config = pykube.KubeConfig.from_file(kubeconfig) if kubeconfig else pykube.KubeConfig.from_env()
        if context:
            config.set_current_context(context)
        return pykube.HTTPClient(config, timeout=30)
    except BROKEN as error:
        raise UserError(f"no usable kubeconfig: {error}; pass --kubeconfig FILE") from error
