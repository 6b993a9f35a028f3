"""The clusters that policies name: joined once, described by one policy at a time, left out without harm to the others."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubeweft.control.compiling.policies import Compiled, Installation, compile_policies
from kubeweft.control.compiling.verdicts import Verdict
from kubeweft.control.declared.objects import POLICIES, DeclaredObject
from kubeweft.control.declared.secrets import FORBIDDEN, MISSING, Secret
from kubeweft.model.plan import JoinedCluster
from kubeweft.model.references import ObjectKey

KUBECONFIG = Secret("Read", {"kubeconfig": b"canary-kubeconfig"})
TOKEN = Secret("Read", {"token": b"canary-token\n"})


def cluster(name: str, secret: str = "", **more: Any) -> dict[str, Any]:
    reference = {"kubeconfigSecretRef": {"name": secret}} if secret else {}
    return {"name": name, **reference, **more}


def policy(name: str, *clusters: Mapping[str, Any], created: str = "", **spec: Any) -> DeclaredObject:
    return DeclaredObject(
        resource=POLICIES, name=name, uid=name, created=created, spec={"clusters": list(clusters), **spec}
    )


def compiled(*policies: DeclaredObject, secrets: Mapping[str, Secret]) -> Compiled:
    result = compile_policies(policies, Installation(), secrets)
    for name, verdict in result.verdicts.items():
        assert verdict.accepted, f"{name}: {verdict.message}"
    assert "canary" not in repr(result)
    return result


def reasons(verdict: Verdict) -> list[tuple[str, str, str, bool]]:
    return [(u.part.kind, u.part.name, u.reason, u.left_out) for u in verdict.unresolved]


def test_a_cluster_is_joined_with_all_that_is_said_about_it() -> None:
    eu = cluster(
        "eu",
        "eu-kubeconfig",
        context="admin",
        labels={"region": "eu", "env": "prod"},
        auditTokenSecretRef={"name": "eu-audit"},
    )
    result = compiled(policy("a", eu), secrets={"eu-kubeconfig": KUBECONFIG, "eu-audit": TOKEN})
    assert result.plan.clusters == (
        JoinedCluster(
            name="eu",
            kubeconfig=b"canary-kubeconfig",
            context="admin",
            labels=(("env", "prod"), ("region", "eu")),
            audit_token="canary-token",
        ),
    )
    assert result.secrets == {"eu-kubeconfig", "eu-audit"}
    assert result.verdicts["a"].unresolved == ()


def test_keys_may_have_other_names() -> None:
    spec = {
        "name": "eu",
        "kubeconfigSecretRef": {"name": "s", "key": "value"},
        "auditTokenSecretRef": {"name": "s", "key": "audit"},
    }
    secrets = {"s": Secret("Read", {"value": b"k", "audit": b"t"})}
    (joined,) = compiled(policy("a", spec), secrets=secrets).plan.clusters
    assert (joined.kubeconfig, joined.audit_token) == (b"k", "t")


def test_a_policy_of_joined_clusters_only_leaves_the_local_one_alone() -> None:
    plan = compiled(policy("a", cluster("eu", "s")), secrets={"s": KUBECONFIG}).plan
    assert plan.scopes[0].clusters == {"eu"}
    assert plan.of_cluster("eu").wants_object(ObjectKey("eu", "", "pods", "shop", "x"))
    assert plan.of_cluster("local").scopes == ()


def test_the_default_policy_says_nothing_about_joined_clusters() -> None:
    default = DeclaredObject(resource=POLICIES, name="a")
    plan = compiled(default, policy("b", cluster("eu", "s")), secrets={"s": KUBECONFIG}).plan
    assert [scope.policy for scope in plan.of_cluster("local").scopes] == ["a"]
    assert [scope.policy for scope in plan.of_cluster("eu").scopes] == ["b"]


def test_several_policies_may_name_one_cluster_the_same_way() -> None:
    eu, us = cluster("eu", "s"), cluster("us", "t")
    result = compiled(
        policy("a", eu, cluster("local")), policy("b", eu, us), secrets={"s": KUBECONFIG, "t": KUBECONFIG}
    )
    assert [c.name for c in result.plan.clusters] == ["eu", "us"]
    assert all(not verdict.conflicts for verdict in result.verdicts.values())


def test_what_only_one_policy_says_counts_for_all() -> None:
    plain = policy("a", cluster("eu", "s"))
    more = policy("b", cluster("eu", "s", labels={"a": "b"}, auditTokenSecretRef={"name": "t"}))
    result = compiled(plain, more, secrets={"s": KUBECONFIG, "t": TOKEN})
    (joined,) = result.plan.clusters
    assert (joined.labels, joined.audit_token) == ((("a", "b"),), "canary-token")
    assert not result.verdicts["a"].conflicts
    assert not result.verdicts["b"].conflicts


CONFLICTS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("another Secret", cluster("eu", "s"), cluster("eu", "other"), "kubeconfigSecretRef or context"),
    (
        "another context",
        cluster("eu", "s"),
        cluster("eu", "s", context="x"),
        "kubeconfigSecretRef or context",
    ),
    (
        "another token",
        cluster("eu", "s", auditTokenSecretRef={"name": "t"}),
        cluster("eu", "s", auditTokenSecretRef={"name": "u"}),
        "auditTokenSecretRef",
    ),
    (
        "another label",
        cluster("eu", "s", labels={"region": "a"}),
        cluster("eu", "s", labels={"region": "b"}),
        "label 'region'",
    ),
    (
        "another label here",
        cluster("local", labels={"x": "a"}),
        cluster("local", labels={"x": "b"}),
        "label 'x'",
    ),
]


@pytest.mark.parametrize(
    ("winning", "losing", "what"), [c[1:] for c in CONFLICTS], ids=[c[0] for c in CONFLICTS]
)
def test_the_higher_priority_describes_a_cluster(
    winning: dict[str, Any], losing: dict[str, Any], what: str
) -> None:
    secrets = {"s": KUBECONFIG, "other": Secret("Read", {"kubeconfig": b"x"}), "t": TOKEN}
    result = compiled(policy("z", winning, priority=1), policy("a", losing), secrets=secrets)
    assert result.verdicts["z"].conflicts == ()
    (conflict,) = result.verdicts["a"].conflicts
    assert what in conflict
    assert "policy 'z'" in conflict
    alone = compiled(policy("z", winning, priority=1), secrets=secrets)
    assert result.plan.clusters == alone.plan.clusters
    assert result.plan.labels == alone.plan.labels
    assert result.secrets == alone.secrets


@pytest.mark.parametrize(
    ("ages", "winner"),
    [
        ({"a": "2026-01-02T00:00:00Z", "b": "2026-01-01T00:00:00Z"}, "b"),
        ({"a": "2026-01-01T00:00:00Z", "b": "2026-01-01T00:00:00Z"}, "a"),
        ({"a": "", "b": "2026-01-01T00:00:00Z"}, "b"),  # about to be created
    ],
)
def test_ties_go_to_the_older_then_to_the_name(ages: dict[str, str], winner: str) -> None:
    policies = [policy(name, cluster("eu", name), created=created) for name, created in ages.items()]
    result = compiled(*policies, secrets={})
    (loser,) = {"a", "b"} - {winner}
    assert result.verdicts[winner].conflicts == ()
    assert f"policy {winner!r}" in result.verdicts[loser].conflicts[0]
    assert result.secrets == {winner}


def test_the_loser_goes_on_selecting_in_the_cluster() -> None:
    secrets = {"s": KUBECONFIG, "other": KUBECONFIG}
    plan = compiled(
        policy("a", cluster("eu", "s"), priority=9), policy("b", cluster("eu", "other")), secrets=secrets
    ).plan
    assert [scope.policy for scope in plan.of_cluster("eu").scopes] == ["a", "b"]


def test_the_token_of_a_loser_admits_nobody() -> None:
    """It is of the cluster that the loser means by this name, not of the one that is traced under it."""
    theirs = cluster("eu", "other", auditTokenSecretRef={"name": "t"}, labels={"region": "else"})
    secrets = {"s": KUBECONFIG, "other": KUBECONFIG, "t": TOKEN}
    (joined,) = compiled(
        policy("a", cluster("eu", "s"), priority=9), policy("b", theirs), secrets=secrets
    ).plan.clusters
    assert (joined.audit_token, joined.labels) == ("", ())


def test_one_token_is_of_one_cluster() -> None:
    token = {"auditTokenSecretRef": {"name": "t"}}
    result = compiled(
        policy("a", cluster("eu", "s", **token), priority=1),
        policy("b", cluster("us", "s", **token)),
        secrets={"s": KUBECONFIG, "t": TOKEN},
    )
    assert [(c.name, c.audit_token) for c in result.plan.clusters] == [("eu", "canary-token"), ("us", "")]
    assert reasons(result.verdicts["a"]) == []
    assert reasons(result.verdicts["b"]) == [("cluster", "us", "InvalidSecret", False)]
    assert "is that of the cluster eu too" in str(result.verdicts["b"].unresolved[0])


@pytest.mark.parametrize(
    ("secret", "reason", "said"),
    [
        (MISSING, "SecretNotFound", "there is no such Secret"),
        (FORBIDDEN, "SecretNotFound", "RBAC does not allow"),
        (Secret("Read", {"other": b"x"}), "SecretNotFound", "no key 'kubeconfig'"),
        (Secret("Read", {"kubeconfig": b" \n"}), "SecretNotFound", "an empty one"),
        (None, "Pending", "has not been read yet"),
    ],
)
def test_a_cluster_without_kubeconfig_is_left_out_and_the_others_are_not(
    secret: Secret | None, reason: str, said: str
) -> None:
    secrets = {"good": KUBECONFIG, **({"bad": secret} if secret else {})}
    both = policy("a", cluster("eu", "bad"), cluster("us", "good"))
    result = compiled(
        both, policy("b", cluster("eu", "bad")), policy("c", cluster("us", "good")), secrets=secrets
    )
    assert [c.name for c in result.plan.clusters] == ["us"]
    assert len(result.plan.scopes) == 3
    for name in "ab":
        assert reasons(result.verdicts[name]) == [("cluster", "eu", reason, True)]
        text = str(result.verdicts[name].unresolved[0])
        assert text.startswith("cluster eu: Secret kubeweft-system/bad: ")
        assert said in text
    assert result.verdicts["c"].unresolved == ()


@pytest.mark.parametrize(
    "secret",
    [
        MISSING,
        Secret("Read", {}),
        Secret("Read", {"token": b"two words"}),
        Secret("Read", {"token": "ü".encode()}),
        Secret("Read", {"token": b"x" * 5000}),
    ],
)
def test_a_cluster_is_traced_without_its_audit_token(secret: Secret) -> None:
    eu = cluster("eu", "s", auditTokenSecretRef={"name": "t"})
    result = compiled(policy("a", eu), secrets={"s": KUBECONFIG, "t": secret})
    assert [(c.name, c.audit_token) for c in result.plan.clusters] == [("eu", "")]
    ((_, _, reason, left_out),) = reasons(result.verdicts["a"])
    assert reason in ("SecretNotFound", "InvalidSecret")
    assert not left_out


def test_a_token_that_is_about_to_be_read_is_waited_for() -> None:
    """Else its cluster would be joined twice at every start."""
    eu = cluster("eu", "s", auditTokenSecretRef={"name": "t"})
    result = compiled(policy("a", eu), secrets={"s": KUBECONFIG})
    assert result.plan.clusters == ()
    assert reasons(result.verdicts["a"]) == [("cluster", "eu", "Pending", True)]


@pytest.mark.parametrize("spec", [{"suspend": True}, {"retention": {"maxAge": "1s"}}])
def test_suspended_and_refused_policies_join_nothing_and_read_no_secret(spec: dict[str, Any]) -> None:
    idle = policy("a", cluster("eu", "s"), priority=9, **spec)
    result = compile_policies([idle, policy("b", cluster("eu", "t"))], Installation(), {"s": KUBECONFIG})
    assert result.plan.clusters == ()
    assert result.secrets == {"t"}
    assert result.verdicts["b"].conflicts == ()


def test_labels_of_the_local_cluster() -> None:
    result = compile_policies(
        [
            policy("a", cluster("local", labels={"env": "dev"})),
            policy("b", cluster("home", labels={"x": "y"})),
        ],
        Installation(cluster="home"),
    )
    assert dict(result.plan.labels) == {"env": "dev", "x": "y"}
    assert result.plan.clusters == ()


def test_a_namespace_of_the_installation_is_where_secrets_are() -> None:
    result = compile_policies(
        [policy("a", cluster("eu", "s"))], Installation(namespace="tracing"), {"s": MISSING}
    )
    assert "Secret tracing/s: there is no such Secret" in str(result.verdicts["a"].unresolved[0])


@pytest.mark.parametrize(
    ("secrets", "awaited"),
    [
        ({"s": KUBECONFIG, "t": TOKEN}, False),
        ({"s": KUBECONFIG, "t": MISSING}, False),
        ({"s": MISSING, "t": TOKEN}, False),
        ({"s": KUBECONFIG, "t": FORBIDDEN}, False),
        ({"s": KUBECONFIG}, True),
        ({"t": TOKEN}, True),
        ({}, True),
    ],
)
def test_who_is_to_have_a_token_is_known_without_its_secrets(
    secrets: Mapping[str, Secret], awaited: bool
) -> None:
    eu, us = cluster("eu", "s", auditTokenSecretRef={"name": "t"}), cluster("us", "s")
    plan = compiled(policy("a", eu, us, cluster("local")), secrets=secrets).plan
    assert plan.audited == (("eu", awaited),)
    assert plan.of_cluster("eu").audited == ()
