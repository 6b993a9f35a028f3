"""What caused what, over objects."""

from __future__ import annotations

import random

import pytest

from kubeweft.display.steps.causes import nest_causes
from kubeweft.display.steps.explaining.explanations import (
    OWN,
    PARENT,
)
from kubeweft.display.steps.explaining.hands import hand_of
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.trees import fact_of, facts_of, nodes_of
from kubeweft.model.observations import Observation
from kubeweft.model.references import ObjectKey
from memory_reader import story_of
from span_builders import change, event, key, owner, related, request, to, uid, weave
from told_causes import CONTROLLER, MANAGER, OTHER, POD, ROLLOUT, RS, RS_CONTROLLER, SCALED, D, causes


def test_a_rollout_is_one_chain() -> None:
    found = causes(
        D,
        *ROLLOUT,
        request(
            POD,
            "create",
            "10:00:00.400",
            code=201,
            uid=uid(3),
            subresource="binding",
            user="system:kube-scheduler",
            agent="kube-scheduler",
        ),
        change(
            POD,
            "Modified",
            "10:00:00",
            uid=uid(3),
            old="3",
            version="4",
            words=("+ spec.nodeName = n1",),
            patch=[{"op": "add", "path": "/spec/nodeName", "value": "n1"}],
        ),
        request(
            POD,
            "patch",
            "10:00:01.000",
            uid=uid(3),
            version="5",
            subresource="status",
            user="system:node:n1",
            agent="kubelet",
        ),
        event(POD, "Started", "10:00:01.500", uid=uid(3)),
    )
    assert found == {
        "web-1 create": f"web create: {PARENT}",
        "web-1-a create": f"web-1 create: {PARENT}",
        "web-1-a create binding": f"web-1-a create: {OWN}",
        "web-1-a patch status": f"web-1-a create binding: {OWN}",
        "web-1-a Started": f"web-1-a create binding: {OWN}",
    }


def test_without_an_audit_log_changes_make_the_same_chain() -> None:
    found = causes(
        D,
        change(D, "Added", "10:00:00", uid=uid(1), version="1", manager="kubectl-create"),
        change(
            RS,
            "Added",
            "10:00:00",
            uid=uid(2),
            version="2",
            owners=(owner(D, uid(1)),),
            manager="kube-controller-manager",
        ),
        change(
            POD,
            "Added",
            "10:00:01",
            uid=uid(3),
            version="3",
            owners=(owner(RS, uid(2)),),
            manager="kube-controller-manager",
        ),
        change(
            POD,
            "Modified",
            "10:00:01",
            uid=uid(3),
            old="3",
            version="4",
            words=("+ spec.nodeName = n1",),
            manager="kube-controller-manager",
        ),
        change(
            POD,
            "Modified",
            "10:00:02",
            uid=uid(3),
            old="4",
            version="5",
            words=("status.phase Pending → Running",),
            manager="kubelet",
            subresource="status",
        ),
    )
    assert found == {
        "web-1 v2": f"web v1: {PARENT}",
        "web-1-a v3": f"web-1 v2: {PARENT}",
        "web-1-a v4": f"web-1-a v3: {OWN}",
        "web-1-a v5": f"web-1-a v4: {OWN}",
    }


def test_an_event_whose_second_hides_the_order_is_no_report_on_what_is_gone() -> None:
    found = causes(
        POD,
        change(POD, "Added", "10:00:00", uid=uid(3), version="3", manager="kube-controller-manager"),
        change(
            POD,
            "Modified",
            "10:00:00",
            uid=uid(3),
            old="3",
            version="4",
            words=("+ spec.nodeName = n1",),
            manager="kube-controller-manager",
        ),
        change(
            POD, "Modified", "10:00:00", uid=uid(3), old="4", version="5", words=("spec.containers a → b",)
        ),
        change(POD, "Deleted", "10:00:00", uid=uid(3), old="5", version="6"),
        event(POD, "Scheduled", "10:00:00.800", uid=uid(3), reporter="default-scheduler"),
        event(POD, "Pulled", "10:00:00.900", uid=uid(3)),
    )
    assert found["web-1-a Scheduled"] == f"web-1-a v4: {OWN}"
    assert found["web-1-a Pulled"] == f"web-1-a v5: {OWN}"


def test_in_one_second_a_higher_version_is_no_cause() -> None:
    found = causes(
        D,
        change(D, "Added", "10:00:00", uid=uid(1), version="1"),
        change(D, "Modified", "10:00:00", uid=uid(1), old="1", version="7", words=("spec.replicas 1 → 2",)),
        change(RS, "Added", "10:00:00", uid=uid(2), version="5", owners=(owner(D, uid(1)),)),
    )
    assert found["web-1 v5"] == f"web v1: {PARENT}"


