"""Records a story on a real control plane: what three independent watches and the audit log show of a rollout.

``python tests/support/record_story.py OUTPUT`` starts a control plane, runs the rollout in a namespace of its own and
writes JSON lines in order of arrival: ``{"at": ns, "watch": "pods", "line": {...}}`` or ``{"at": ns, "audit": {...}}``.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pykube
import requests

from controlplane.plane import ControlPlane
from rollout import Rollout, client_for

NAMESPACE = "story"
WATCHED = {
    "deployments.apps": "/apis/apps/v1/deployments",
    "replicasets.apps": "/apis/apps/v1/replicasets",
    "pods": "/api/v1/pods",
    "events": "/api/v1/events",
}


class Recorder:
    """Watches one path in a thread of its own and keeps every line with its time of arrival."""

    def __init__(self, api: pykube.HTTPClient, resource: str, path: str) -> None:
        self._resource = resource
        version = api.get(base="", version="", url=path, params={"limit": 1}).json()["metadata"][
            "resourceVersion"
        ]
        self._response = api.get(
            base="", version="", url=path, stream=True, params={"watch": "1", "resourceVersion": version}
        )
        self.lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(requests.exceptions.ChunkedEncodingError):  # the control plane has stopped
            for line in self._response.iter_lines():
                event = json.loads(line)
                if event["object"]["metadata"].get("namespace") == NAMESPACE:
                    self.lines.append({"at": time.time_ns(), "watch": self._resource, "line": event})


def audited(audit_log: Path) -> list[dict[str, Any]]:
    """The audit entries about the namespace's Deployments, ReplicaSets and Pods; they arrive a second after."""
    entries = []
    for line in audit_log.read_text().splitlines():
        entry = json.loads(line)
        reference = entry.get("objectRef") or {}
        if reference.get("namespace") == NAMESPACE and f"{reference['resource']}" in {
            "deployments",
            "replicasets",
            "pods",
        }:
            entries.append(entry)
    return entries


def arrival(entry: dict[str, Any]) -> int:
    """When a batching webhook would have brought the entry."""
    from kubeweft.model.timestamps import parse_timestamp

    return parse_timestamp(entry["stageTimestamp"]) + 1_000_000_000


def main(output: Path) -> None:
    """Record one rollout."""
    with tempfile.TemporaryDirectory() as folder, ControlPlane(folder, nodes=2) as plane:
        api = client_for(str(plane.kubeconfig))
        pykube.Namespace(api, {"metadata": {"name": NAMESPACE}}).create()
        recorders = [Recorder(api, resource, path) for resource, path in WATCHED.items()]
        Rollout(api, namespace=NAMESPACE).run()
        time.sleep(2)  # the last Events come after the last Pod
        lines = [line for recorder in recorders for line in list(recorder.lines)]
        lines += [{"at": arrival(entry), "audit": entry} for entry in audited(plane.audit_log)]
        lines.sort(key=lambda line: line["at"])
        output.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
        print(f"{len(lines)} lines in {output}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
