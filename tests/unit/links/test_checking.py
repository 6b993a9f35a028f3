"""Rules are checked as a whole: every expression that does not compile is named."""

from __future__ import annotations

from kubeweft.links.checking import check_rule
from kubeweft.model.rules import ByExpression, TargetCluster
from kubeweft.model.selectors import MatchCondition
from link_worlds import field, rule, source, target


def test_every_fault_is_named_by_its_field() -> None:
    conditions = (MatchCondition("fine", "has(object.spec)"), MatchCondition("text", "'x'"))
    faulty = rule(
        "r",
        source("pods", conditions=conditions),
        target(ByExpression("object."), name="a"),
        target(ByExpression("1"), name="b"),
        target(ByExpression("object.spec.?nodeName"), name="c"),
        target(field("spec.nodeName"), "nodes", name="d"),
        cluster=TargetCluster(mode="CEL", expression="nowhere"),
    )
    faults = check_rule(faulty)
    assert [fault.split(": ")[0] for fault in faults] == [
        "source.matchConditions[text].expression",
        "targets[a].cel.expression",
        "targets[b].cel.expression",
        "cluster.expression",
    ]
    assert "must give a string, a map or a list" in faults[2]


def test_a_sound_rule_has_no_faults() -> None:
    assert (
        check_rule(rule("r", source("pods"), target(ByExpression("[?object.spec.?nodeName]"), "nodes"))) == []
    )
