"""Who may see what, decided by a real API server: users with Roles, a service account, links, revoked rights, and none at all.

What is stored is written down here; who may see it is asked of the control plane, under the rights that are shipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from cluster_requests import RBAC, ROOT, Cluster, Json, read_manifest
from controlplane.layout import Layout
from controlplane.plane import ControlPlane
from controlplane.testing import wait_until
from jaeger_process import jaeger_over
from kubeweft.app.access import Gate, open_gate
from kubeweft.app.access_bounds import Bounds
from kubeweft.display.serving.access import AllowedReader
from kubeweft.display.serving.http.failing import Refused
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import facts_of, nodes_of
from kubeweft.model.errors import NotNow, UserError
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import ObjectQuery, SpanReader
from kubeweft.store.sqlite_reader import SqliteReader
from serve_process import Served, serving_store, stored_in
from span_builders import change, event, key, owner, related, request, to, uid, weave

USER = "kubeweft"
KEEP = 1.0  # seconds that an answer is believed here; ten in earnest
POD, SET = key("pods", "web-1", namespace="one"), key("replicasets", "web", namespace="one")
MAP, NODE = key("configmaps", "shared", namespace="two"), key("nodes", "node-1")
OTHER = key("pods", "db-1", namespace="two")
EVERYBODY = ("alice", "bob", "carol", "root")
Result = TypeVar("Result")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server that knows four people by their tokens, and us by the shipped rights."""
    folder = tmp_path_factory.mktemp("access")
    plane = ControlPlane(folder, controllers=False)
    with plane:
        tokens = Layout(folder).pki / "tokens.csv"
        with tokens.open("a") as file:
            file.writelines(f"{token_of(name)},{name},uid-{name}\n" for name in EVERYBODY)
        plane.restart_apiserver()
        with Cluster(plane.kubeconfig) as cluster:
            for namespace in ("one", "two"):
                cluster.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
            allow(cluster, "alice", "one", resources=["*"])
            allow(cluster, "bob", "two", resources=["*"])
            bind_everywhere(cluster, "root", "cluster-admin")
            bind_us(cluster)
        yield plane


@pytest.fixture(scope="module")
def cluster(plane: ControlPlane) -> Iterator[Cluster]:
    with Cluster(plane.kubeconfig) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def stored_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Pod of a ReplicaSet in one namespace, linked with a ConfigMap in another and with a Node."""
    spans = weave(
        change(SET, "Added", "10:00:00", uid=uid(1), version="1"),
        change(POD, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(SET, uid(1)),)),
        request(POD, "create", "10:00:01.100", uid=uid(2), version="2", code=201),
        related(POD, to(MAP, "Peer", "Mounts"), to(NODE, "Peer", "RunsOn"), clock="10:00:01"),
        change(MAP, "Modified", "10:00:02", uid=uid(3), old="1", version="3", words=("data.a 1 → 2",)),
        event(OTHER, "Started", "10:00:03", uid=uid(4)),
        event(NODE, "Rebooted", "10:00:04", uid=uid(5), type="Warning"),
    )
    return stored_in(tmp_path_factory.mktemp("store") / "kubeweft.db", spans)


@pytest.fixture(scope="module")
def stored(stored_file: Path) -> Iterator[SpanReader]:
    """The same for reading."""
    with SqliteReader(stored_file) as reader:
        yield reader


def token_of(name: str) -> str:
    return f"token-of-{name}-0123456789"


def allow(
    cluster: Cluster, user: str, namespace: str, *, resources: list[str], names: tuple[str, ...] = ()
) -> None:
    """A Role to get these, under the user's name, and its binding."""
    rule: Json = {"apiGroups": ["*"], "resources": resources, "verbs": ["get"]}
    rule |= {"resourceNames": list(names)} if names else {}
    roles = f"{RBAC}/namespaces/{namespace}"
    cluster.apply(f"{roles}/roles", rbac("Role", f"{user}-reads", rules=[rule]))
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    if user.startswith("system:serviceaccount:"):
        _, _, home, account = user.split(":")
        subject = {"kind": "ServiceAccount", "name": account, "namespace": home}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"{user}-reads"}
    binding = rbac("RoleBinding", f"{user}-reads", roleRef=reference, subjects=[subject])
    cluster.apply(f"{roles}/rolebindings", binding)


def bind_everywhere(cluster: Cluster, user: str, role: str) -> None:
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    cluster.apply(
        f"{RBAC}/clusterrolebindings", rbac("ClusterRoleBinding", user, roleRef=reference, subjects=[subject])
    )


def bind_us(cluster: Cluster) -> None:
    """``kubectl apply -f config/rbac/access/auth-delegator.yaml``, with our user in place of the service account."""
    shipped = read_manifest(str(ROOT / "config/rbac/access/auth-delegator.yaml"))
    shipped["subjects"] = [{"kind": "User", "name": USER, "apiGroup": "rbac.authorization.k8s.io"}]
    cluster.apply(f"{RBAC}/clusterrolebindings", shipped)


def rbac(kind: str, name: str, **more: object) -> Json:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, **more}


