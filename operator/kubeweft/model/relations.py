"""What one object is to another: the value that rules make and that becomes a link at both ends."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from kubeweft.model.references import ObjectKey

Role = Literal["Parent", "Child", "Peer"]
Direction = Literal["SourceToTarget", "TargetToSource", "Both"]

INVERSE: Final[dict[Role, Role]] = {"Parent": "Child", "Child": "Parent", "Peer": "Peer"}


class Relation(NamedTuple):
    """``target`` is ``role`` to the object that has the relation.

    ``direction`` says which ends carry an OpenTelemetry span link. ``same_trace`` says that the child of the two goes
    into the trace of the parent at OTLP receivers.
    """

    target: ObjectKey
    role: Role
    link_class: str
    rule: str
    direction: Direction = "Both"
    same_trace: bool = False
