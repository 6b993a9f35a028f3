"""Reading objects from a live cluster, synchronously, by pykube-ng: lists in pages, no more than a rule needs.

Only ``get`` and ``list`` are used. Of Secrets, and of objects that are looked at as targets only, the API server is
asked for the metadata alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import pykube
import requests
import yaml

from kubeweft.app.rules.documents import Document
from kubeweft.kube.discovery import Discovered, merge
from kubeweft.kube.discovery_formats import AGGREGATED, Served, read_legacy_version, read_root
from kubeweft.kube.failures import Unavailable
from kubeweft.model.errors import KubeweftError, UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ResourceType

PAGE: Final = 500
TIMEOUT: Final = 30.0  # seconds, for each request
METADATA: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
SECRETS: Final = ("", "secrets")
_FORBIDDEN: Final = (requests.codes.forbidden, requests.codes.unauthorized)
_BROKEN: Final = (  # what pykube raises for files that are not as it expects
    pykube.exceptions.PyKubeError,
    yaml.YAMLError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)


class NotReadable(KubeweftError):
    """Objects of this type cannot be read; the message says why."""


class Cluster:
    """What a cluster serves, and its objects."""

    def __init__(self, api: pykube.HTTPClient, *, tell: Callable[[str], None] = lambda _: None) -> None:
        """``tell`` is given a line of progress for each page that has come."""
        self._api = api
        self._tell = tell
        self._types: dict[tuple[str, str], ResourceType] | None = None

    def types(self) -> Mapping[tuple[str, str], ResourceType]:
        """All types that can be listed, by group and plural name. Raises ``UserError`` if the cluster does not answer."""
        if self._types is None:
            self._tell("asking what the cluster serves")
            self._types = {(t.group, t.resource): t for t in self._discover().types}
        return self._types

    def teach(self, kinds: Kinds) -> None:
        """Hand on what is known of kinds."""
        for type_ in self.types().values():
            kinds.learn(type_)

    def objects(
        self, type_: ResourceType, *, namespace: str = "", metadata_only: bool = False
    ) -> Iterator[Document]:
        """All objects of a type, or those of one namespace. Raises ``NotReadable`` where that is not allowed."""
        path, seen, token = _path(type_, namespace), 0, ""
        wanted = METADATA.format("List") if metadata_only or _is_secret(type_) else "application/json"
        while True:
            answer = self._get(path, accept=wanted, params={"limit": str(PAGE), "continue": token})
            for item in answer.get("items") or ():
                seen += 1
                yield _document(type_, item, f"{type_} of the cluster")
            token = (answer.get("metadata") or {}).get("continue") or ""
            self._tell(f"reading {type_}: {seen}")
            if not token:
                return

    def object(
        self, type_: ResourceType, *, namespace: str, name: str, metadata_only: bool = False
    ) -> Document | None:
        """One object, or None if there is none of that name. Raises ``NotReadable`` where that is not allowed."""
        wanted = METADATA.format("") if metadata_only or _is_secret(type_) else "application/json"
        self._tell(f"reading {type_} {name}")
        answer = self._get(
            f"{_path(type_, namespace)}/{quote(name, safe='')}", accept=wanted, missing_ok=True
        )
        return _document(type_, answer, f"{type_}/{name} of the cluster") if answer else None

    def _discover(self) -> Discovered:
        served: list[Served] = []
        for root in ("/api", "/apis"):
            try:
                found, versions = read_root(self._bytes(root, AGGREGATED))
                found += [self._version(group, version) for group, version in versions]
            except (NotReadable, Unavailable) as error:
                raise UserError(f"cannot ask what the cluster serves: {error}") from None
            served += found
        return merge(served, previous=Discovered())

    def _version(self, group: str, version: str) -> Served:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            return read_legacy_version(group, version, self._bytes(path, "application/json"))
        except (NotReadable, Unavailable):
            return Served(group, version, None)  # an aggregated API that is down takes only itself away

    def _bytes(self, path: str, accept: str) -> bytes:
        answer = self._ask(path, accept=accept, params={})
        if not answer.ok:
            raise NotReadable(_say(answer))
        return bytes(answer.content)

    def _get(
        self, path: str, *, accept: str, params: Mapping[str, str] | None = None, missing_ok: bool = False
    ) -> dict[str, Any]:
        answer = self._ask(path, accept=accept, params=params or {})
        if missing_ok and answer.status_code == requests.codes.not_found:
            return {}
        if not answer.ok:
            raise NotReadable(_say(answer))
        try:
            body = answer.json()
        except ValueError:
            raise NotReadable(f"the answer to {path} is no JSON") from None
        if not isinstance(body, dict):
            raise NotReadable(f"the answer to {path} is no object")
        return body

    def _ask(self, path: str, *, accept: str, params: Mapping[str, str]) -> requests.Response:
        given = {name: value for name, value in params.items() if value}
        try:
            answer: requests.Response = self._api.get(
                base="", version="", url=path, params=given, headers={"Accept": accept}
            )
        except (requests.RequestException, pykube.exceptions.PyKubeError) as error:
            raise UserError(f"the cluster does not answer: {error}") from None
        return answer


def connect(*, kubeconfig: str, context: str, tell: Callable[[str], None] = lambda _: None) -> Cluster:
    """The cluster that a kubeconfig names; without one, that of the usual places. Raises ``UserError``."""
    try:
        config = pykube.KubeConfig.from_file(kubeconfig) if kubeconfig else pykube.KubeConfig.from_env()
        if context:
            config.set_current_context(context)
        return Cluster(pykube.HTTPClient(config, timeout=TIMEOUT), tell=tell)
    except _BROKEN as error:
        raise UserError(f"no usable kubeconfig: {error}; pass --kubeconfig FILE") from None


def _path(type_: ResourceType, namespace: str) -> str:
    root = f"/apis/{type_.api_version}" if type_.group else f"/api/{type_.version}"
    inside = f"/namespaces/{quote(namespace, safe='')}" if namespace and type_.namespaced else ""
    return f"{root}{inside}/{type_.resource}"


def _document(type_: ResourceType, item: Mapping[str, Any], place: str) -> Document:
    """Items of lists lack their type, and metadata comes under a type of its own."""
    return Document(place, {**item, "apiVersion": type_.api_version, "kind": type_.kind})


def _is_secret(type_: ResourceType) -> bool:
    return (type_.group, type_.resource) == SECRETS


def _say(answer: requests.Response) -> str:
    try:
        message = answer.json().get("message") or ""
    except (ValueError, AttributeError):
        message = ""
    if answer.status_code in _FORBIDDEN:
        return f"not allowed: {message or answer.reason}"
    return message or f"the API server answers {answer.status_code} {answer.reason}"
