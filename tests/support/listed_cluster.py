"""A cluster that can only be asked: get and list over HTTP, in a thread, for commands that are synchronous.

It serves the types of the objects it is given, in pages of two, forbids on command, and remembers what was asked.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from kubeweft.model.kinds import Kinds, guess_resource
from kubeweft.model.references import ResourceType, group_of

Object = dict[str, Any]
PAGE = 2
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?"
)
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {{token: t}}}}]
"""


class Asked(NamedTuple):
    """One request for objects."""

    path: str
    metadata_only: bool


class ListedCluster:
    """What the server has and was asked."""

    def __init__(self, objects: Sequence[Object], types: Sequence[ResourceType] = ()) -> None:
        """``types`` are those of kinds that Kubernetes does not serve by itself."""
        kinds = Kinds()
        for type_ in types:
            kinds.learn(type_)
        self.objects = [(_type_of(o, kinds), o) for o in objects]
        self.types = sorted({*types, *(type_ for type_, _ in self.objects)})
        self.forbidden: set[str] = set()
        self.asked: list[Asked] = []
        self.url = ""

    def kubeconfig(self, folder: Path) -> str:
        """A file that leads here."""
        file = folder / "kubeconfig"
        file.write_text(KUBECONFIG.format(url=self.url))
        return str(file)

    def answer(self, target: str, accept: str) -> tuple[int, Object]:
        """Status and body for one request."""
        path = urlsplit(target).path
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return 200, {"kind": "APIGroupList", "groups": self._groups()}
        if path.count("/") == (2 if path.startswith("/api/") else 3):
            return 200, self._resources(path)
        match = _PATH.fullmatch(path)
        assert match, path
        return self._objects(match, parse_qs(urlsplit(target).query), "as=PartialObjectMetadata" in accept)

    def _groups(self) -> list[Object]:
        groups = sorted({type_.group for type_ in self.types if type_.group})
        versions = {g: sorted({t.version for t in self.types if t.group == g}) for g in groups}
        return [{"name": g, "versions": [{"version": v} for v in versions[g]]} for g in groups]

    def _resources(self, path: str) -> Object:
        *_, last = path.partition("/apis/" if path.startswith("/apis/") else "/api/")
        return {
            "kind": "APIResourceList",
            "resources": [
                {
                    "name": t.resource,
                    "kind": t.kind,
                    "namespaced": t.namespaced,
                    "verbs": ["get", "list", "watch"],
                }
                for t in self.types
                if t.api_version == last
            ],
        }

    def _objects(
        self, match: re.Match[str], query: dict[str, list[str]], metadata_only: bool
    ) -> tuple[int, Object]:
        self.asked.append(Asked(unquote(match[0]), metadata_only))
        group, resource = match["group"] or "", match["resource"]
        if resource in self.forbidden:
            return 403, {"kind": "Status", "message": f'{resource} is forbidden: User "tester" cannot list'}
        found = [
            {"metadata": o["metadata"]} if metadata_only else o
            for type_, o in self.objects
            if (type_.group, type_.resource) == (group, resource)
            and match["namespace"] in (None, o["metadata"].get("namespace"))
        ]
        if match["name"]:
            one = next((o for o in found if o["metadata"]["name"] == unquote(match["name"])), None)
            return (200, one) if one else (404, {"kind": "Status", "message": "not found"})
        start = int(query.get("continue", ["0"])[0])
        end = start + min(PAGE, int(query["limit"][0]))
        more = {"continue": str(end)} if end < len(found) else {}
        items = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in found[start:end]]
        return 200, {"kind": "List", "metadata": more, "items": items}


@contextmanager
def listed(cluster: ListedCluster) -> Iterator[ListedCluster]:
    """Serve it on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = cluster.answer(self.path, self.headers.get("Accept", ""))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()


def _type_of(obj: Object, kinds: Kinds) -> ResourceType:
    group = group_of(obj["apiVersion"])
    known = kinds.resource_of(group, obj["kind"])
    if known is None:
        version = obj["apiVersion"].rpartition("/")[2]
        known = ResourceType(
            group, version, guess_resource(obj["kind"]), obj["kind"], "namespace" in obj["metadata"]
        )
    return known
