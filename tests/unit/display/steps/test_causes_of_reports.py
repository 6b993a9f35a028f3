"""Why a status says something new, and what Events tell of."""

from __future__ import annotations

from kubeweft.display.steps.causes import nest_causes
from kubeweft.display.steps.explaining.explanations import BELOW, OWN, TOLD
from kubeweft.display.tree.trees import Fact, facts_of, nodes_of
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Observation
from kubeweft.model.references import ObjectKey
from memory_reader import story_of
from span_builders import change, event, key, owner, request, uid, weave
from told_causes import CONTROLLER, MANAGER, POD, ROLLOUT, RS, RS_CONTROLLER, D, causes

NEW = key("replicasets", "web-2")
NODES = "system:serviceaccount:kube-system:node-controller"


def status(
    of: ObjectKey, clock: str, number: int, version: str, *told: str, user: str = "", took: float = 0.005
) -> list[Observation]:
    """An update of a status by the object's own controller, if no other is named."""
    user = user or {"deployments": CONTROLLER, "replicasets": RS_CONTROLLER}[of.resource]
    return [
        request(
            of,
            "update",
            clock,
            uid=uid(number),
            version=version,
            subresource="status",
            user=user,
            agent=MANAGER,
            took=took,
        ),
        change(of, "Modified", clock[:8], uid=uid(number), old="1", version=version, words=told),
    ]


def scaled(
    of: ObjectKey, clock: str, number: int, version: str, words: str, user: str = ""
) -> list[Observation]:
    """A new number of replicas."""
    user = user or ("jane" if of is D else CONTROLLER)
    return [
        request(of, "update", clock, uid=uid(number), version=version, user=user, agent="some/v1"),
        change(of, "Modified", clock[:8], uid=uid(number), old="1", version=version, words=(words,)),
    ]


def test_a_status_follows_from_the_news_of_what_is_below() -> None:
    """Bob deletes a Pod long after alice's rollout: what is counted then has nothing to do with her."""

    def status(of: ObjectKey, clock: str, version: str, user: str, number: int) -> list[Observation]:
        told = ("status.readyReplicas 1 → 0",)
        return [
            request(
                of,
                "update",
                clock,
                uid=uid(number),
                version=version,
                subresource="status",
                user=user,
                agent=MANAGER,
            ),
            change(of, "Modified", clock[:8], uid=uid(number), old="1", version=version, words=told),
        ]

    found = causes(
        D,
        *ROLLOUT,
        request(POD, "delete", "10:40:00.100", uid=uid(3), version="10", user="bob"),
        *status(RS, "10:40:00.200", "11", RS_CONTROLLER, 2),
        *status(D, "10:40:00.300", "12", CONTROLLER, 1),
        *status(D, "10:50:00.300", "13", CONTROLLER, 1),
    )
    assert found["web-1 update status"] == f"web-1-a delete: {BELOW}"
    assert found["web update status"] == f"web-1 update status: {BELOW}"
    assert sum(1 for name in found if name.startswith("web update")) == 1


def test_who_counts_more_does_not_answer_to_who_tells_of_fewer() -> None:
    found = causes(
        D,
        *ROLLOUT,
        request(
            NEW, "create", "10:10:00.000", code=201, uid=uid(5), version="20", user=CONTROLLER, agent=MANAGER
        ),
        change(NEW, "Added", "10:10:00", uid=uid(5), version="20", owners=(owner(D, uid(1)),)),
        *status(NEW, "10:10:01.000", 5, "21", "+ status.readyReplicas = 1"),
        *status(RS, "10:10:01.010", 2, "22", "status.readyReplicas 4 → 3"),
        *status(D, "10:10:01.020", 1, "23", "status.readyReplicas 4 → 5"),
    )
    assert found["web update status"] == f"web-2 update status: {BELOW}"


def test_what_tells_of_the_same_count_goes_before_what_is_nearer() -> None:
    found = causes(
        D,
        *ROLLOUT,
        *status(RS, "10:10:01.000", 2, "21", "status.replicas 1 → 2"),
        *status(RS, "10:10:01.010", 2, "22", "status.availableReplicas 1 → 2"),
        *status(D, "10:10:01.020", 1, "23", "status.replicas 1 → 2"),
    )
    tree = story_of(D, weave(*ROLLOUT))
    assert tree.root.children
    assert found["web update status"] == f"web-1 update status: {BELOW}"