@pytest.mark.parametrize("user", ["kubernetes-admin", "alice", "system:admin"])
def test_people_act_unasked(user: str) -> None:
    seen = request(POD, "delete", "10:00:05.000", uid=uid(3), user=user)
    assert "web-1-a delete" not in causes(D, *ROLLOUT, seen)


def test_somebody_impersonated_is_who_acts() -> None:
    seen = request(POD, "delete", "10:00:05.000", uid=uid(3), user=CONTROLLER, impersonated="alice")
    assert "web-1-a delete" not in causes(D, *ROLLOUT, seen)


def test_what_is_too_long_after_is_told_where_it_happened() -> None:
    soon = event(POD, "Pulled", "10:00:40", uid=uid(3))
    late = event(POD, "BackOff", "10:10:00", uid=uid(3), type="Warning")
    found = causes(D, *ROLLOUT, soon, late)
    assert "web-1-a Pulled" in found
    assert "web-1-a BackOff" not in found
    assert "web-1-a Pulled" not in causes(D, *ROLLOUT, soon, within=Duration.read("30s"))


def test_what_a_controller_notes_at_an_object_follows_from_the_newer_wish_on_its_parent() -> None:
    """A rollback to an old ReplicaSet first writes its new revision there."""
    noted = ("metadata.annotations['deployment.kubernetes.io/revision'] 1 → 3",)
    found = causes(
        D,
        *ROLLOUT,
        request(D, "patch", "10:05:00.000", uid=uid(1), version="50"),
        change(
            D, "Modified", "10:05:00", uid=uid(1), old="1", version="50", words=("spec.template.x a → b",)
        ),
        request(RS, "update", "10:05:00.100", uid=uid(2), version="51", user=CONTROLLER, agent=MANAGER),
        change(RS, "Modified", "10:05:00", uid=uid(2), old="2", version="51", words=noted),
        request(
            RS,
            "update",
            "10:05:00.200",
            uid=uid(2),
            version="52",
            user=RS_CONTROLLER,
            agent=MANAGER,
            subresource="status",
        ),
        change(
            RS, "Modified", "10:05:00", uid=uid(2), old="51", version="52", words=("status.replicas 1 → 2",)
        ),
    )
    assert found["web-1 update"] == f"web patch: {PARENT}"
    assert "web-1 update status" not in found  # its own last wish is five minutes ago


def test_requests_that_failed_are_no_causes_but_have_one() -> None:
    failed = request(D, "patch", "10:00:30.000", code=422, uid=uid(1), reason="Invalid")
    tried = request(RS, "update", "10:01:00.000", code=409, base="2", user=CONTROLLER, agent=MANAGER)
    assert causes(D, *ROLLOUT, failed, tried)["web-1 update"] == f"web create: {PARENT}"


def test_reads_gaps_and_sightings_stay_where_they_are() -> None:
    found = causes(
        D,
        *ROLLOUT,
        request(POD, "get", "10:00:02.000", user="system:node:n1"),
        change(OTHER, "Sighting", "10:00:02", uid=uid(9), version="9", owners=(owner(RS, uid(2)),)),
    )
    assert not {"web-1-a get", "web-1-b v9"} & set(found)


def test_a_clock_that_is_minutes_off_makes_no_cause() -> None:
    early = request(
        POD,
        "patch",
        "09:50:00.000",
        uid=uid(3),
        version="9",
        subresource="status",
        user="system:node:n1",
        agent="kubelet",
    )
    assert "web-1-a patch status" not in causes(D, *ROLLOUT, early)


def test_it_is_done_once_and_in_any_order_of_arrival() -> None:
    spans = weave(*ROLLOUT, *SCALED)
    once = nest_causes(story_of(D, spans))
    assert nest_causes(once) == once
    assert sum(1 for node in nodes_of(once.root) for _ in facts_of(node.facts)) == 8
    for seed in range(5):
        random.Random(seed).shuffle(spans)
        assert nest_causes(story_of(D, spans)) == once


NODE_CONTROLLER = "system:serviceaccount:kube-system:node-controller"
FLEET = "system:serviceaccount:fleet:spreader"


