"""Which cluster a sender speaks for: the credential alone decides, and a doubt is a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeweft.model.errors import NotNow
from kubeweft.sources.audit.credentials import BearerToken
from kubeweft.sources.audit.senders import SenderRefused, Senders

JOINED = {"west": "token-of-west", "east": "token-of-east", "south": ""}


@pytest.fixture
def token(tmp_path: Path) -> BearerToken:
    file = tmp_path / "token"
    file.write_text("token-of-home\n")
    return BearerToken(file)


@pytest.fixture
def senders(token: BearerToken) -> Senders:
    made = Senders("home", token=token, certificates=True)
    made.use(JOINED)
    return made


@pytest.mark.parametrize(
    ("authorization", "common_name", "cluster"),
    [
        ("Bearer token-of-home", "", "home"),
        ("bearer  token-of-west ", "", "west"),
        ("Bearer token-of-east", "east", "east"),
        ("", "home", "home"),
        ("", "south", "south"),
    ],
)
def test_each_cluster_is_known_by_its_credential(
    senders: Senders, authorization: str, common_name: str, cluster: str
) -> None:
    assert senders.cluster_of(authorization, common_name) == cluster


@pytest.mark.parametrize(
    ("authorization", "common_name", "status"),
    [
        ("", "", 401),
        ("Bearer", "", 401),
        ("Bearer ", "", 401),
        ("Bearer token-of-nobody", "", 401),
        ("Bearer token-of-wes", "", 401),
        ("Basic token-of-west", "", 401),
        ("Bearer \udcff", "", 401),
        ("Bearer token-of-nobody", "west", 401),
        ("", "north", 403),
        ("Bearer token-of-west", "north", 403),
        ("Bearer token-of-west", "east", 403),
    ],
)
def test_everything_else_is_refused(
    senders: Senders, authorization: str, common_name: str, status: int
) -> None:
    with pytest.raises(SenderRefused) as caught:
        senders.cluster_of(authorization, common_name)
    assert caught.value.status == status
    assert "token-of" not in str(caught.value)


def test_without_any_credential_everybody_is_the_local_cluster() -> None:
    senders = Senders("home")
    senders.use({"west": ""})
    assert not senders.are_known
    assert senders.cluster_of("", "") == "home"
    assert senders.cluster_of("Bearer whatever", "") == "home"


def test_a_token_of_a_joined_cluster_ends_that() -> None:
    senders = Senders("home")
    knew = senders.knows_local
    senders.use(JOINED)
    assert senders.cluster_of("Bearer token-of-west", "") == "west"
    assert (knew, senders.knows_local) == (True, False)
    with pytest.raises(SenderRefused):
        senders.cluster_of("", "")
    senders.use({})
    assert senders.cluster_of("", "") == "home"


def test_a_cluster_that_has_left_is_not_known_any_more(senders: Senders) -> None:
    senders.use({"east": "token-of-east"})
    for authorization, common_name in (("Bearer token-of-west", ""), ("", "west")):
        with pytest.raises(SenderRefused):
            senders.cluster_of(authorization, common_name)
    assert senders.cluster_of("Bearer token-of-east", "") == "east"


def test_a_renewed_token_replaces_the_old_one(senders: Senders) -> None:
    senders.use(JOINED | {"west": "renewed"})
    assert senders.cluster_of("Bearer renewed", "") == "west"
    with pytest.raises(SenderRefused):
        senders.cluster_of("Bearer token-of-west", "")


@pytest.mark.parametrize("shared", ["token-of-east", "token-of-home"])
def test_a_token_that_two_clusters_share_identifies_neither(senders: Senders, shared: str) -> None:
    senders.use(JOINED | {"west": shared})
    with pytest.raises(SenderRefused, match="more than one") as caught:
        senders.cluster_of(f"Bearer {shared}", "")
    assert caught.value.status == 403


def test_nobody_is_refused_before_all_are_known(senders: Senders) -> None:
    senders.are_complete = False
    with pytest.raises(NotNow):
        senders.cluster_of("Bearer token-of-nobody", "")
    assert senders.cluster_of("Bearer token-of-west", "") == "west"


@pytest.mark.parametrize("authorization", ["", "Bearer token-of-west", "Basic x"])
@pytest.mark.parametrize("joined", [{}, {"west": ""}])
def test_a_token_that_is_not_there_ends_that_everybody_is_the_local_cluster(
    authorization: str, joined: dict[str, str]
) -> None:
    senders = Senders("home")
    senders.use(joined, declared={"west": True})
    assert not senders.knows_local
    with pytest.raises(NotNow, match="Secret"):
        senders.cluster_of(authorization, "")
    senders.use(joined, declared={"west": False})
    with pytest.raises(SenderRefused) as caught:
        senders.cluster_of(authorization, "")
    assert caught.value.status == 401


def test_who_is_known_does_not_wait_for_the_token_of_another(senders: Senders) -> None:
    senders.use(JOINED, declared={"west": False, "north": True})
    assert senders.cluster_of("Bearer token-of-west", "") == "west"
    assert senders.cluster_of("Bearer token-of-home", "") == "home"
    with pytest.raises(NotNow):
        senders.cluster_of("Bearer token-of-north", "")