@contextlib.asynccontextmanager
async def gate_of(plane: ControlPlane, *, user: str = USER) -> AsyncIterator[Gate]:
    """A gate that asks as we would, with what is said believed for a second."""
    kubeconfig = str(plane.kubeconfig_for(user))
    async with open_gate(
        cluster="demo", kubeconfig=kubeconfig, bounds=Bounds(keep=KEEP, keep_failure=0.2)
    ) as gate:
        yield gate


async def seen_by(
    gate: Gate, token: str, stored: SpanReader, look: Callable[[AllowedReader], Result]
) -> Result:
    """What somebody finds who looks, in a thread as servers do."""
    viewer = await gate.viewer_for(token)
    return await asyncio.to_thread(look, AllowedReader(stored, viewer))


async def becomes(condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 3 * KEEP) -> None:
    """Look again until it holds; the limit leaves room for a busy machine above the time that answers are believed."""
    limit = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < limit, f"waited {seconds} s for {what}"
        await asyncio.sleep(0.05)


async def is_refused(gate: Gate, token: str) -> bool:
    """Whether whoever has this token is let in no more."""
    try:
        await gate.viewer_for(token)
    except (Refused, NotNow):
        return True
    return False


def objects(reader: SpanReader, name: str = "") -> set[ObjectKey]:
    """Everything that a search finds."""
    return {found.key for found in reader.find_objects(ObjectQuery(name=name, limit=100))}


def tree(reader: SpanReader) -> set[str]:
    """All names in the story of the ReplicaSet: objects, links and linked objects."""
    told = read_story(reader, SET)
    nodes = [*nodes_of(told.root), *told.linked]
    names = {str(node.key) for node in nodes}
    names |= {fact.span.name for node in nodes for fact in facts_of((*node.links, *node.facts))}
    return names


async def test_everybody_sees_what_they_may_get(plane: ControlPlane, stored: SpanReader) -> None:
    async with gate_of(plane) as gate:
        assert await seen_by(gate, token_of("alice"), stored, objects) == {POD, SET}
        assert await seen_by(gate, token_of("bob"), stored, objects) == {MAP, OTHER}
        assert await seen_by(gate, token_of("carol"), stored, objects) == set()
        assert await seen_by(gate, token_of("root"), stored, objects) == {POD, SET, MAP, OTHER, NODE}
        assert (
            await seen_by(
                gate, token_of("bob"), stored, lambda reader: reader.windows_of(POD, since=0, until=2**62)
            )
            == []
        )
        with pytest.raises(UserError, match="nothing is stored about"):
            await seen_by(gate, token_of("bob"), stored, tree)


async def test_a_link_is_seen_by_those_who_may_get_both_ends(
    plane: ControlPlane, cluster: Cluster, stored: SpanReader
) -> None:
    async with gate_of(plane) as gate:
        whole = await seen_by(gate, token_of("root"), stored, tree)
        assert {str(POD), str(NODE), f"peer {MAP}", f"peer {NODE}"} <= whole
        own = await seen_by(gate, token_of("alice"), stored, tree)
        assert str(POD) in own
        assert not [name for name in own if "shared" in name or "node-1" in name]
        allow(cluster, "alice", "two", resources=["configmaps"], names=("shared",))

        async def sees_the_map() -> bool:
            return f"peer {MAP}" in await seen_by(gate, token_of("alice"), stored, tree)

        await becomes(sees_the_map, "the link to be there")
        more = await seen_by(gate, token_of("alice"), stored, tree)
        assert not [name for name in more if "node-1" in name]
        assert await seen_by(gate, token_of("alice"), stored, objects) == {POD, SET}
        assert await seen_by(gate, token_of("alice"), stored, lambda r: objects(r, name="shared")) == {MAP}
        cluster.delete(f"{RBAC}/namespaces/two/rolebindings/alice-reads")


async def test_a_revoked_right_ends_within_the_time_that_answers_are_believed(
    plane: ControlPlane, cluster: Cluster, stored: SpanReader
) -> None:
    async with gate_of(plane) as gate:
        allow(cluster, "carol", "two", resources=["pods"])

        async def sees(expected: set[ObjectKey]) -> bool:
            return await seen_by(gate, token_of("carol"), stored, objects) == expected

        await becomes(lambda: sees({OTHER}), "the right to be in force", seconds=10)
        cluster.delete(f"{RBAC}/namespaces/two/rolebindings/carol-reads")
        wait_until(lambda: not may_get_pods(cluster, "carol", "two"), "the right to be gone")
        await becomes(lambda: sees(set()), "what was believed to be forgotten")