def test_what_is_carried_out_later_is_no_cause_though_it_was_asked_for_before() -> None:
    ready = ("+ status.conditions[Ready] = {4 fields}",)
    found = causes(
        D,
        *ROLLOUT,
        request(
            POD, "patch", "10:00:00.400", uid=uid(3), version="9", subresource="status", user="kwok", took=0.1
        ),
        change(POD, "Modified", "10:00:00", uid=uid(3), old="3", version="9", words=ready),
        *status(RS, "10:00:00.450", 2, "8", "status.replicas 0 → 1"),
    )
    assert found["web-1 update status"] == f"web-1-a create: {BELOW}"


def test_a_first_status_without_anything_follows_from_the_object_itself() -> None:
    nothing = ("+ status.terminatingReplicas = 0", "+ status.observedGeneration = 1")
    found = causes(D, *ROLLOUT, *status(RS, "10:00:00.400", 2, "8", *nothing))
    assert found["web-1 update status"] == f"web-1 create: {OWN}"


def test_what_goes_on_at_a_node_is_nobody_s_wish_for_the_pod() -> None:
    bound: list[Observation] = [
        request(POD, "patch", "10:00:20.000", uid=uid(3), version="7", user="jane"),
        change(POD, "Modified", "10:00:20", uid=uid(3), old="3", version="7", words=("spec.x a → b",)),
    ]
    lost = status(POD, "10:01:00.000", 3, "9", "status.conditions[Ready].status True → False", user=NODES)
    gone = event(POD, "NodeNotReady", "10:01:00", uid=uid(3), reporter="node-controller")
    found = causes(POD, *ROLLOUT[4:], *bound, *lost, gone)
    assert found == {}


def test_an_event_stands_beside_what_it_tells_of() -> None:
    """A Pod that somebody deleted is replaced: the Event at the ReplicaSet tells of that, and of no rollout."""
    other = key("pods", "web-1-b")
    found = causes(
        D,
        *ROLLOUT,
        event(
            RS, "SuccessfulCreate", "10:00:00.310", uid=uid(2), message="Created pod: web-1-a", event_uid="a"
        ),
        request(POD, "delete", "10:00:30.100", uid=uid(3), version="10", user="bob", agent="kubectl"),
        change(
            POD,
            "Modified",
            "10:00:30",
            uid=uid(3),
            old="3",
            version="10",
            words=("+ metadata.deletionTimestamp = 2026-11-21T10:00:31Z",),
        ),
        request(
            other,
            "create",
            "10:00:30.200",
            code=201,
            uid=uid(4),
            version="11",
            user=RS_CONTROLLER,
            agent=MANAGER,
        ),
        change(other, "Added", "10:00:30", uid=uid(4), version="11", owners=(owner(RS, uid(2)),)),
        event(RS, "MadeAnother", "10:00:30.210", uid=uid(2), message="Created pod: web-1-b.", event_uid="b"),
    )
    assert found["web-1 SuccessfulCreate"] == f"web-1 create: {TOLD}"
    assert found["web-1 MadeAnother"] == f"web-1-a delete: {TOLD}"


def test_each_state_of_an_event_stands_under_its_own_cause() -> None:
    up, down = "spec.replicas 1 → 2", "spec.replicas 2 → 1"
    message = "Scaled up replica set other from 1 to 2"
    spans = weave(
        *ROLLOUT[:2],
        *scaled(D, "10:10:00.100", 1, "10", up),
        event(D, "ScalingReplicaSet", "10:10:00", uid=uid(1), message=message),
        *scaled(D, "10:10:00.300", 1, "11", down),
        *scaled(D, "10:10:00.500", 1, "12", up),
        event(D, "ScalingReplicaSet", "10:10:00", uid=uid(1), message=message, count=2, first="10:10:00"),
        *scaled(D, "10:10:00.700", 1, "13", down),
        *scaled(D, "10:20:00.000", 1, "14", up),
        event(D, "ScalingReplicaSet", "10:20:00.050", uid=uid(1), message=message, count=3, first="10:10:00"),
        event(D, "ScalingReplicaSet", "10:28:00.000", uid=uid(1), message=message, count=4, first="10:10:00"),
    )
    tree = nest_causes(story_of(D, spans))
    assert nest_causes(tree) == tree
    told: dict[str, list[int]] = {}
    for fact in facts_of(tree.root.facts):
        for child in fact.children:
            if child.span.source == "event" and fact.span.source == "request":
                told[fact.text(v.RESOURCE_VERSION)] = [_count(state) for state in (child, *child.children)]
    assert told.pop("12")[-1] == 2
    assert told.pop("14") == [3, 4], "of the last nothing else is known"
    assert [count for counts in told.values() for count in counts] in ([1], [])
    assert sorted(
        _count(f) for n in nodes_of(tree.root) for f in facts_of(n.facts) if f.span.source == "event"
    ) == [
        1,
        2,
        3,
        4,
    ]


def _count(fact: Fact) -> int:
    return fact.number(v.EVENT_COUNT)
