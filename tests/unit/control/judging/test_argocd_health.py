"""What Argo CD shows: ``config/argocd/health.lua`` run in Lua on the statuses that we write."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeweft.control.compiling.policies import Installation, compile_policies
from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.declared.objects import LINK_RULES, POLICIES, DeclaredObject
from kubeweft.control.judging.health import ClusterHealth, ExporterHealth, Health, TypeHealth
from kubeweft.control.judging.status import link_rule_status, policy_status

lupa = pytest.importorskip("lupa", reason="no Lua: pip install lupa")

SCRIPT = (Path(__file__).parents[4] / "config/argocd/health.lua").read_text()
NOW = "2026-01-02T03:04:05Z"
PODS = TypeHealth("", "pods", "Watching")
EXPORTING = {"exporters": [{"name": "x", "otlp": {"endpoint": "h:4317"}}]}
PENDING = {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Pending"}]}
RULE = {
    "source": {"resources": [{"apiGroups": [""], "resources": ["pods"]}]},
    "targets": [{"name": "o", "type": "Owner", "owner": {}}],
}


def health_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """As Argo CD asks: the object is the global ``obj``, the answer a table; only the basic library is there."""
    lua = lupa.LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    for library in ("io", "os", "package", "debug", "require", "python"):
        lua.globals()[library] = None
    lua.globals().obj = lua.table_from(body, recursive=True)
    found = lua.execute(SCRIPT)
    return str(found["status"]), str(found["message"])


def body(status: Mapping[str, Any], *, generation: int = 1, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "generation": generation, **metadata}, "status": status}


def policy_with(spec: Mapping[str, Any], *, in_force: bool = True, unreachable: str = "") -> dict[str, Any]:
    declared = DeclaredObject(resource=POLICIES, name="p", generation=1, spec=spec)
    verdict = compile_policies([declared], Installation()).verdicts["p"]
    cluster = ClusterHealth(name="local", types=(PODS,), unreachable=unreachable)
    health = Health(clusters={"local": cluster}, exporters=(ExporterHealth("p/x", "Unreachable", "refused"),))
    return body(policy_status(declared, verdict, health, in_force=in_force, now=NOW))


def rule_with(spec: Mapping[str, Any], *, in_force: bool = True) -> dict[str, Any]:
    declared = DeclaredObject(resource=LINK_RULES, name="p", generation=1, spec=spec)
    return body(link_rule_status(declared, compile_rule(declared), Health(), in_force=in_force, now=NOW))


READY = policy_with({})
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("all well", READY, "Healthy", "resource types watched: 1"),
    ("suspended", policy_with({"suspend": True}), "Suspended", "suspended"),
    ("about to take effect", policy_with({}, in_force=False), "Progressing", "about to take effect"),
    ("refused", policy_with({"clusters": []}), "Degraded", "must not be empty"),
    ("cluster away", policy_with({}, unreachable="connection refused"), "Degraded", "connection refused"),
    ("receiver away", policy_with(EXPORTING), "Degraded", "x: Unreachable"),
    ("changed since", body(READY["status"], generation=2), "Progressing", "has not been looked at"),
    ("being deleted", body(READY["status"], deletionTimestamp=NOW), "Progressing", "deleted"),
    ("just made", body(PENDING), "Progressing", "waiting"),
    ("no status", {"metadata": {"name": "p", "generation": 1}}, "Progressing", "waiting"),
    ("a rule", rule_with(RULE), "Healthy", "no object is matched yet"),
    ("a suspended rule", rule_with({**RULE, "suspend": True}), "Suspended", "suspended"),
    ("a new rule", rule_with(RULE, in_force=False), "Progressing", "about to take effect"),
    ("a refused rule", rule_with({}), "Degraded", "source"),
]


@pytest.mark.parametrize(("found", "health", "said"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_health(found: dict[str, Any], health: str, said: str) -> None:
    status, message = health_of(found)
    assert status == health
    assert said in message