@pytest.mark.parametrize(
    ("clock", "user", "agent"),
    [
        ("10:50:00.000", "system:serviceaccount:ci:deployer", "kubectl/v1.36"),
        ("10:00:20.000", "system:serviceaccount:ci:deployer", "Helm/3.18.2"),
        ("10:00:20.000", NODE_CONTROLLER, MANAGER),
        ("10:50:00.000", "system:serviceaccount:kube-system:pod-garbage-collector", MANAGER),
        ("10:00:20.000", "system:serviceaccount:kube-system:descheduler", "descheduler/v0.34"),
        ("10:00:20.000", "chaos", "monkey/1"),
    ],
)
def test_who_does_not_act_for_the_parent_deletes_for_reasons_of_his_own(
    clock: str, user: str, agent: str
) -> None:
    gone = request(POD, "delete", clock, uid=uid(3), version="20", user=user, agent=agent)
    assert "web-1-a delete" not in causes(D, *ROLLOUT, gone)


def test_who_made_an_object_for_its_parent_acts_for_that_but_nobody_else_does() -> None:
    member = key("widgets", "it")
    made = (owner(D, uid(1)),)
    wished = change(D, "Modified", "10:02:00", uid=uid(1), old="1", version="9", words=("spec.x a → b",))
    seen: list[Observation] = [
        *ROLLOUT[:2],
        request(
            member,
            "create",
            "10:00:01.000",
            code=201,
            uid=uid(5),
            version="5",
            user="fleet",
            agent="spread/1",
        ),
        change(member, "Added", "10:00:01", uid=uid(5), version="5", owners=made),
        request(D, "patch", "10:02:00.000", uid=uid(1), version="9"),
        wished,
        request(member, "patch", "10:02:01.000", uid=uid(5), version="10", user="fleet", agent="spread/1"),
        request(member, "update", "10:02:02.000", uid=uid(5), version="11", user="else", agent="other/1"),
        request(member, "delete", "10:05:00.000", uid=uid(5), user="fleet", agent="spread/1"),
    ]
    assert causes(D, *seen) == {"it create": f"web create: {PARENT}", "it patch": f"web patch: {PARENT}"}


def test_a_program_that_wrote_the_parent_itself_follows_nobody() -> None:
    mine = {"user": "ci", "agent": "deploy/1"}
    made = (owner(D, uid(1)),)
    found = causes(
        D,
        request(D, "create", "10:00:00.000", code=201, uid=uid(1), version="1", **mine),  # type: ignore[arg-type]
        request(RS, "create", "10:00:01.000", code=201, uid=uid(2), version="2", **mine),  # type: ignore[arg-type]
        change(RS, "Added", "10:00:01", uid=uid(2), version="2", owners=made),
    )
    assert found == {}


@pytest.mark.parametrize(
    ("made", "patched"), [("10:00:00.100", "10:19:59.950"), ("09:59:58.500", "10:19:58.600")]
)
def test_another_cluster_has_another_clock(made: str, patched: str) -> None:
    east = D._replace(cluster="east")
    wished = ("spec.image a → b",)
    found = causes(
        D,
        *ROLLOUT[:2],
        related(D, to(east, "Child", "FederatedTo")),
        request(D, "patch", "10:20:00.000", uid=uid(1), version="5", user="bob"),
        change(D, "Modified", "10:20:00", uid=uid(1), old="1", version="5", words=wished),
        request(east, "create", made, code=201, uid=uid(9), version="1", user=FLEET, agent="fleet"),
        change(east, "Added", made[:8], uid=uid(9), version="1"),
        request(east, "patch", patched, uid=uid(9), version="8", user=FLEET, agent="fleet"),
        change(east, "Modified", patched[:8], uid=uid(9), old="1", version="8", words=wished),
    )
    assert found == {"web create": f"web create: {PARENT}", "web patch": f"web patch: {PARENT}"}


@pytest.mark.parametrize(
    ("of", "words", "manager", "hand"),
    [
        (D, "+ spec.template.spec.nodeName = n1", "kubectl-edit", "person"),
        (key("widgets", "w"), "+ spec.nodeName = n1", "external-attacher", "controller"),
        (D, "spec.replicas 1 → 2", "Terraform", "person"),
        (POD, "+ spec.nodeName = n1", "", "scheduler"),
    ],
)
def test_a_hand_is_told_by_its_manager_and_by_what_only_it_does(
    of: ObjectKey, words: str, manager: str, hand: str
) -> None:
    seen = change(
        of, "Modified", "10:00:05", uid=uid(1), old="1", version="2", manager=manager, words=(words,)
    )
    (fact,) = [fact_of(span) for span in weave(seen) if span.source == "change"]
    assert hand_of(fact) == hand
