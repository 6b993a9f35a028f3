"""Connections to a Kubernetes API, and the few requests made outside of watches.

Bytes come back undecoded or as plain JSON: kubernetes-asyncio's models cost ten times the work of the objects in them.
The only write is the status of Kubeweft's own resources.
"""

from __future__ import annotations

import binascii
import contextlib
import importlib.metadata
import logging
import math
import os
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from kubernetes_asyncio.client.api_client import ApiClient
from kubernetes_asyncio.client.rest import RESTClientObject

from kubeweft.kube import credentials
from kubeweft.kube.failures import Forbidden, NotServed, Unavailable, from_response
from kubeweft.kube.renewal import RENEW_EVERY, Renewal
from kubeweft.model.references import ResourceType
from kubeweft.runtime.tls_endings import wait_for_no_farewell

logger = logging.getLogger(__name__)

OWN_GROUP = "kubeweft.io"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
DEADLINE = 30.0
LONGEST_EXPLANATION = 64 * 1024
UNUSABLE = "the certificates or the key for the cluster cannot be used"
AUTH_SETTINGS = ["BearerToken"]

Query = Sequence[tuple[str, str]]


class ClusterClient(ApiClient):
    """An ``ApiClient`` whose credentials stay fresh, certificates included, for as long as it is used."""

    def __init__(self, access: credentials.Access, *, renew_every: float = RENEW_EVERY) -> None:
        """Needs a running event loop. ``renew_every`` is in seconds."""
        super().__init__(configuration=access.configuration)
        _end_at_once(self.rest_client)
        self.user_agent = f"kubeweft/{_own_version()}"
        self._renewal = Renewal(access, every=renew_every)
        self._retired: RESTClientObject | None = None

    async def update_params_for_auth(
        self,
        headers: dict[str, Any],
        queries: list[Any],
        auth_settings: list[str],
        request_auth: dict[str, Any] | None = None,
    ) -> None:
        """Called by the library before each request."""
        if await self._renewal.on_use():
            await self._reconnect()
        await super().update_params_for_auth(headers, queries, auth_settings, request_auth)

    async def close(self) -> None:
        """Close all connections; watches that use them end."""
        if self._retired is not None:
            await self._retired.close()
        await super().close()

    async def _reconnect(self) -> None:
        """New connections use the new certificates; running watches keep the old ones until they end by themselves."""
        try:
            fresh = RESTClientObject(self.configuration)
            _end_at_once(fresh)
        except (OSError, ValueError) as error:  # seen halfway through being replaced
            logger.warning("changed certificates cannot be used yet: %s", error)
            self._renewal.repeat()
            return
        logger.info("certificates have changed, using the new ones: server=%s", self.configuration.host)
        if self._retired is not None:  # a whole certificate's life ago: no watch is that old
            await self._retired.close()
        self._retired, self.rest_client = self.rest_client, fresh


async def connect(
    *, kubeconfig: str = "", context: str = "", environ: Mapping[str, str] = os.environ
) -> ClusterClient:
    """A client for the given kubeconfig, else ``KUBECONFIG``, the pod's service account, ``~/.kube/config``.

    Raises ``UserError`` that says what to do if there is none. Nothing is asked of the cluster yet.
    """
    access = await credentials.find_access(kubeconfig=kubeconfig, context=context, environ=environ)
    with credentials.explained(UNUSABLE):
        return ClusterClient(access)


async def connect_with(kubeconfig: bytes, *, context: str = "") -> ClusterClient:
    """A client for a kubeconfig that came from a Secret; ``UserError`` if it needs programs or files of this machine."""
    async with credentials.from_text(kubeconfig, context) as access:
        with credentials.explained(UNUSABLE):
            return ClusterClient(access, renew_every=math.inf)  # its files are gone, nothing in it changes


