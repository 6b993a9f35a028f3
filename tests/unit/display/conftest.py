"""A rollout written down by hand: one Deployment, two ReplicaSets, three Pods, a conflict storm, and the end."""

from __future__ import annotations

import pytest

from kubeweft.model.observations import Observation
from kubeweft.model.spans import Span
from span_builders import change, event, key, owner, request, uid, weave

DEPLOYMENT, OLD, NEW = (
    key("deployments", "demo"),
    key("replicasets", "demo-7c5f"),
    key("replicasets", "demo-b9d4"),
)
POD, OTHER_POD, NEW_POD = (
    key("pods", "demo-7c5f-aaaaa"),
    key("pods", "demo-7c5f-bbbbb"),
    key("pods", "demo-b9d4-ccccc"),
)
CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"
RS_CONTROLLER = "system:serviceaccount:kube-system:replicaset-controller"
MANAGER = "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/abc/system:serviceaccount:kube-system"


@pytest.fixture
def rollout() -> list[Span]:
    """The whole story as spans."""
    return weave(*deployment_story(), *replicaset_story(), *pod_story())


def deployment_story() -> list[Observation]:
    it, own = DEPLOYMENT, uid(1)
    return [
        request(it, "create", "10:00:00.100", code=201, uid=own, version="100", kind="Deployment"),
        change(it, "Added", "10:00:00", uid=own, version="100", body={"spec": {"replicas": 2}}),
        event(
            it,
            "ScalingReplicaSet",
            "10:00:00",
            uid=own,
            message="Scaled up replica set demo-7c5f from 0 to 2",
            reporter="deployment-controller",
        ),
        request(
            it,
            "update",
            "10:00:00.250",
            uid=own,
            version="104",
            subresource="status",
            user=CONTROLLER,
            agent=MANAGER,
        ),
        change(
            it,
            "Modified",
            "10:00:00",
            uid=own,
            old="100",
            version="104",
            words=("+ status.observedGeneration = 1",),
        ),
        request(it, "patch", "10:05:00.500", took=0.008, uid=own, version="140"),
        change(
            it,
            "Modified",
            "10:05:00",
            uid=own,
            old="104",
            version="140",
            words=(
                "spec.template.spec.containers[web].image nginx:1.26 → nginx:1.27",
                "metadata.generation 1 → 2",
            ),
        ),
        *[
            request(
                it,
                "update",
                f"10:05:00.6{number}0",
                took=0.003,
                code=409,
                base="104",
                subresource="status",
                user=CONTROLLER,
                agent=MANAGER,
                reason="Conflict",
                message='Operation cannot be fulfilled on deployments.apps "demo": the object has been modified',
            )
            for number in range(3)
        ],
        request(
            it,
            "update",
            "10:05:00.700",
            uid=own,
            version="141",
            subresource="status",
            user=CONTROLLER,
            agent=MANAGER,
        ),
        change(
            it,
            "Modified",
            "10:05:00",
            uid=own,
            old="140",
            version="141",
            words=("status.observedGeneration 1 → 2",),
        ),
        change(
            it,
            "Modified",
            "10:05:02",
            uid=own,
            old="141",
            version="150",
            words=("+ status.updatedReplicas = 1",),
            manager="kube-controller-manager",
            subresource="status",
        ),
        request(it, "delete", "10:09:30.000", uid=own),
        change(it, "Deleted", "10:09:30", uid=own, old="150", version="190"),
    ]


def replicaset_story() -> list[Observation]:
    owners = (owner(DEPLOYMENT, uid(1)),)
    return [
        request(
            OLD, "create", "10:00:00.200", code=201, uid=uid(2), version="101", user=CONTROLLER, agent=MANAGER
        ),
        change(OLD, "Added", "10:00:00", uid=uid(2), version="101", owners=owners),
        request(
            NEW, "create", "10:05:00.900", code=201, uid=uid(3), version="142", user=CONTROLLER, agent=MANAGER
        ),
        change(NEW, "Added", "10:05:00", uid=uid(3), version="142", owners=owners),
        change(NEW, "Deleted", "10:09:31", uid=uid(3), old="142", version="191"),
    ]


def pod_story() -> list[Observation]:
    old, new = (owner(OLD, uid(2)),), (owner(NEW, uid(3)),)
    return [
        request(
            POD,
            "create",
            "10:00:00.300",
            code=201,
            uid=uid(4),
            version="102",
            user=RS_CONTROLLER,
            agent=MANAGER,
        ),
        change(POD, "Added", "10:00:00", uid=uid(4), version="102", owners=old),
        request(
            POD,
            "create",
            "10:00:00.320",
            code=201,
            subresource="binding",
            user="system:kube-scheduler",
            agent="kube-scheduler/v1.36.3",
        ),
        change(
            POD,
            "Modified",
            "10:00:00",
            uid=uid(4),
            old="102",
            version="103",
            words=("+ spec.nodeName = node-1",),
            patch=[{"op": "add", "path": "/spec/nodeName", "value": "node-1"}],
        ),
        event(
            POD,
            "Scheduled",
            "10:00:00.322",
            uid=uid(4),
            message="Successfully assigned default/demo-7c5f-aaaaa to node-1",
        ),
        event(
            POD,
            "BackOff",
            "10:00:05",
            uid=uid(4),
            type="Warning",
            message="Back-off restarting failed container web",
        ),
        event(
            POD,
            "BackOff",
            "10:01:05",
            uid=uid(4),
            type="Warning",
            message="Back-off restarting failed container web",
            count=7,
            first="10:00:05",
        ),
        change(OTHER_POD, "Sighting", "10:00:01", uid=uid(5), version="105", owners=old),
        change(
            NEW_POD,
            "Added",
            "10:05:01",
            uid=uid(6),
            version="143",
            owners=new,
            manager="kube-controller-manager",
        ),
    ]
