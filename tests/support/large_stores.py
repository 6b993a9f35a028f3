"""Large stores: a Deployment with very many Pods, woven from what a control plane tells, and a cluster of very many
objects, whose spans are built straight from a pattern, because ten million of them have to be written in minutes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Change, EventSeen, FieldManager, Observation, Related, Request
from kubeweft.model.references import ObjectKey, OwnerReference
from kubeweft.model.relations import Relation
from kubeweft.model.spans import Attributes, Span
from kubeweft.model.timestamps import format_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS
from kubeweft.store.interfaces import Batch
from kubeweft.store.sqlite import SqliteStore
from kubeweft.weaving.weaver import Weaver

NINE = 1_795_251_600 * NANOSECONDS  # 2026-11-21T09:00:00Z, on a border of windows
WINDOWS = 4
PODS = 1_000
NODES = 50
BATCH = 20_000
KUBELET = "kubelet/v1.36.3 (linux/amd64) kubernetes/abc"
MANAGER = "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/abc/system:serviceaccount:kube-system"
MADE = ("Scheduled", "Pulled", "Created", "Started")


class Crowd(NamedTuple):
    """Where the objects of a large Deployment are."""

    deployment: ObjectKey
    replica_set: ObjectKey
    pods: tuple[ObjectKey, ...]
    nodes: tuple[ObjectKey, ...]


def crowd(name: str = "web", *, pods: int = PODS, cluster: str = "prod") -> Crowd:
    """The keys of a Deployment with so many Pods."""
    return Crowd(
        ObjectKey(cluster, "apps", "deployments", "shop", name),
        ObjectKey(cluster, "apps", "replicasets", "shop", f"{name}-7c5f"),
        tuple([ObjectKey(cluster, "", "pods", "shop", f"{name}-7c5f-{n:05d}") for n in range(pods)]),
        tuple([ObjectKey(cluster, "", "nodes", "", f"node-{n:03d}") for n in range(min(NODES, pods))]),
    )


def crowd_spans(of: Crowd, *, linked: bool = True, quiet: bool = False, windows: int = WINDOWS) -> list[Span]:
    """The story of a Deployment over several windows, with 14 facts in the one in which each Pod is made.

    Every Pod is made in the first window and writes its status in all later ones (20 facts in four); or, ``quiet``, it is
    made in one of them and most write once more in the next (20 spans, links and all). ``linked`` Pods name their Node.
    """
    weaver = Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds())
    return weaver.weave(_crowd_story(of, linked=linked, quiet=quiet, windows=windows))


def _crowd_story(of: Crowd, *, linked: bool, quiet: bool, windows: int) -> Iterator[Observation]:
    yield _request(of.deployment, "create", NINE + NANOSECONDS // 10, version="1", uid="d")
    yield _change(of.deployment, "Added", NINE, uid="d", version="1", body={"spec": {"replicas": 1000}})
    owners = (OwnerReference("apps/v1", "Deployment", of.deployment.name, "d", True),)
    yield _change(of.replica_set, "Added", NINE, uid="r", version="2", owners=owners)
    for number, pod in enumerate(of.pods):
        begin = NINE + (10 + number // 4) * NANOSECONDS + number % 4 * 200_000_000
        later = range(1, windows)
        if quiet:
            begin += number % windows * DEFAULT_WINDOW
            later = range(1, 2 if number % 10 < 8 and number % windows < windows - 1 else 1)
        if linked:
            node = Relation(of.nodes[number % len(of.nodes)], "Peer", "RunsOn", "pod-node")
            yield Related(pod, (node,), begin)
        yield from _made(of, pod, number, begin)
        for window in later:
            time = begin + window * DEFAULT_WINDOW
            yield from _status(pod, number, time, f"{1000 + number * 50 + 9 + window}")


def _made(of: Crowd, pod: ObjectKey, number: int, begin: int) -> Iterator[Observation]:
    owners = (OwnerReference("apps/v1", "ReplicaSet", of.replica_set.name, "r", True),)
    uid, version = f"pod-{number}", 1000 + number * 50
    body = {"metadata": {"name": pod.name, "uid": uid, "creationTimestamp": format_timestamp(begin)[:19] + "Z"},
            "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]}}  # fmt: skip
    yield _request(pod, "create", begin, version=str(version), uid=uid, agent=MANAGER)
    yield _change(pod, "Added", begin, uid=uid, version=str(version), owners=owners, body=body)
    yield _request(pod, "create", begin + 20_000_000, subresource="binding", agent="kube-scheduler/v1.36.3")
    patch = [{"op": "add", "path": "/spec/nodeName", "value": f"node-{number % NODES:03d}"}]
    words = (f"+ spec.nodeName = node-{number % NODES:03d}",)
    yield _change(
        pod, "Modified", begin, uid=uid, old=str(version), version=str(version + 1), words=words, patch=patch
    )
    for index, reason in enumerate(MADE):
        yield _event(pod, reason, begin + index * NANOSECONDS, uid)
    for step in range(3):
        yield from _status(pod, number, begin + (step + 1) * NANOSECONDS, str(version + 2 + step))


def _status(pod: ObjectKey, number: int, time: int, version: str) -> Iterator[Observation]:
    old = str(int(version) - 1)
    words = (
        f"status.conditions[Ready].lastTransitionTime {old} → {version}",
        "status.phase Pending → Running",
    )
    patch = [{"op": "replace", "path": "/status/phase", "value": "Running"}]
    uid = f"pod-{number}"
    yield _request(pod, "patch", time, version=version, uid=uid, subresource="status", agent=KUBELET)
    yield _change(pod, "Modified", time, uid=uid, old=old, version=version, words=words, patch=patch)


def _request(
    key: ObjectKey,
    verb: str,
    time: int,
    *,
    version: str = "",
    uid: str = "",
    subresource: str = "",
    agent: str = "kubectl/v1.36.3",
) -> Request:
    path = f"/{key.resource}/{key.name}/{subresource}"
    end = time + 5_000_000
    return Request(
        key=key, audit_id=f"{key.name}-{time}-{subresource}", level="RequestResponse", stage="ResponseComplete", verb=verb,
        subresource=subresource, uri_path=path, uri_query="", uri=path, user=f"system:{agent.partition('/')[0]}",
        impersonated_user="", user_agent=agent, client_address="10.0.0.1", code=200, reason="", message="",
        received=time, completed=end, received_text=format_timestamp(time), completed_text=format_timestamp(end),
        uid=uid, version=version,
    )  # fmt: skip


def _change(
    key: ObjectKey,
    type_: str,
    time: int,
    *,
    uid: str,
    version: str,
    old: str = "",
    words: tuple[str, ...] = (),
    patch: list[dict[str, str]] | None = None,
    owners: tuple[OwnerReference, ...] = (),
    body: dict[str, object] | None = None,
) -> Change:
    second = time - time % NANOSECONDS
    return Change(
        key=key, kind={"pods": "Pod", "deployments": "Deployment", "replicasets": "ReplicaSet"}[key.resource],
        api_version="v1", uid=uid, old_version=old, version=version, type=type_,  # type: ignore[arg-type]  # written above
        time=second, time_source="object", patch=orjson.dumps(patch).decode() if patch else "", words=words,
        body=orjson.dumps(body) if body else b"", owners=owners,
        managers=(FieldManager("kubelet", "Update", "status", second),),
    )  # fmt: skip


def _event(key: ObjectKey, reason: str, time: int, uid: str) -> EventSeen:
    second = time - time % NANOSECONDS
    return EventSeen(
        key=key, kind="Pod", api_version="v1", uid=uid, field_path="", event_uid=f"{key.name}-{reason}",
        event_name=f"{key.name}.{time:x}", type="Normal", reason=reason, action="", message=f"{reason} container web",
        reporter="kubelet", count=1, series=False, first=second, last=second,
    )  # fmt: skip


RESOURCES = (("", "pods", "Pod"), ("apps", "replicasets", "ReplicaSet"), ("", "configmaps", "ConfigMap"),
             ("apps", "deployments", "Deployment"), ("", "secrets", "Secret"), ("batch", "jobs", "Job"))  # fmt: skip
SHARES = (12, 6, 5, 3, 2, 2)  # of 30
FACTS = 6  # of one object in one window, beside its object span
WORDS = ("status.conditions[Ready].status False → True", "spec.replicas 2 → 3", "metadata.generation 4 → 5")


def cluster_objects(count: int) -> list[tuple[ObjectKey, str]]:
    """So many objects of six types in 60 namespaces of two clusters, and their kinds."""
    types = [RESOURCES[index] for index, share in enumerate(SHARES) for _ in range(share)]
    made = []
    for number in range(count):
        group, resource, kind = types[number % len(types)]
        cluster = "prod" if number % 5 else "edge"
        made.append(
            (ObjectKey(cluster, group, resource, f"team-{number // 7 % 60:02d}", f"app-{number:05d}"), kind)
        )
    return made


def cluster_spans(objects: Iterable[tuple[ObjectKey, str]], window: int) -> Iterator[Span]:
    """What happened to these objects in the window that begins at ``window``: requests, changes and Events of each."""
    for number, (key, kind) in enumerate(objects):
        trace = identity.trace_id(key, window, DEFAULT_WINDOW)
        root = identity.object_span_id(trace)
        seconds = DEFAULT_WINDOW // NANOSECONDS
        yield Span(trace, root, b"", "object", key, str(key), window, window + DEFAULT_WINDOW,
                   {v.WINDOW_SECONDS: seconds})  # fmt: skip
        for index in range(FACTS):
            time = window + (index * 293 + number % 290) * NANOSECONDS + number % 997 * 1000
            own = index.to_bytes(2, "big") + trace[-6:]
            yield _cluster_fact(key, kind, index, (trace, own, root), time)


def _cluster_fact(key: ObjectKey, kind: str, index: int, ids: tuple[bytes, bytes, bytes], time: int) -> Span:
    number = time // NANOSECONDS % 86_400
    attributes: Attributes
    if index % 3 == 0:
        attributes = {v.VERB: "update", v.USER: f"system:serviceaccount:team-{number % 40}:deployer", v.CODE: 200,
                      v.USER_AGENT: KUBELET, v.KIND: kind, v.UID: key.name}  # fmt: skip
        return Span(*ids, "request", key, "update", time, time + 7_000_000, attributes)
    if index % 3 == 1:
        attributes = {v.CHANGE_TYPE: "Modified", v.KIND: kind, v.UID: key.name, v.RESOURCE_VERSION: str(number),
                      v.WORDS: WORDS[number % 3]}  # fmt: skip
        return Span(*ids, "change", key, "Modified", time, time, attributes)
    attributes = {v.EVENT_TYPE: "Normal", v.EVENT_REASON: "Synced", v.EVENT_REPORTER: "controller", v.KIND: kind,
                  v.EVENT_MESSAGE: f"synchronised {key.name} {number} times"}  # fmt: skip
    return Span(*ids, "event", key, "Synced", time, time, attributes)


def fill(store: SqliteStore, spans: Iterable[Span], *, batch: int = BATCH) -> int:
    """Write spans in large batches; gives how many."""
    coming, count = iter(spans), 0
    while part := list(itertools.islice(coming, batch)):
        count += store.write(Batch(spans=part)).added
    return count