@contextlib.asynccontextmanager
async def open_response(
    client: ApiClient,
    method: str,
    path: str,
    *,
    timeout: aiohttp.ClientTimeout,
    query: Query = (),
    headers: Mapping[str, str] | None = None,
    body: object = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """A successful answer with its body unread; every other outcome raises an ``ApiFailure``."""
    try:
        response: aiohttp.ClientResponse = await client.call_api(
            path,
            method,
            query_params=list(query),
            header_params={"Accept": JSON, **(headers or {})},
            body=body,
            auth_settings=AUTH_SETTINGS,
            _preload_content=False,
            _request_timeout=timeout,
        )
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a token that fits in no header
        raise no_answer(error) from error
    try:
        if response.status >= 400:
            raise from_response(response.status, await _explanation(response), response.headers)
        yield response
    finally:
        response.close()


def _end_at_once(connections: RESTClientObject) -> None:
    """Watches are always broken off, and so are requests that take too long: none may leave its socket behind.

    The library keeps the context of TLS to itself.
    """
    connector = connections.pool_manager.connector
    assert isinstance(connector, aiohttp.TCPConnector)
    context = connector._ssl
    assert isinstance(context, ssl.SSLContext)
    wait_for_no_farewell(context)


def no_answer(error: BaseException) -> Unavailable:
    """What a failed connection or a broken-off answer means to the caller."""
    if isinstance(error, TimeoutError):
        return Unavailable(f"no answer in time: {error}" if str(error) else "no answer in time")
    return Unavailable(f"{type(error).__name__}: {error}")


async def get_bytes(
    client: ApiClient, path: str, *, query: Query = (), accept: str = JSON, deadline: float = DEADLINE
) -> bytes:
    """The body of a GET within ``deadline`` seconds; raises an ``ApiFailure``."""
    timeout = aiohttp.ClientTimeout(total=deadline)
    async with open_response(
        client, "GET", path, timeout=timeout, query=query, headers={"Accept": accept}
    ) as response:
        return await _read_all(response)


async def get_json(
    client: ApiClient, path: str, *, query: Query = (), accept: str = JSON, deadline: float = DEADLINE
) -> Any:
    """The decoded body of a GET within ``deadline`` seconds; raises an ``ApiFailure``."""
    return _decode(await get_bytes(client, path, query=query, accept=accept, deadline=deadline))


async def patch_status(
    client: ApiClient,
    resource: ResourceType,
    *,
    name: str,
    status: Mapping[str, Any],
    namespace: str = "",
    deadline: float = DEADLINE,
) -> None:
    """Merge ``status`` into the status of one of our own objects; ``ValueError`` for anything foreign."""
    if resource.group != OWN_GROUP:
        raise ValueError(f"{resource} is not ours: Kubeweft writes to {OWN_GROUP} only")
    path = f"{object_path(resource, namespace=namespace, name=name)}/status"
    await _send(client, "PATCH", path, body={"status": status}, content_type=MERGE_PATCH, deadline=deadline)


async def whoami(client: ApiClient, *, deadline: float = DEADLINE) -> str | None:
    """The user name the API server sees in us; None where it does not tell (before Kubernetes 1.28, or forbidden)."""
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = _decode(await _send(client, "POST", path, body=review, content_type=JSON, deadline=deadline))
    except (Forbidden, NotServed):
        return None
    return _text_at(answer, "status", "userInfo", "username")


async def cluster_uid(client: ApiClient, *, deadline: float = DEADLINE) -> str | None:
    """What tells this cluster from all others: the UID of its namespace kube-system. None if we may not read it."""
    try:
        return _text_at(
            await get_json(client, "/api/v1/namespaces/kube-system", deadline=deadline), "metadata", "uid"
        )
    except (Forbidden, NotServed):
        return None


async def read_secret(
    client: ApiClient, namespace: str, name: str, *, deadline: float = DEADLINE
) -> Mapping[str, bytes]:
    """The content of one Secret by key; ``NotServed`` if there is none of this name, else an ``ApiFailure``."""
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets/{quote(name, safe='')}"
    answer = await get_json(client, path, deadline=deadline)
    data = answer.get("data") if isinstance(answer, dict) else None
    try:
        return {key: binascii.a2b_base64(value, strict_mode=True) for key, value in (data or {}).items()}
    except (binascii.Error, TypeError, ValueError, AttributeError):
        raise Unavailable(f"the content of the Secret {namespace}/{name} cannot be read") from None


def collection_path(resource: ResourceType) -> str:
    """Where all objects of a type are listed, over all namespaces."""
    prefix = f"/apis/{resource.group}" if resource.group else "/api"
    return f"{prefix}/{resource.version}/{resource.resource}"


def object_path(resource: ResourceType, *, namespace: str, name: str) -> str:
    """Where one object lives."""
    prefix = f"/apis/{resource.group}" if resource.group else "/api"
    scope = f"/namespaces/{namespace}" if resource.namespaced else ""
    return f"{prefix}/{resource.version}{scope}/{resource.resource}/{name}"


async def _send(
    client: ApiClient, method: str, path: str, *, body: object, content_type: str, deadline: float
) -> bytes:
    timeout = aiohttp.ClientTimeout(total=deadline)
    headers = {"Content-Type": content_type}
    async with open_response(client, method, path, timeout=timeout, headers=headers, body=body) as response:
        return await _read_all(response)


async def _read_all(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.read()
    except (aiohttp.ClientError, OSError) as error:
        raise no_answer(error) from error


async def _explanation(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.read(LONGEST_EXPLANATION)
    except (aiohttp.ClientError, OSError):
        return b""


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unavailable("the answer is no valid JSON") from None


def _text_at(document: Any, *path: str) -> str | None:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, str) and document else None


def _own_version() -> str:
    try:
        return importlib.metadata.version("kubeweft")
    except importlib.metadata.PackageNotFoundError:  # run from the source tree
        return "0"
