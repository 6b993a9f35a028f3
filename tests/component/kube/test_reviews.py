"""Who a token stands for and what that one may read: what is asked, and what each kind of answer means."""

from __future__ import annotations

import pytest

from fake_apiserver import FakeApiServer, answer, raw
from fake_reviews import ACCESS, TOKENS, FakeReviews
from kubeweft.kube.clients import ClusterClient
from kubeweft.kube.failures import ApiFailure, Forbidden, Unavailable
from kubeweft.kube.reviews import EVERYTHING, Person, ReadQuestion, may_read, who_is

ALICE = Person("alice", "uid-alice", ("system:authenticated",), (("scopes", ("a", "b")),))


async def test_whose_token_it_is(server: FakeApiServer, client: ClusterClient) -> None:
    FakeReviews(server).tokens["secret-token"] = "alice"
    person = await who_is(client, "secret-token")
    assert person == Person(
        "alice",
        "uid-alice",
        ("system:authenticated",),
        (("authentication.kubernetes.io/credential-id", ("JTI=1",)),),
    )
    assert await who_is(client, "another") is None


async def test_what_is_asked_is_get_with_everything_known_of_the_person(
    server: FakeApiServer, client: ClusterClient
) -> None:
    reviews = FakeReviews(server)
    reviews.allow("alice", namespace="shop", resource="pods")
    assert await may_read(client, ALICE, ReadQuestion("", "pods", "shop", "web-1"))
    assert not await may_read(client, ALICE, ReadQuestion("apps", "deployments", "shop"))
    assert not await may_read(client, ALICE, EVERYTHING)
    assert reviews.specs[0] == {
        "user": "alice",
        "uid": "uid-alice",
        "groups": ["system:authenticated"],
        "extra": {"scopes": ["a", "b"]},
        "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "shop", "name": "web-1"},
    }
    assert reviews.asked[2] == {"verb": "get", "group": "*", "resource": "*"}


@pytest.mark.parametrize(
    "status",
    [
        b'{"allowed": true, "denied": true}',
        b'{"allowed": false}',
        b'{"allowed": false, "evaluationError": "x"}',
    ],
)
async def test_only_a_plain_yes_is_one(server: FakeApiServer, client: ClusterClient, status: bytes) -> None:
    server.script(ACCESS, raw(b'{"status": ' + status + b"}"))
    assert not await may_read(client, ALICE, EVERYTHING)


@pytest.mark.parametrize(
    "status",
    [
        b'{"authenticated": false, "user": {"username": "alice"}}',
        b'{"authenticated": true}',
        b'{"authenticated": true, "user": {}}',
        b"{}",
    ],
)
async def test_a_token_of_nobody(server: FakeApiServer, client: ClusterClient, status: bytes) -> None:
    server.script(TOKENS, raw(b'{"status": ' + status + b"}"))
    assert await who_is(client, "t") is None


@pytest.mark.parametrize(
    "body", [b"{}", b'{"status": {}}', b'{"status": {"allowed": "yes"}}', b"<html>", b"[]", b"\xff"]
)
async def test_what_is_no_review_is_no_answer(
    server: FakeApiServer, client: ClusterClient, body: bytes
) -> None:
    server.script(ACCESS, raw(body))
    with pytest.raises(Unavailable, match="no review"):
        await may_read(client, ALICE, EVERYTHING)


@pytest.mark.parametrize(("code", "failure"), [(403, Forbidden), (500, Unavailable), (429, Unavailable)])
async def test_failures_are_told_without_the_token(
    server: FakeApiServer, client: ClusterClient, code: int, failure: type[ApiFailure]
) -> None:
    server.script(TOKENS, answer(code))
    with pytest.raises(failure) as told:
        await who_is(client, "very-secret-token")
    assert "very-secret-token" not in str(told.value)


def test_of_somebody_only_names_that_clusters_can_share_count_elsewhere() -> None:
    groups = ("dev", "system:masters", "system:authenticated", "system:serviceaccounts")
    person = Person("oidc:carol", "uid-1", groups, (("scopes", ("a",)),))
    assert person.elsewhere() == Person("oidc:carol", groups=("dev", "system:authenticated"))
    assert Person("system:serviceaccount:one:viewer", groups=groups).elsewhere() is None
