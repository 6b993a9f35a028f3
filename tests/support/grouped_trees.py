"""Woven trees for tests of sampling and grouping: a release that groups a deployment, its replica set and its pods."""

from __future__ import annotations

from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation, Related
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Relation
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.weaving.weaver import Weaver
from span_builders import at, change, event, key, owner, request, uid


def deployment(name: str = "web") -> ObjectKey:
    """The top of a tree by owners."""
    return key("deployments", name)


def replica_set(name: str = "web") -> ObjectKey:
    """What the deployment controls."""
    return key("replicasets", f"{name}-1")


def pod(number: int, name: str = "web") -> ObjectKey:
    """What the replica set controls."""
    return key("pods", f"{name}-1-{number}")


def release(name: str = "web") -> ObjectKey:
    """What groups the deployment by a rule."""
    return key("widgets", f"release-{name}")


def same_trace(child: ObjectKey, parent: ObjectKey, *, clock: str = "10:00:01") -> Related:
    """A rule says that ``child`` goes into the trace of ``parent``."""
    relation = Relation(parent, "Parent", "Contains", "grouping", "SourceToTarget", True)
    return Related(child, (relation,), at(clock))


def life(name: str = "web", *, pods: int = 2, number: int = 0) -> list[Observation]:
    """A deployment is made, then its replica set, then pods; nothing of it fails."""
    top, middle = deployment(name), replica_set(name)
    ids = [uid(1000 * number + at) for at in range(pods + 2)]
    seen: list[Observation] = [
        request(top, "create", "10:00:01", uid=ids[0], version="1", code=201, audit_id=f"create-{name}"),
        change(top, "Added", "10:00:01", uid=ids[0], version="1"),
        change(middle, "Added", "10:00:02", uid=ids[1], version="2", owners=(owner(top, ids[0]),)),
    ]
    for index in range(pods):
        one = pod(index, name)
        seen.append(
            change(
                one,
                "Added",
                "10:00:03",
                uid=ids[2 + index],
                version=f"{3 + index}",
                owners=(owner(middle, ids[1]),),
            )
        )
        seen.append(event(one, "Scheduled", "10:00:04", uid=ids[2 + index]))
    return seen


def warning(of: ObjectKey, clock: str = "10:05:00") -> Observation:
    """Something goes wrong with an object."""
    return event(of, "BackOff", clock, type="Warning", message="restarting failed container")


def failure(of: ObjectKey, clock: str = "10:06:00") -> Observation:
    """A request on an object fails."""
    return request(of, "patch", clock, code=409, reason="Conflict", audit_id=f"failed-{of.name}")


def woven(*observations: Observation) -> list[Span]:
    """All spans, from one weaver."""
    return Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds()).weave(observations)
