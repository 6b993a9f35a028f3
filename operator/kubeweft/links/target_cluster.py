"""Which cluster the targets of a rule live in: that of the source, a named one, or one that the source names."""

from __future__ import annotations

from collections.abc import Callable

from kubeweft.links.cel import EvaluationFailed, Expression
from kubeweft.links.naming import Subject
from kubeweft.model.rules import TargetCluster

FindCluster = Callable[[Subject], str]


def compile_cluster(cluster: TargetCluster, expression: Expression | None) -> FindCluster:
    """What gives the cluster's name, empty where the source names none. ``expression`` is needed for mode CEL."""
    aliases = dict(cluster.aliases)
    if cluster.mode == "Named":
        name = aliases.get(cluster.name, cluster.name)
        return lambda _: name
    if cluster.mode == "Label":
        return lambda subject: _known_as(subject.labels.get(cluster.label_key), aliases)
    if cluster.mode == "CEL" and expression is not None:
        found = expression
        return lambda subject: _known_as(found.evaluate(subject.scene), aliases)
    return lambda subject: subject.key.cluster


def _known_as(value: object, aliases: dict[str, str]) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise EvaluationFailed("the name of a cluster must be text")
    return aliases.get(value, value)
