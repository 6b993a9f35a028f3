"""What is said at admission: the same as the status would say, refused only if it is wrong for ever."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from kubeweft.control.admission.asking import MOST_ASKED, ask_about
from kubeweft.control.admission.judging import (
    LONGEST_WARNING,
    MOST_WARNINGS,
    Judge,
    Opinion,
    judge_policy,
    known_clusters,
    needs_checking,
)
from kubeweft.control.compiling.policies import Installation, compile_policies
from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.compiling.verdicts import Verdict
from kubeweft.control.declared.objects import LINK_RULES, POLICIES, DeclaredObject
from kubeweft.control.declared.secrets import Known, Secret
from kubeweft.kube.failures import Forbidden, NotServed, Unavailable

INSTALLATION = Installation(cluster="home", namespace="ours")
Spec = Mapping[str, Any]


def rule(**spec: Any) -> dict[str, Any]:
    target = {
        "name": "t",
        "type": "FieldPath",
        "resource": {"resource": "nodes"},
        "fieldPath": {"name": "spec.nodeName"},
    }
    source = {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}
    return body("r", {"source": source, "targets": [target], **spec})


def body(name: str, spec: Spec) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def joining(name: str, cluster: str, secret: str, **spec: Any) -> DeclaredObject:
    clusters = [{"name": cluster, "kubeconfigSecretRef": {"name": secret}}]
    return DeclaredObject(resource=POLICIES, name=name, spec={"clusters": clusters, **spec})


async def opinion(
    resource: str,
    new: Mapping[str, Any],
    *policies: DeclaredObject,
    secrets: Known | None = None,
    asked: Known | None = None,
) -> Opinion:
    async def ask(names: frozenset[str]) -> Known:
        return {name: secret for name, secret in (asked or {}).items() if name in names}

    declared = {POLICIES: {p.name: p for p in policies}, LINK_RULES: {}}
    judge = Judge(lambda kind: declared[kind], INSTALLATION, secrets=lambda: secrets or {})
    return await judge.opinion(resource, new, None, ask=ask)


@pytest.mark.parametrize(
    ("new", "old", "wanted"),
    [
        ({"metadata": {}, "spec": {"a": 1}}, None, True),
        ({"metadata": {}, "spec": {"a": 1}}, {"metadata": {}, "spec": {"a": 2}}, True),
        ({"metadata": {"labels": {"x": "y"}}, "spec": {"a": 1}}, {"metadata": {}, "spec": {"a": 1}}, False),
        ({"metadata": {"deletionTimestamp": "now"}, "spec": {"a": 1}}, {"metadata": {}, "spec": {}}, False),
        ({}, {}, False),
    ],
)
def test_only_a_new_spec_is_checked(new: Spec, old: Spec | None, wanted: bool) -> None:
    assert needs_checking(new, old) is wanted


async def test_a_rule_is_refused_with_the_words_of_its_status() -> None:
    bad = rule(priority=5000, link={"role": "Peer", "class": "lower", "grouping": "SameTrace"})
    verdict = compile_rule(DeclaredObject.from_body(LINK_RULES, bad))
    assert (await opinion(LINK_RULES, bad)).refusal == verdict.message
    assert verdict.message.count(";") == 2


async def test_a_policy_is_refused_with_the_words_of_its_status() -> None:
    bad = body("p", {"redaction": {"patterns": [{"name": "a", "regex": "("}, {"name": "b", "regex": "["}]}})
    compiled = compile_policies([DeclaredObject.from_body(POLICIES, bad)], INSTALLATION)
    found = await opinion(POLICIES, bad)
    assert found.refusal == compiled.verdicts["p"].message
    assert found.refusal.count("spec.redaction.patterns") == 2
    assert found.warnings == ()


async def test_a_refused_policy_does_not_stop_others() -> None:
    broken = DeclaredObject(resource=POLICIES, name="broken", spec={"no such field": 1})
    assert await opinion(POLICIES, body("good", {}), broken) == Opinion()


async def test_a_changed_policy_is_judged_by_what_it_becomes() -> None:
    before = joining("p", "a", "x")
    assert await opinion(POLICIES, body("p", {}), before) == Opinion()


async def test_clusters_that_nobody_names_are_warned_about() -> None:
    aliases = [{"from": "x", "to": "third"}]
    new = rule(cluster={"mode": "Named", "name": "second", "aliases": aliases})
    new["spec"]["source"] = {**new["spec"]["source"], "clusters": ["first", "local"]}
    found = await opinion(LINK_RULES, new, joining("p", "first", "s"))
    assert not found.refusal
    assert [("'second'" in w, "'third'" in w) for w in found.warnings] == [(True, False), (False, True)]


async def test_a_suspended_rule_is_not_warned_about() -> None:
    assert await opinion(LINK_RULES, rule(suspend=True, cluster={"mode": "Named", "name": "x"})) == Opinion()


def test_a_policy_that_cannot_be_read_names_no_cluster() -> None:
    policies = [DeclaredObject(resource=POLICIES, name="a", spec={"clusters": 1}), joining("b", "c", "s")]
    assert known_clusters(policies, INSTALLATION) == {"home", "local", "c"}


async def test_the_policy_that_comes_first_is_named() -> None:
    first = joining("first", "a", "x", priority=5)
    found = await opinion(POLICIES, body("p", joining("p", "a", "y").spec), first)
    assert not found.refusal
    assert any("'first'" in warning for warning in found.warnings)


async def test_secrets_that_are_missing_are_warned_about_and_unknown_ones_are_not() -> None:
    spec = {
        "clusters": [
            {"name": name, "kubeconfigSecretRef": {"name": name}}
            for name in ("known", "missing", "asked", "unknown")
        ]
    }
    known = {"known": Secret("Read", {"kubeconfig": b"x"}), "missing": Secret("Missing", detail="gone")}
    asked = {"asked": Secret("Forbidden", detail="not allowed")}
    found = await opinion(POLICIES, body("p", spec), secrets=known, asked=asked)
    assert [("ours/missing" in w, "ours/asked" in w) for w in found.warnings] == [
        (True, False),
        (False, True),
    ]


def test_warnings_are_few_and_short() -> None:
    found = judge_policy(Verdict(conflicts=tuple("x" * 1000 for _ in range(50))))
    assert len(found.warnings) == MOST_WARNINGS + 1
    assert found.warnings[-1] == "and 40 more"
    assert max(map(len, found.warnings)) == LONGEST_WARNING


async def test_asking_about_secrets() -> None:
    async def read(name: str) -> Mapping[str, bytes]:
        match name:
            case "missing":
                raise NotServed("404")
            case "forbidden":
                raise Forbidden("403")
            case "broken":
                raise Unavailable("503")
            case "slow":
                await asyncio.Event().wait()
        return {"key": b"value"}

    found = await ask_about(["there", "missing", "forbidden", "broken", "slow"], read, within=0.01)
    assert {name: secret.state for name, secret in found.items()} == {
        "there": "Read",
        "missing": "Missing",
        "forbidden": "Forbidden",
    }


async def test_not_too_many_are_asked_about() -> None:
    asked: list[str] = []

    async def read(name: str) -> Mapping[str, bytes]:
        asked.append(name)
        return {}

    await ask_about([f"s{i}" for i in range(100)], read)
    assert len(asked) == MOST_ASKED
