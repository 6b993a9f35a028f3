"""A rollout in three requests, and what stands under what in a story, and why, in short names."""

from __future__ import annotations

from kubeweft.display.steps.causes import nest_causes
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.made import SHOWN_BECAUSE, tag
from kubeweft.display.tree.trees import Fact, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Observation
from kubeweft.model.references import ObjectKey
from memory_reader import story_of
from span_builders import change, key, owner, request, uid, weave

D, RS, POD, OTHER = (
    key("deployments", "web"),
    key("replicasets", "web-1"),
    key("pods", "web-1-a"),
    key("pods", "web-1-b"),
)
STS, STS_POD = key("statefulsets", "db"), key("pods", "db-0")
CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"
RS_CONTROLLER = "system:serviceaccount:kube-system:replicaset-controller"
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
SPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"
MANAGER = "kube-controller-manager/v1.36.3"
ROLLOUT: list[Observation] = [
    request(D, "create", "10:00:00.000", code=201, uid=uid(1), version="1"),
    change(D, "Added", "10:00:00", uid=uid(1), version="1"),
    request(RS, "create", "10:00:00.200", code=201, uid=uid(2), version="2", user=CONTROLLER, agent=MANAGER),
    change(RS, "Added", "10:00:00", uid=uid(2), version="2", owners=(owner(D, uid(1)),)),
    request(
        POD, "create", "10:00:00.300", code=201, uid=uid(3), version="3", user=RS_CONTROLLER, agent=MANAGER
    ),
    change(POD, "Added", "10:00:00", uid=uid(3), version="3", owners=(owner(RS, uid(2)),)),
]
SCALED: list[Observation] = [
    request(RS, "patch", "10:01:00.000", uid=uid(2), version="9", user=CONTROLLER, agent=MANAGER),
    change(RS, "Modified", "10:01:00", uid=uid(2), old="2", version="9", words=("spec.replicas 1 → 0",)),
]


def causes(target: ObjectKey, *seen: Observation, within: Duration | None = None) -> dict[str, str]:
    """``pod/verb`` → what it stands under, and why, for everything that has a cause."""
    tree = story_of(target, weave(*seen))
    nested = nest_causes(tree) if within is None else nest_causes(tree, within=within)
    found: dict[str, str] = {}

    def visit(fact: Fact) -> None:
        for child in fact.children:
            if why := tag(child.label, SHOWN_BECAUSE):
                found[name(child)] = f"{name(fact)}: {why}"
            visit(child)

    for node in nodes_of(nested.root):
        for fact in node.facts:
            visit(fact)
    return found


def name(fact: Fact) -> str:
    """``web-1 update`` for a request or an Event, ``web-1 v7`` for a change."""
    if fact.span.source == "change":
        return f"{fact.span.key.name} v{fact.text(v.RESOURCE_VERSION)}"
    return f"{fact.span.key.name} {fact.span.name}"
