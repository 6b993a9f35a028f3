"""The ValidatingWebhookConfiguration: the one foreign-group object that Kubeweft writes, under one name of its own.

Kopf's own management is not used: it would demand rights on mutating webhooks too, wait 30 s for each answer, leave an
empty configuration behind, and end Kopf (and with it the watch of policies) when RBAC forbids any of that.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.control.admission.addresses import Address
from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.kube.clients import get_json, open_response
from kubeweft.kube.failures import NotServed, Refused

NAME = "kubeweft-admission"
WEBHOOK = "admission.kubeweft.io"
HOLDER = "kubeweft.io/held-by"
MANAGER = "kubeweft-admission"
APPLY = "application/apply-patch+yaml"
PATH = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{NAME}"
ANSWER_WITHIN = 3  # seconds that an API server waits for us before it goes on without
DEADLINE = 5.0
CONFLICT = 409

Body = Mapping[str, Any]


class Configuration:
    """What one running server has registered. All methods raise an ``ApiFailure``."""

    def __init__(self, address: Address, *, path: str) -> None:
        """``path`` is where the server answers."""
        self._address = address
        self._path = path
        self._holder = secrets.token_hex(8)  # tells us from other processes that may take our place
        self._held = False

    async def publish(self, client: ApiClient, authorities: str) -> bool:
        """Make API servers ask us and trust ``authorities``; False if another process has taken our place.

        The first time it takes over whatever is there, such as what a killed process left behind. Nothing is written
        while everything is as it should be.
        """
        wanted = manifest(self._address.client_config(authorities, path=self._path), holder=self._holder)
        if self._held:
            found = await self._find(client)
            if found is not None and _holder_of(found) != self._holder:
                return False
            if found is not None and _is_as(found, wanted):
                return True
        await self._apply(client, wanted)
        self._held = True
        return True

    async def remove(self, client: ApiClient) -> None:
        """Unless another process has taken our place."""
        for _ in range(3):
            found = await self._find(client)
            if found is None or _holder_of(found) != self._holder:
                return
            if await _delete(client, found):
                return

    async def _find(self, client: ApiClient) -> Body | None:
        try:
            found: Body = await get_json(client, PATH, deadline=DEADLINE)
        except NotServed:
            return None
        return found

    async def _apply(self, client: ApiClient, wanted: Body) -> None:
        query = (("fieldManager", MANAGER), ("force", "true"))
        timeout = aiohttp.ClientTimeout(total=DEADLINE)
        headers = {"Content-Type": APPLY}  # every JSON is YAML
        async with open_response(
            client, "PATCH", PATH, timeout=timeout, query=query, headers=headers, body=wanted
        ):
            return


def manifest(client_config: Body, *, holder: str) -> dict[str, Any]:
    """The whole configuration, with every field that the API server would fill in."""
    rule = {
        "apiGroups": ["kubeweft.io"],
        "apiVersions": ["v1alpha1"],
        "resources": [POLICIES, LINK_RULES],
        "operations": ["CREATE", "UPDATE"],
        "scope": "Cluster",
    }
    webhook = {
        "name": WEBHOOK,
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config,
        "failurePolicy": "Ignore",  # no policy may ever lock a cluster because we are away
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "rules": [rule],
        "sideEffects": "None",
        "timeoutSeconds": ANSWER_WITHIN,
    }
    labels = {"app.kubernetes.io/name": "kubeweft", "app.kubernetes.io/part-of": "kubeweft"}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME, "labels": labels, "annotations": {HOLDER: holder}},
        "webhooks": [webhook],
    }


async def _delete(client: ApiClient, found: Body) -> bool:
    """Whether it is gone; False if it was changed since it was read."""
    seen = {field: found["metadata"][field] for field in ("uid", "resourceVersion")}
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": seen}
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    headers = {"Content-Type": "application/json"}
    try:
        async with open_response(client, "DELETE", PATH, timeout=timeout, headers=headers, body=options):
            return True
    except NotServed:
        return True
    except Refused as refused:
        if refused.status != CONFLICT:
            raise
        return False


def _holder_of(found: Body) -> str:
    annotations = found["metadata"].get("annotations") or {}
    holder: str = annotations.get(HOLDER, "")
    return holder


def _is_as(found: Body, wanted: Body) -> bool:
    return bool(found.get("webhooks") == wanted["webhooks"])
