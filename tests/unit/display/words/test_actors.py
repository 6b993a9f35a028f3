"""Who acted, by whatever name sources tell."""

from __future__ import annotations

import pytest

from kubeweft.display.tree.trees import facts_of
from kubeweft.display.words.actors import UNKNOWN, Actor, Cast
from kubeweft.model.observations import ChangeType, Observation
from memory_reader import story_of
from span_builders import change, event, gap, key, request, uid, weave

IT, ME = key("configmaps", "it"), uid(1)
ACCOUNT = "system:serviceaccount:kube-system:deployment-controller"
SENT: list[Observation] = [
    request(IT, "patch", "10:00:00.000", user=ACCOUNT, agent="kube-controller-manager/v1.36.3 (linux/amd64)"),
    request(IT, "update", "10:00:01.000", user="system:kube-scheduler", agent="kube-scheduler/v1.36.3"),
    request(IT, "get", "10:00:02.000", user="system:node:n1", agent="kubelet/v1.36.3"),
]


def actor_of(seen: Observation, *others: Observation) -> Actor:
    """Who did the last thing seen, among others that act."""
    facts = list(facts_of(story_of(IT, weave(*others, seen)).root.facts))
    return Cast(facts).actor_of(max(facts, key=lambda fact: fact.start))


def reported(reporter: str) -> Observation:
    return event(IT, "Seen", "10:05:00", reporter=reporter)


def changed(manager: str, kind: ChangeType = "Modified") -> Observation:
    return change(IT, kind, "10:05:00", uid=ME, old="1", version="2", manager=manager)


def test_a_request_tells_user_and_program() -> None:
    assert actor_of(request(IT, "patch", "10:00:00.000")) == Actor(
        "kubernetes-admin (kubectl)", "kubernetes-admin", "kubernetes-admin", "", "kubectl"
    )
    told = actor_of(request(IT, "patch", "10:00:00.000", user="admin", impersonated="alice", agent=""))
    assert (told.name, told.short, told.impersonated) == ("admin as alice", "alice", "alice")
    assert actor_of(request(IT, "patch", "10:00:00.000", user="", agent="")).name == "somebody"


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        (reported("deployment-controller"), f"{ACCOUNT} (kube-controller-manager)"),
        (reported("default-scheduler"), "system:kube-scheduler (kube-scheduler)"),
        (reported("kubelet"), "system:node:n1 (kubelet)"),
        (reported("node-controller"), "reporter node-controller"),
        (changed("kubelet"), "system:node:n1 (kubelet)"),
        (changed("kube-controller-manager"), f"{ACCOUNT} (kube-controller-manager)"),
        (changed("helm"), "field manager helm"),
        (changed("helm", "Added"), "field manager helm"),
    ],
)
def test_other_names_of_one_actor_are_joined(seen: Observation, name: str) -> None:
    assert actor_of(seen, *SENT).name == name


def test_where_several_could_be_meant_nothing_is_guessed() -> None:
    second = request(IT, "patch", "10:00:03.000", user="system:node:n2", agent="kubelet/v1.36.3")
    assert actor_of(reported("kubelet"), *SENT, second).name == "reporter kubelet"
    assert actor_of(changed("kubelet"), *SENT, second).name == "field manager kubelet"


@pytest.mark.parametrize(
    "seen",
    [
        changed("kubelet", "Deleted"),
        changed("kubelet", "Sighting"),
        changed(""),
        reported(""),
        gap(IT, "Down", "10:05:00", "10:06:00"),
    ],
)
def test_what_nobody_is_known_to_have_done(seen: Observation) -> None:
    assert actor_of(seen, *SENT) is UNKNOWN


def brief(*seen: Observation) -> dict[str, str]:
    """What those who acted are called where there is little room."""
    tree = story_of(IT, weave(*seen))
    return Cast.of_tree(tree).brief_names(tree)


def test_where_there_is_little_room_names_are_short() -> None:
    assert brief(*SENT, request(IT, "patch", "10:00:03.000"), changed("helm")) == {
        "kube-system/deployment-controller": "deployment-controller",
        "system:kube-scheduler": "kube-scheduler",
        "system:node:n1": "node:n1",
        "kubernetes-admin": "kubernetes-admin",
        "helm": "helm",
    }


def test_two_of_one_short_name_keep_their_long_ones() -> None:
    other = "system:serviceaccount:shop:deployment-controller"
    names = brief(*SENT, request(IT, "patch", "10:00:03.000", user=other))
    assert names["kube-system/deployment-controller"] == "kube-system/deployment-controller"
    assert names["shop/deployment-controller"] == "shop/deployment-controller"
    assert names["system:kube-scheduler"] == "kube-scheduler"
    named = brief(*SENT, request(IT, "patch", "10:00:03.000", user="deployment-controller"))
    assert named["kube-system/deployment-controller"] == "kube-system/deployment-controller"
    assert named["deployment-controller"] == "deployment-controller"
    told = brief(*SENT, changed("helm"), request(IT, "patch", "10:00:03.000", user="system:helm"))
    assert (told["system:helm"], told["helm"]) == ("system:helm", "helm")


def test_who_acts_as_another_is_called_like_that_one() -> None:
    assert brief(request(IT, "patch", "10:00:03.000", user="admin", impersonated=ACCOUNT)) == {
        "kube-system/deployment-controller": "deployment-controller"
    }
