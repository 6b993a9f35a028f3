"""Something happens to an object in all three ways that are traced, and what the store of a running operator has of it.

For tests of policies: what is not selected has to be silent, also when everything has arrived (``check_silence``).
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from cluster_requests import Cluster, Json
from controlplane.testing import wait_until
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from kubeweft.store.sqlite_reader import SqliteReader
from ledger import StoredSpans
from operator_process import CLUSTER, OperatorProcess

EVERYTHING = frozenset({"change", "request", "event"})
NOTHING: frozenset[str] = frozenset()
CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"]}
KINDS = {"configmaps": "ConfigMap", "services": "Service"}


class Stir(NamedTuple):
    """A change of an object by an audited request, and (``note``) a Kubernetes Event about it."""

    resource: str
    namespace: str
    name: str
    version: str
    note: str


class Stage:
    """An operator that runs on while policies come, change and go, and objects to try them on."""

    def __init__(self, cluster: Cluster, operator: OperatorProcess) -> None:
        """``cluster`` is what the operator traces."""
        self.cluster = cluster
        self.operator = operator
        self._stored = StoredSpans(operator.store)
        self._numbers = itertools.count()
        self._silent: list[tuple[Stir, frozenset[str]]] = []

    # ------------------------------------------------------------------------------------------------- policies

    @contextlib.contextmanager
    def watching(self, *resources: str) -> Iterator[None]:
        """Types of the core group are watched, but nothing of them is traced: other policies begin sooner.

        Policies add up; the limit of diffs is the lowest there is, so that others may set it.
        """
        match = {"resources": [{"apiGroups": [""], "resources": list(resources)}], "namespaces": ["none"]}
        with self.policy(match=match, diff={"maxBytes": 256}):
            yield

    @contextlib.contextmanager
    def policy(self, *, reason: str = "Tracing", **spec: object) -> Iterator[str]:
        """A policy for the length of the block, which stands so (or, without a reason, anyhow) when it begins; its path."""
        with self.cluster.policy(**spec) as path:
            if reason:
                self.cluster.wait_in_force(path, reason=reason)
            yield path

    def change(self, path: str, *, reason: str = "Tracing", **spec: object) -> None:
        """Another spec for a policy, which stands so when this returns."""
        self.cluster.change_policy(path, **spec)
        self.cluster.wait_in_force(path, reason=reason)

    def condition(self, path: str, kind: str) -> Json:
        """A condition of a policy; empty if there is none."""
        conditions = (self.cluster.get(path).get("status") or {}).get("conditions") or []
        return next((c for c in conditions if c["type"] == kind), {})

    # -------------------------------------------------------------------------------------------------- objects

    def create(
        self,
        namespace: str,
        name: str,
        *,
        resource: str = "configmaps",
        labels: Json | None = None,
        annotations: Json | None = None,
        **fields: object,
    ) -> Json:
        """A ConfigMap, or something else with these fields."""
        metadata = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
        return self.cluster.create(_path(namespace, resource), {"metadata": metadata, **fields})

    def merge(self, namespace: str, name: str, patch: Json, *, resource: str = "configmaps") -> str:
        """Change an object; gives its version."""
        changed = self.cluster.merge(f"{_path(namespace, resource)}/{name}", patch)
        return str(changed["metadata"]["resourceVersion"])

    def tell(
        self, namespace: str, name: str, message: str, *, resource: str = "configmaps", kind: str = "Normal"
    ) -> None:
        """A Kubernetes Event about an object."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"kind": KINDS[resource], "apiVersion": "v1", "namespace": namespace, "name": name}
        told = {"reason": "Stirred", "type": kind, "firstTimestamp": now, "lastTimestamp": now, "count": 1}
        body = {"metadata": {"generateName": f"{name}."}, "involvedObject": about, "message": message, **told}
        self.cluster.create(f"/api/v1/namespaces/{namespace}/events", body)

    def stir(
        self, namespace: str, name: str, *, resource: str = "configmaps", by: Cluster | None = None
    ) -> Stir:
        """Change an object, and tell about it. ``by`` is another user."""
        note = f"stirred-{next(self._numbers)}"
        patch = {"metadata": {"annotations": {"example.com/stirred": note}}}
        changed = (by or self.cluster).merge(f"{_path(namespace, resource)}/{name}", patch)
        self.tell(namespace, name, note, resource=resource)
        return Stir(resource, namespace, name, changed["metadata"]["resourceVersion"], note)

    # ---------------------------------------------------------------------------------------- what became of it

    def spans(self, namespace: str, *names: str) -> list[Span]:
        """Everything stored about objects in a namespace, of these names or of all."""
        return [
            s
            for s in self._stored.now()
            if s.key.namespace == namespace and (not names or s.key.name in names)
        ]

    def changes(self, namespace: str, name: str) -> list[Span]:
        """The changes of an object, without sightings."""
        spans = self.spans(namespace, name)
        return [s for s in spans if s.source == "change" and s.attributes.get(v.CHANGE_TYPE) != "Sighting"]

    def wait_version(self, namespace: str, name: str, version: str) -> Span:
        """Wait until the change to this version is stored."""
        wait_until(
            lambda: any(_version(s) == version for s in self.changes(namespace, name)),
            f"{name} at {version}; the log ends: {self.operator.log_text()[-1000:]}",
        )
        return next(s for s in self.changes(namespace, name) if _version(s) == version)

    def wait_created(self, namespace: str, name: str) -> None:
        """Wait until any change of an object is stored."""
        wait_until(lambda: self.changes(namespace, name), f"the creation of {name} to be stored")

    def wait_checkpoint(self, resource: str, version: str) -> None:
        """Wait until a watch that begins anew would begin after this version of an object of the core group."""

        def is_passed() -> bool:
            with SqliteReader(self.operator.store) as reader:
                resume = reader.resume(CLUSTER, "", resource)
            return resume is not None and int(resume.version or 0) >= int(version)

        wait_until(is_passed, f"a checkpoint of {resource} after {version}")

    def sources_of(self, stir: Stir) -> frozenset[str]:
        """By which sources the store tells of it."""
        spans = [s for s in self.spans(stir.namespace, stir.name) if s.key.resource == stir.resource]
        return frozenset(
            s.source
            for s in spans
            if _version(s) == stir.version or stir.note in str(s.attributes.get(v.EVENT_MESSAGE))
        )

    def wait(self, stir: Stir, sources: frozenset[str] = EVERYTHING) -> None:
        """Wait until it is stored from these sources."""
        try:
            wait_until(lambda: self.sources_of(stir) >= sources, f"{stir}")
        except AssertionError as error:
            told = f"{error}, there is {set(self.sources_of(stir))}\n{self.operator.log_text()[-2000:]}"
            raise AssertionError(told) from None

    def check_stirs(
        self, *, seen: list[Stir], unseen: list[Stir], sources: frozenset[str] = EVERYTHING
    ) -> None:
        """Those ``seen`` come from all of these sources; the ``unseen``, which were made before them, from none."""
        for stir in seen:
            self.wait(stir, sources)
        self._silent += [(stir, sources) for stir in unseen]
        self.check_silence()

    def check_silence(self) -> None:
        """Nothing that was to be left out has arrived until now."""
        told = {stir: self.sources_of(stir) & sources for stir, sources in self._silent}
        found = {stir: set(sources) for stir, sources in told.items() if sources}
        assert not found, f"this is not selected, and is in the store: {found}"


def _path(namespace: str, resource: str) -> str:
    return f"/api/v1/namespaces/{namespace}/{resource}"


def _version(span: Span) -> object:
    return span.attributes.get(v.RESOURCE_VERSION)
