"""The gate: whom it lets in, what it asks, what it remembers and for how long, and that it is closed when in doubt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from fake_apiserver import FakeApiServer, answer
from fake_reviews import ACCESS, MANY, TOKENS, FakeReviews
from kubeweft.app.access import Gate, GatedViewer, open_gate
from kubeweft.app.access_bounds import Bounds
from kubeweft.display.serving.access import AllowedReader
from kubeweft.display.serving.dependencies import type_links
from kubeweft.display.serving.http.failing import Refused
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import NotNow
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import Batch, ObjectQuery
from kubeweft.store.sqlite import SqliteStore
from store_samples import fact, object_span

TOKEN = "alices-token"


def pod(name: str, namespace: str = "shop", cluster: str = "local") -> ObjectKey:
    return ObjectKey(cluster, "", "pods", namespace, name)


def node(name: str) -> ObjectKey:
    return ObjectKey("local", "", "nodes", "", name)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """One cluster with reviews, a gate before it, and a clock."""

    def __init__(self, server: FakeApiServer, gate: Gate, clock: Clock) -> None:
        self.server = server
        self.reviews = FakeReviews(server)
        self.gate = gate
        self.clock = clock
        self.reviews.tokens[TOKEN] = "alice"

    async def alice(self) -> GatedViewer:
        return await self.gate.viewer_for(TOKEN)


@contextlib.asynccontextmanager
async def world(bounds: Bounds | None = None) -> AsyncIterator[World]:
    async with FakeApiServer([]) as server, server.client() as client:
        clock = Clock()
        yield World(server, Gate(client, cluster="local", bounds=bounds, clock=clock), clock)


async def seen(viewer: GatedViewer, keys: Collection[ObjectKey]) -> AbstractSet[ObjectKey]:
    """What the viewer may see, asked from a thread as servers do."""
    return await asyncio.to_thread(viewer.allowed, keys)


async def test_a_right_in_one_namespace() -> None:
    async with world() as here:
        here.reviews.allow("alice", namespace="shop", resource="pods")
        viewer = await here.alice()
        assert await seen(viewer, {pod("a"), pod("b"), pod("c", "vault"), node("n")}) == {pod("a"), pod("b")}


async def test_a_namespace_costs_one_question_and_everything_just_one() -> None:
    async with world() as here:
        here.reviews.allow("alice", namespace="shop", resource="pods")
        assert len(await seen(await here.alice(), {pod(f"p{n}") for n in range(100)})) == 100
        assert [one.get("namespace", "") for one in here.reviews.asked] == ["", "", "shop"]
        here.reviews.tokens["root"] = "root"
        here.reviews.allow("root")
        before = len(here.reviews.asked)
        keys = {pod("a", f"ns-{n}") for n in range(50)} | {node("n")}
        assert await seen(await here.gate.viewer_for("root"), keys) == keys
        assert len(here.reviews.asked) == before + 1


async def test_a_right_to_one_object() -> None:
    async with world() as here:
        here.reviews.allow("alice", namespace="shop", resource="pods", name="a")
        here.reviews.allow("alice", resource="nodes", name="n1")
        viewer = await here.alice()
        assert await seen(viewer, {pod("a"), pod("b"), node("n1"), node("n2")}) == {pod("a"), node("n1")}


async def test_where_names_do_not_count_only_wide_rights_do() -> None:
    async with world() as here:
        here.reviews.allow("alice", namespace="shop", resource="pods", name="a")
        here.reviews.allow("alice", namespace="yard", resource="pods")
        viewer = await here.alice()
        keys = {pod("a"), pod("b", "yard"), node("n")}
        assert await asyncio.to_thread(lambda: viewer.allowed(keys, by_name=False)) == {pod("b", "yard")}
        assert not [one for one in here.reviews.asked if "name" in one]
        assert viewer.undecided == 0


async def test_a_collection_is_for_those_who_may_see_all_of_it() -> None:
    async with world() as here:
        here.reviews.allow("alice", namespace="shop", resource="pods")
        viewer = await here.alice()
        assert await seen(viewer, {pod(""), pod("", "vault"), pod("", "")}) == {pod("")}
        assert viewer.undecided == 0


async def test_a_namespace_lies_in_itself() -> None:
    async with world() as here:
        here.reviews.allow("alice", namespace="shop", resource="namespaces", name="shop")
        shop, vault = (ObjectKey("local", "", "namespaces", "", name) for name in ("shop", "vault"))
        assert await seen(await here.alice(), {shop, vault}) == {shop}


async def test_whoever_has_no_good_token_is_not_let_in() -> None:
    async with world() as here:
        for token in (None, "", "wrong", "x" * 20_000, "line\nfeed", "ümlaut"):
            with pytest.raises(Refused) as told:
                await here.gate.viewer_for(token)
            assert told.value.status == 401
            assert not token or token not in str(told.value)
        asked = [one for one in here.server.asked if one.path == TOKENS]
        assert len(asked) == 1  # what cannot be a token is asked of nobody


async def test_what_was_said_is_believed_for_ten_seconds() -> None:
    async with world() as here:
        here.reviews.allow("alice", namespace="shop", resource="pods")
        assert await seen(await here.alice(), {pod("a")}) == {pod("a")}
        asked = len(here.server.asked)
        here.reviews.rules.clear()
        here.clock.now += 9.9
        assert await seen(await here.alice(), {pod("a"), pod("b")}) == {pod("a"), pod("b")}
        assert len(here.server.asked) == asked
        here.clock.now += 0.2
        assert await seen(await here.alice(), {pod("a")}) == set()


async def test_a_token_that_was_revoked_is_believed_for_ten_seconds() -> None:
    async with world() as here:
        viewer = await here.alice()
        here.reviews.allow("alice")
        here.reviews.tokens.clear()
        assert await seen(viewer, {pod("a")}) == {pod("a")}
        here.clock.now += 10.1
        assert await seen(viewer, {pod("a")}) == set()
        with pytest.raises(Refused):
            await here.alice()


async def test_two_people_share_nothing() -> None:
    async with world() as here:
        here.reviews.tokens["bobs-token"] = "bob"
        here.reviews.allow("bob", resource="pods")
        assert await seen(await here.gate.viewer_for("bobs-token"), {pod("a")}) == {pod("a")}
        assert await seen(await here.alice(), {pod("a")}) == set()


@pytest.mark.parametrize("code", [403, 404, 500, 503])
async def test_a_review_that_fails_is_a_no_for_a_moment(code: int) -> None:
    async with world() as here:
        here.reviews.allow("alice")
        viewer = await here.alice()
        here.reviews.before(ACCESS, answer(code), times=4)
        assert await seen(viewer, {pod("a")}) == set()
        here.clock.now += 3.1
        assert await seen(viewer, {pod("a")}) == {pod("a")}


async def test_an_api_server_that_does_not_answer_lets_nobody_in() -> None:
    async with world(Bounds(deadline=0.2)) as here:
        forever = asyncio.Event()

        async def hang(_: web.Request) -> web.StreamResponse:
            await forever.wait()
            return web.Response()

        viewer = await here.alice()
        here.reviews.allow("alice")
        here.reviews.before(ACCESS, hang, times=9)
        here.reviews.before(TOKENS, hang, times=9)
        assert await seen(viewer, {pod("a"), pod("b")}) == set()
        assert viewer.undecided == 2
        here.clock.now += 20
        with pytest.raises(NotNow, match="local"):
            await here.alice()
        forever.set()


async def test_a_server_that_is_gone_lets_nobody_in_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeApiServer([]) as server, server.client() as client:
        gate = Gate(client, cluster="local")
        await server.__aexit__()
        for _ in range(3):
            with pytest.raises(NotNow):
                await gate.viewer_for(TOKEN)
    assert [r.levelname for r in caplog.records if "nothing of cluster local is shown" in r.message] == [
        "WARNING"
    ]
    assert TOKEN not in caplog.text


async def test_questions_of_one_answer_are_bounded_and_the_rest_is_undecided() -> None:
    async with world(Bounds(reviews=10)) as here:
        here.reviews.allow("alice", resource="nodes", name="n9")
        viewer = await here.alice()
        may = await seen(viewer, {node(f"n{n}") for n in range(30)})
        assert len(here.reviews.asked) == 10
        assert viewer.undecided == 30 - 8  # two of the questions were about all nodes
        assert may <= {node("n9")}
        fresh = await here.alice()  # another answer has questions of its own, and knows what was said before
        await seen(fresh, {node(f"n{n}") for n in range(30)})
        assert len(here.reviews.asked) == 20


async def test_rights_in_one_of_many_namespaces_are_enough_for_a_search_without_tags(tmp_path: Path) -> None:
    """Of 550 types and namespaces, those with most objects first, one may see all in one namespace."""
    types = (
        ("", "pods"),
        ("", "configmaps"),
        ("", "services"),
        ("apps", "replicasets"),
        ("apps", "deployments"),
    )
    spans = [
        object_span(ObjectKey("local", group, resource, f"ns{number}", f"x-{number}"))
        for number in range(110)
        for group, resource in types
    ]
    own = (
        ObjectKey("local", "", "pods", "mine", "own"),
        ObjectKey("local", "apps", "deployments", "mine", "own"),
    )
    of_rule = {v.LINK_ROLE: "Child", v.LINK_CLUSTER: "local", v.LINK_RESOURCE: "pods"}
    linked = {**of_rule, v.LINK_NAMESPACE: "mine", v.LINK_NAME: "own"}
    spans += [*map(object_span, own), fact(own[1], 1, source="link", attributes=linked)]
    with contextlib.closing(SqliteStore(tmp_path / "store.db")) as store:
        store.write(Batch(spans=spans))
        async with world() as here:
            here.reviews.allow("alice", namespace="mine")
            reader = AllowedReader(store, await here.alice())
            found = await asyncio.to_thread(reader.find_objects, ObjectQuery(limit=20))
            assert {one.key for one in found} == set(own)
            assert (
                reader.searches_cut
            )  # who may see Deployments in another namespace, and nothing else there?
            assert len(here.reviews.asked) <= 300
            reader = AllowedReader(store, await here.alice())
            (link,) = await asyncio.to_thread(type_links, reader, Kinds(), since=0, until=2**63 - 1)
            assert (link.parent, link.child) == ("Deployment", "Pod")
            here.reviews.tokens["bobs-token"] = "bob"
            reader = AllowedReader(store, await here.gate.viewer_for("bobs-token"))
            assert await asyncio.to_thread(type_links, reader, Kinds(), since=0, until=2**63 - 1) == []


@contextlib.asynccontextmanager
async def two_clusters(*shared: str) -> AsyncIterator[tuple[FakeReviews, FakeApiServer, Gate]]:
    """Reviews of the home cluster, a joined cluster whose owner allows everybody everything, and a gate before both."""
    async with (
        FakeApiServer([]) as near,
        FakeApiServer([]) as far,
        near.client() as home,
        far.client() as other,
    ):
        reviews = FakeReviews(near)
        reviews.tokens[TOKEN] = "alice"
        yield reviews, far, Gate(home, cluster="local", others={"far": other}, shared=shared)


async def test_a_joined_cluster_gets_no_token_and_is_asked_nothing() -> None:
    async with two_clusters() as (here, far, gate):
        there = FakeReviews(far)
        for name in ("alice", "mallory"):
            there.allow(name)
        there.tokens["only-there"] = "mallory"
        here.allow("alice")
        viewer = await gate.viewer_for(TOKEN)
        keys = {pod("a"), pod("a", cluster="far"), pod("a", cluster="unknown")}
        assert await seen(viewer, keys) == {pod("a")}
        assert viewer.undecided == 0
        assert await asyncio.to_thread(viewer.clusters, ["far", "local", "unknown"]) == ["local"]
        with pytest.raises(Refused):
            await gate.viewer_for("only-there")
        assert far.asked == []


async def test_a_cluster_of_the_same_people_is_asked_about_name_and_groups_and_gets_no_token() -> None:
    async with two_clusters("far") as (here, far, gate):
        there = FakeReviews(far)
        there.allow("alice", namespace="shop")
        viewer = await gate.viewer_for(TOKEN)
        assert await seen(viewer, {pod("a"), pod("a", cluster="far")}) == {pod("a", cluster="far")}
        assert await asyncio.to_thread(viewer.clusters, ["far", "local", "unknown"]) == ["far", "local"]
        assert {one.path for one in far.asked} == {ACCESS}
        spec = there.specs[0]
        assert (spec["user"], spec["uid"], spec["extra"]) == ("alice", "", {})
        assert spec["groups"] == ["system:authenticated"]
        assert len([one for one in here._server.asked if one.path == TOKENS]) == 1


async def test_service_accounts_are_those_of_one_cluster_whatever_is_said() -> None:
    account = "system:serviceaccount:default:default"
    async with two_clusters("far") as (here, far, gate):
        FakeReviews(far).allow(account)
        here.tokens["of-pod"] = account
        here.allow(account)
        viewer = await gate.viewer_for("of-pod")
        assert await seen(viewer, {pod("a"), pod("a", cluster="far")}) == {pod("a")}
        assert await asyncio.to_thread(viewer.clusters, ["far", "local"]) == ["local"]
        assert far.asked == []


async def test_a_joined_cluster_that_is_silent_shuts_nobody_out_of_the_home_cluster() -> None:
    async with two_clusters("far") as (here, far, gate):
        here.allow("alice")
        far.script(ACCESS, answer(503), times=MANY)
        viewer = await gate.viewer_for(TOKEN)
        assert await seen(viewer, {pod("a"), pod("a", cluster="far")}) == {pod("a")}


async def test_asked_in_the_event_loop_it_would_wait_for_itself_and_refuses() -> None:
    async with world() as here:
        viewer = await here.alice()
        with pytest.raises(RuntimeError, match="in a thread"):
            viewer.allowed({pod("a")})


async def test_a_gate_is_opened_by_a_kubeconfig(tmp_path: Path) -> None:
    async with FakeApiServer([]) as server:
        reviews = FakeReviews(server)
        reviews.tokens[TOKEN] = "alice"
        reviews.allow("alice", namespace="shop")
        content = {
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {"token": "kubewefts-own"}}],
            "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("one", "two")],
            "current-context": "one",
        }
        (tmp_path / "config").write_text(yaml.safe_dump(content))
        kubeconfig = str(tmp_path / "config")
        async with open_gate(
            cluster="local", kubeconfig=kubeconfig, context="one", shared={"far": "two"}
        ) as gate:
            viewer = await gate.viewer_for(TOKEN)
            keys = {pod("a"), pod("b", "vault"), pod("a", cluster="far")}
            assert await seen(viewer, keys) == {pod("a"), pod("a", cluster="far")}
        assert {one.authorization for one in server.asked} == {"Bearer kubewefts-own"}
        assert not [one for one in server.asked if TOKEN in one.path]