async def test_a_service_account_is_somebody_too(
    plane: ControlPlane, cluster: Cluster, stored: SpanReader
) -> None:
    cluster.create("/api/v1/namespaces/one/serviceaccounts", {"metadata": {"name": "viewer"}})
    request_ = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = cluster.create("/api/v1/namespaces/one/serviceaccounts/viewer/token", request_)
    elsewhere = {**request_, "spec": {"audiences": ["https://somewhere.else"]}}
    foreign = cluster.create("/api/v1/namespaces/one/serviceaccounts/viewer/token", elsewhere)
    allow(cluster, "system:serviceaccount:one:viewer", "two", resources=["pods"])
    async with gate_of(plane) as gate:
        assert await seen_by(gate, made["status"]["token"], stored, objects) == {OTHER}
        with pytest.raises(Refused):  # made for another audience
            await gate.viewer_for(foreign["status"]["token"])
        cluster.delete("/api/v1/namespaces/one/serviceaccounts/viewer")
        token = made["status"]["token"]
        # kube-apiserver itself believes a token for ten seconds
        await becomes(lambda: is_refused(gate, token), "the token to be worth nothing", seconds=30)


@pytest.mark.parametrize("token", ["nobody", "eyJhbGciOiJub25lIn0.e30.", token_of("alice") + "x"])
async def test_a_token_of_nobody_is_refused(plane: ControlPlane, token: str) -> None:
    async with gate_of(plane) as gate:
        with pytest.raises(Refused, match="does not accept this token"):
            await gate.viewer_for(token)


async def test_without_the_right_to_ask_nobody_is_let_in(plane: ControlPlane) -> None:
    async with gate_of(plane, user="nobody-in-particular") as gate:
        with pytest.raises(NotNow, match="does not say who you are"):
            await gate.viewer_for(token_of("root"))


async def test_while_the_api_server_is_down_nobody_sees_anything(
    plane: ControlPlane, stored: SpanReader
) -> None:
    async with gate_of(plane) as gate:
        viewer = await gate.viewer_for(token_of("root"))
        assert await asyncio.to_thread(viewer.allowed, {POD}) == {POD}
        await asyncio.to_thread(plane.stop_apiserver)
        try:
            await becomes(lambda: is_refused(gate, token_of("root")), "what was believed to be forgotten")
            with pytest.raises(NotNow):
                await gate.viewer_for(token_of("root"))
            assert await asyncio.to_thread(objects, AllowedReader(stored, viewer)) == set()
        finally:
            await asyncio.to_thread(plane.restart_apiserver)

        async def is_let_in() -> bool:
            return not await is_refused(gate, token_of("alice"))

        await becomes(is_let_in, "the API server to be asked again")
        assert await seen_by(gate, token_of("alice"), stored, objects) == {POD, SET}


@pytest.fixture(scope="module")
def serving(
    plane: ControlPlane, stored_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """``kubeweft serve --auth kubernetes`` over the same store."""
    kubeconfig = plane.kubeconfig_for(USER)
    options = (f"--store={stored_file}", "--auth=kubernetes", "--cluster=demo", f"--kubeconfig={kubeconfig}")
    with serving_store(tmp_path_factory.mktemp("serve"), *options) as served:
        yield served


def asked(url: str, token: str = "") -> tuple[int, str]:
    """Status and answer of a GET."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


SEARCH = "/api/traces?service=tree&operation=demo&start=0&limit=20&end=1900000000000000"


def test_over_http_everybody_gets_their_own(serving: Served) -> None:
    status, answer = asked(f"{serving.http}{SEARCH}")
    assert (status, "bearer token" in answer) == (401, True)
    assert asked(f"{serving.http}{SEARCH}", "nonsense")[0] == 401
    status, answer = asked(f"{serving.http}{SEARCH}", token_of("alice"))
    assert status == 200
    assert "web-1" in answer
    assert not [name for name in ("shared", "node-1", "db-1") if name in answer]
    status, answer = asked(f"{serving.http}{SEARCH}", token_of("bob"))
    assert status == 200
    assert "db-1" in answer
    assert "web-1" not in answer
    assert json.loads(asked(f"{serving.http}{SEARCH}", token_of("carol"))[1])["data"] == []


def test_a_deep_link_opens_for_those_who_may_see_the_object(serving: Served) -> None:
    traces = json.loads(asked(f"{serving.http}{SEARCH}", token_of("alice"))[1])["data"]
    for trace in traces:
        url = f"{serving.http}/api/traces/{trace['traceID']}"
        assert asked(url, token_of("alice"))[0] == 200
        assert asked(url, token_of("bob"))[0] == 404


@pytest.mark.jaeger
def test_jaeger_passes_on_who_looks(serving: Served, tmp_path: Path) -> None:
    with jaeger_over(serving.grpc, tmp_path / "jaeger", token=token_of("alice")) as jaeger:
        answer = asked(f"{jaeger}{SEARCH}", token_of("alice"))[1]
        assert "web-1" in answer
        assert not [name for name in ("shared", "node-1", "db-1") if name in answer]
        assert "db-1" in asked(f"{jaeger}{SEARCH}", token_of("bob"))[1]
        status, answer = asked(f"{jaeger}{SEARCH}")
        assert status >= 400
        assert "web-1" not in answer


def may_get_pods(cluster: Cluster, user: str, namespace: str) -> bool:
    spec = {"user": user, "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": namespace}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    answer = cluster.create(
        path, {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    )
    return bool(answer["status"]["allowed"])
