"""A small API server on loopback that lists and watches like the real one, and breaks on command.

It keeps versions, a history to watch from, pages, streamed lists, bookmarks and both discovery formats. What it does not
know: admission, patches, selectors. The control plane under ``controlplane`` is for those.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import fnmatch
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from kubernetes_asyncio.client.configuration import Configuration

from kubeweft.kube.clients import ClusterClient, collection_path
from kubeweft.kube.credentials import Access
from kubeweft.model.references import ResourceType

Object = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PODS = ResourceType("", "v1", "pods", "Pod", True)
SECRETS = ResourceType("", "v1", "secrets", "Secret", True)
NODES = ResourceType("", "v1", "nodes", "Node", False)
DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment", True)
CRDS = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False
)
ALL_VERBS = ("create", "delete", "get", "list", "watch")


def status_body(code: int, message: str, *, reason: str = "", retry_after: int | None = None) -> Object:
    """A ``Status`` as the API server words its failures."""
    details = {} if retry_after is None else {"details": {"retryAfterSeconds": retry_after}}
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}
    return {**body, "message": message, "reason": reason, **details}


def line(kind: str, obj: Object) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"


def answer(code: int, message: str = "no", headers: dict[str, str] | None = None) -> Handler:
    """A script that fails a request."""

    async def fail(_: web.Request) -> web.StreamResponse:
        return web.json_response(status_body(code, message), status=code, headers=headers)

    return fail


def raw(body: bytes, content_type: str = "application/json") -> Handler:
    """A script that answers with these bytes and an orderly end."""

    async def send(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type)

    return send


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    accept: str
    content_type: str
    agent: str
    authorization: str
    body: bytes

    @property
    def is_watch(self) -> bool:
        """Whether a stream was asked for."""
        return self.query.get("watch") in ("1", "true")


@dataclass
class _Change:
    version: int
    type: str
    object: Object


@dataclass
class _Type:
    resource: ResourceType
    verbs: tuple[str, ...]
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    history: list[_Change] = field(default_factory=list)
    compacted: int = 0
    watchers: set[_Watcher] = field(default_factory=set)


@dataclass(eq=False)
class _Watcher:
    """An open watch: bytes to send, or None for the orderly end."""

    request: web.Request
    metadata_only: bool
    queue: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    sent: int = 0


class FakeApiServer:
    """``async with FakeApiServer([PODS]) as server``; then change objects, break things, and look at ``asked``."""

    def __init__(self, resources: list[ResourceType]) -> None:
        """Serves these types at first; ``serve`` and ``unserve`` change that."""
        self.version = 1000
        self.asked: list[Asked] = []
        self.streams_lists = True
        self.ignores_initial_events = False
        self.aggregated = True
        self.stale: set[str] = set()
        self.forbidden: set[str] = set()
        self.expired_tokens = False
        self.open_lists = 0
        self.most_open_lists = 0
        self.hold_lists: asyncio.Event | None = None
        self._types: dict[str, _Type] = {}
        self._scripts: list[tuple[str, Handler]] = []
        self._uids = itertools.count(1)
        # A watch ends when its client has gone, as in reality, and not with the second write after that.
        self._runner = web.AppRunner(self._app(), shutdown_timeout=0.2, handler_cancellation=True)
        self._url = ""
        for resource in resources:
            self.serve(resource)

    async def __aenter__(self) -> FakeApiServer:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for kept in self._types.values():
            self._abort(kept)
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._url

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[ClusterClient]:
        """A client of this server."""
        configuration = Configuration(host=self._url)
        configuration.connection_pool_maxsize = 0
        async with ClusterClient(Access(configuration, None)) as client:
            yield client

    # ------------------------------------------------------------------------------------------ what it serves

    def serve(self, resource: ResourceType, verbs: tuple[str, ...] = ALL_VERBS) -> None:
        """Add a type, as a CRD does."""
        self._types[collection_path(resource)] = _Type(resource, verbs)

    def unserve(self, resource: ResourceType) -> None:
        """Take a type away: its watches end in order, as for a deleted CRD."""
        self.end_watches(resource)
        del self._types[collection_path(resource)]

    def create(
        self, resource: ResourceType, name: str, *, namespace: str = "default", **fields: Any
    ) -> Object:
        """A new object with its own uid."""
        metadata = {"name": name, "uid": f"uid-{next(self._uids)}"}
        if resource.namespaced:
            metadata["namespace"] = namespace
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
        return self._change(resource, "ADDED", obj)

    def update(
        self, resource: ResourceType, name: str, *, namespace: str = "default", **fields: Any
    ) -> Object:
        """Set top-level fields of an object."""
        old = self._types[collection_path(resource)].objects[_place(resource, namespace), name]
        return self._change(resource, "MODIFIED", {**copy.deepcopy(old), **fields})

    def delete(self, resource: ResourceType, name: str, *, namespace: str = "default") -> Object:
        """Remove an object."""
        old = self._types[collection_path(resource)].objects[_place(resource, namespace), name]
        return self._change(resource, "DELETED", copy.deepcopy(old))

    def _change(self, resource: ResourceType, kind: str, obj: Object) -> Object:
        self.version += 1
        kept = self._types[collection_path(resource)]
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(self.version)
        place = metadata.get("namespace", ""), metadata["name"]
        if kind == "DELETED":
            del kept.objects[place]
        else:
            kept.objects[place] = obj
        kept.history.append(_Change(self.version, kind, obj))
        for watcher in kept.watchers:
            watcher.queue.put_nowait(line(kind, _shown(obj, watcher.metadata_only)))
        return obj

    # ---------------------------------------------------------------------------------------------- what breaks

    def script(self, path: str, handler: Handler, *, times: int = 1) -> None:
        """Answer the next ``times`` requests whose ``path?query`` fits the pattern (``*`` for anything) with this."""
        self._scripts.extend([(path, handler)] * times)

    def unscript(self, path: str) -> None:
        """Drop what is left of the scripts of this pattern."""
        self._scripts = [entry for entry in self._scripts if entry[0] != path]

    def compact(self, resource: ResourceType) -> None:
        """Forget history: watches from an older version get 410 inside the stream, as mostly in reality."""
        kept = self._types[collection_path(resource)]
        kept.history.clear()
        kept.compacted = self.version

    def restore(self, version: int) -> None:
        """Go back in versions, as after a restore of etcd; objects stay."""
        self.version = version
        for kept in self._types.values():
            kept.history.clear()

    def send(self, resource: ResourceType, data: bytes) -> None:
        """Write these bytes into all open watches."""
        for watcher in self._types[collection_path(resource)].watchers:
            watcher.queue.put_nowait(data)

    def bookmark(self, resource: ResourceType, version: int | None = None) -> None:
        """Send a bookmark to all open watches."""
        self.version += version is None
        self.send(resource, _bookmark(resource, version or self.version))

    def end_watches(self, resource: ResourceType) -> None:
        """End all open watches in order, after what is still to be sent."""
        for watcher in self._types[collection_path(resource)].watchers:
            watcher.queue.put_nowait(None)

    def cut_watches(self, resource: ResourceType) -> None:
        """Cut the connections of all open watches at once."""
        self._abort(self._types[collection_path(resource)])

    def watchers(self, resource: ResourceType) -> int:
        """How many watches are open."""
        kept = self._types.get(collection_path(resource))
        return len(kept.watchers) if kept else 0

    def _abort(self, kept: _Type) -> None:
        for watcher in list(kept.watchers):
            if watcher.request.transport is not None:
                watcher.request.transport.abort()
            watcher.queue.put_nowait(None)

    # ------------------------------------------------------------------------------------------------ answering

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            accept=request.headers.get("Accept", ""),
            content_type=request.headers.get("Content-Type", ""),
            agent=request.headers.get("User-Agent", ""),
            authorization=request.headers.get("Authorization", ""),
            body=await request.read(),
        )
        self.asked.append(asked)
        for entry in self._scripts:
            if fnmatch.fnmatchcase(request.path_qs, entry[0]):
                self._scripts.remove(entry)
                return await entry[1](request)
        if request.path in ("/api", "/apis"):
            return web.json_response(self._root(request.path, "as=APIGroupDiscoveryList" in asked.accept))
        kept = self._types.get(request.path)
        if kept is None:
            return self._answer_other(request)
        if request.path in self.forbidden:
            return await answer(403, f'{kept.resource} is forbidden: User "tester" cannot list')(request)
        if asked.is_watch:
            return await self._watch(request, kept)
        return await self._list(request, kept)

    def _answer_other(self, request: web.Request) -> web.StreamResponse:
        for kept in self._types.values():
            r = kept.resource
            if request.path == (f"/apis/{r.api_version}" if r.group else f"/api/{r.version}"):
                return self._legacy_version(r.group, r.version)
        return web.json_response(
            status_body(404, "the server could not find the requested resource"), status=404
        )

    async def _list(self, request: web.Request, kept: _Type) -> web.StreamResponse:
        limit, token = int(request.query.get("limit", 0)), request.query.get("continue", "")
        if token and self.expired_tokens:
            return await answer(410, "The provided continue parameter is too old")(request)
        if limit != 1:
            await self._slow_list()
        start = int(token or 0)
        objects = list(kept.objects.values())
        end = start + limit if limit else len(objects)
        more = {"continue": str(end), "remainingItemCount": len(objects) - end} if end < len(objects) else {}
        items = [
            {k: v for k, v in _shown(obj, _metadata_only(request)).items() if k not in ("kind", "apiVersion")}
            for obj in objects[start:end]
        ]
        metadata = {"resourceVersion": str(self.version), **more}
        return web.json_response({"kind": "List", "metadata": metadata, "items": items})

    async def _slow_list(self) -> None:
        self.open_lists += 1
        self.most_open_lists = max(self.most_open_lists, self.open_lists)
        try:
            if self.hold_lists is not None:
                await self.hold_lists.wait()
        finally:
            self.open_lists -= 1

    async def _watch(self, request: web.Request, kept: _Type) -> web.StreamResponse:
        initial = "sendInitialEvents" in request.query
        if initial and not self.streams_lists:
            return await answer(422, "sendInitialEvents is forbidden for watch")(request)
        watcher = _Watcher(request, _metadata_only(request))
        first = self._first_lines(
            kept, watcher, "" if initial else request.query.get("resourceVersion", ""), initial
        )
        kept.watchers.add(watcher)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            with contextlib.suppress(ConnectionResetError, TimeoutError):
                await response.prepare(request)
                if initial:
                    await self._slow_list()
                async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                    await _send_all(response, watcher, first)
        finally:
            kept.watchers.discard(watcher)
        return response

    def _first_lines(self, kept: _Type, watcher: _Watcher, version: str, initial: bool) -> list[bytes]:
        if initial or version in ("", "0"):
            lines = [line("ADDED", _shown(obj, watcher.metadata_only)) for obj in kept.objects.values()]
            if initial and not self.ignores_initial_events:
                lines.append(_bookmark(kept.resource, self.version, ends_list=True))
            return lines
        if int(version) < kept.compacted:
            watcher.queue.put_nowait(None)
            return [line("ERROR", status_body(410, f"too old resource version: {version}", reason="Expired"))]
        later = [change for change in kept.history if change.version > int(version)]
        return [line(change.type, _shown(change.object, watcher.metadata_only)) for change in later]

    # ------------------------------------------------------------------------------------------------ discovery

    def _root(self, path: str, aggregated: bool) -> Object:
        types = [kept for kept in self._types.values() if bool(kept.resource.group) == (path == "/apis")]
        groups: dict[str, dict[str, list[_Type]]] = {}
        for kept in types:
            versions = groups.setdefault(kept.resource.group, {})
            versions.setdefault(kept.resource.version, []).append(kept)
        if aggregated and self.aggregated:
            return {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "items": [self._aggregated_group(group, versions) for group, versions in groups.items()],
            }
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        return {"kind": "APIGroupList", "groups": [_legacy_group(g, list(v)) for g, v in groups.items()]}

    def _aggregated_group(self, group: str, versions: dict[str, list[_Type]]) -> Object:
        stale = group in self.stale
        return {
            "metadata": {"name": group} if group else {},
            "versions": [
                {
                    "version": version,
                    "freshness": "Stale" if stale else "Current",
                    "resources": [] if stale else [_aggregated_resource(kept) for kept in types],
                }
                for version, types in versions.items()
            ],
        }

    def _legacy_version(self, group: str, version: str) -> web.StreamResponse:
        if group in self.stale:
            return web.Response(status=503, text="service unavailable")
        found = [
            k for k in self._types.values() if (k.resource.group, k.resource.version) == (group, version)
        ]
        resources = [
            {
                "name": kept.resource.resource,
                "kind": kept.resource.kind,
                "namespaced": kept.resource.namespaced,
                "verbs": list(kept.verbs),
            }
            for kept in found
        ]
        status = [{**r, "name": f"{r['name']}/status"} for r in resources]
        return web.json_response({"kind": "APIResourceList", "resources": [*resources, *status]})


async def _send_all(response: web.StreamResponse, watcher: _Watcher, first: list[bytes]) -> None:
    if first:
        await response.write(b"".join(first))
    while (data := await watcher.queue.get()) is not None:
        await response.write(data)
        watcher.sent += 1


def _aggregated_resource(kept: _Type) -> Object:
    resource = kept.resource
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {
        "resource": resource.resource,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.kind.lower(),
        "verbs": list(kept.verbs),
        "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}],
    }


def _legacy_group(group: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": list(reversed(entries)), "preferredVersion": entries[0]}


def _bookmark(resource: ResourceType, version: int, *, ends_list: bool = False) -> bytes:
    annotations = {"annotations": {"k8s.io/initial-events-end": "true"}} if ends_list else {}
    metadata = {"resourceVersion": str(version), **annotations}
    return line("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})


def _metadata_only(request: web.Request) -> bool:
    return "as=PartialObjectMetadata" in request.headers.get("Accept", "")


def _shown(obj: Object, metadata_only: bool) -> Object:
    if not metadata_only:
        return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _place(resource: ResourceType, namespace: str) -> str:
    return namespace if resource.namespaced else ""
