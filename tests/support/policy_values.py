"""Values that no built-in rule hides, and the redaction of a policy that hides each of them."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_requests import Cluster, Json
from policy_stage import CONFIG_MAPS, Stage


@dataclass
class Values:
    """What a policy hides, in one ConfigMap and in Events about it; other values each time."""

    said: str

    @property
    def secret(self) -> list[str]:
        """All that must not be found."""
        return [f"{place}-{self.said}" for place in ("contact", "example-secret", "omitted", "digested")]

    def write(self, stage: Stage, namespace: str, name: str, *, by: Cluster) -> None:
        """Into an object, and into an Event."""
        contact, pattern, omitted, digested = self.secret
        body = {
            "metadata": {"annotations": {"example.com/contact": contact}},
            "data": {"pattern": pattern, "omitted": omitted, "digested": digested, "plain": self.said},
        }
        changed = by.merge(f"/api/v1/namespaces/{namespace}/configmaps/{name}", body)
        stage.tell(namespace, name, f"cannot use {pattern}")
        stage.wait_version(namespace, name, changed["metadata"]["resourceVersion"])
        stage.wait(stage.stir(namespace, name))


REDACTION: Json = {
    "userIdentity": "Digest",
    "annotationKeys": ["example.com/contact"],
    "patterns": [{"name": "ours", "regex": "example-secret-[a-z0-9]+"}],
    "fields": [
        {"name": "omitted", "path": "data.omitted", "resources": [CONFIG_MAPS]},
        {"name": "digested", "path": "data.digested", "action": "Digest"},
    ],
}
