"""What is recorded of a story: the lines of independent watches and of the audit log, in the order of their arrival.

Nothing is made up. Left out is what is not about the story's namespaces, and the certificate that every namespace gets.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pykube
import requests
import zstandard

from controlplane.plane import ControlPlane
from kubeweft.model.timestamps import parse_timestamp
from stretching import SECOND, Quiet, later, stretched

PATHS = {
    "namespaces": "/api/v1/namespaces",
    "deployments.apps": "/apis/apps/v1/deployments",
    "replicasets.apps": "/apis/apps/v1/replicasets",
    "statefulsets.apps": "/apis/apps/v1/statefulsets",
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
    "configmaps": "/api/v1/configmaps",
    "nodes": "/api/v1/nodes",
    "events": "/api/v1/events",
}
EVERY_NAMESPACE_HAS = "kube-root-ca.crt"
DELIVERED_AFTER = SECOND  # a batching webhook delivers once a second
LARGE = 200_000
LONGEST_QUIET = 600.0  # seconds without a line of a watch

Json = dict[str, Any]


class Watching:
    """Watches one path in a thread of its own and keeps every line with its time of arrival."""

    def __init__(self, api: pykube.HTTPClient, resource: str, namespaces: frozenset[str]) -> None:
        self._resource, self._namespaces = resource, namespaces
        path = PATHS[resource]
        listed = api.get(base="", version="", url=path, params={"limit": 1}).json()
        version = listed["metadata"]["resourceVersion"]
        self._response = api.get(
            base="",
            version="",
            url=path,
            stream=True,
            params={"watch": "1", "resourceVersion": version},
            timeout=LONGEST_QUIET,
        )
        self.lines: list[Json] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(requests.exceptions.ChunkedEncodingError):  # the control plane has stopped
            for text in self._response.iter_lines():
                line = json.loads(text)
                metadata = line["object"]["metadata"]
                if _place(metadata) in self._namespaces and metadata.get("name") != EVERY_NAMESPACE_HAS:
                    self.lines.append({"at": time.time_ns(), "watch": self._resource, "line": line})


class ClusterRecording:
    """One control plane of a story; its lines name it, unless it is ``local``."""

    def __init__(
        self, plane: ControlPlane, *, watched: Sequence[str], namespaces: Sequence[str], name: str = "local"
    ) -> None:
        """Begins to watch; the plane runs. Audited is what is watched, or with ``*`` everything in the namespaces."""
        self._plane, self._name = plane, name
        self._namespaces = frozenset(namespaces)
        self._audited = {resource for resource in watched if resource != "events"}
        self._api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(plane.kubeconfig)), timeout=30)
        names = PATHS if "*" in watched else watched
        self._watches = [Watching(self._api, resource, self._namespaces) for resource in names]

    def lines(self, quiets: Sequence[Quiet] = ()) -> list[Json]:
        """Everything so far, each line with its time of arrival."""
        lines = []
        for watch in self._watches:
            for line in list(watch.lines):
                at = later(line["at"], quiets)
                lines.append({**_stretched(line, quiets), "at": at})
        for entry in self._entries():
            audit = _stretched(entry, quiets)
            at = parse_timestamp(audit["stageTimestamp"]) + DELIVERED_AFTER
            lines.append({"at": at, "audit": audit})
        if self._name == "local":
            return lines
        return [{"at": line.pop("at"), "cluster": self._name, **line} for line in lines]

    def _entries(self) -> list[Json]:
        entries = [json.loads(text) for text in self._plane.audit_log.read_text().splitlines()]
        return [entry for entry in entries if self._is_told(entry.get("objectRef") or {})]

    def _is_told(self, reference: Json) -> bool:
        group = reference.get("apiGroup", "")
        resource = f"{reference.get('resource', '')}.{group}" if group else reference.get("resource", "")
        wanted = "*" in self._audited or resource in self._audited
        return (
            wanted and _place(reference) in self._namespaces and reference.get("name") != EVERY_NAMESPACE_HAS
        )


class Recording:
    """All clusters of a story, and the quiet times in it."""

    def __init__(self, *clusters: ClusterRecording) -> None:
        self._clusters = clusters
        self._quiets: list[Quiet] = []

    def pass_time(self, *, minutes: int) -> None:
        """Nothing happens for so long: the next whole second is so much later in what is written."""
        time.sleep(1.5)  # until everything that follows from what was done has been seen
        at = int(time.time()) + 1
        time.sleep(at - time.time() + 0.01)
        self._quiets.append(Quiet(at, minutes * 60))

    def write(self, folder: Path) -> int:
        """Write ``recorded.jsonl``, compressed if it is large; gives the number of lines."""
        time.sleep(2)  # the last Events come after the last Pod
        lines = [line for cluster in self._clusters for line in cluster.lines(self._quiets)]
        lines.sort(key=lambda line: line["at"])
        data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("recorded.jsonl*"):
            old.unlink()
        if len(data) > LARGE:
            compressed = zstandard.ZstdCompressor(level=19).compress(data)
            (folder / "recorded.jsonl.zst").write_bytes(compressed)
        else:
            (folder / "recorded.jsonl").write_bytes(data)
        return len(lines)


def _place(named: Json) -> str:
    """The namespace of an object; of a Namespace its own name."""
    return str(named.get("namespace") or named.get("name") or "")


def _stretched(line: Json, quiets: Sequence[Quiet]) -> Json:
    if not quiets:
        return line
    moved: Json = json.loads(stretched(json.dumps(line), quiets))
    return moved
