"""What selects resource types and objects: patterns of types, and label selectors as Kubernetes defines them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


@dataclass(frozen=True, slots=True)
class ResourcePattern:
    """API groups and plural resource names; ``*`` stands for all."""

    groups: frozenset[str]
    resources: frozenset[str]

    def matches(self, group: str, resource: str) -> bool:
        """Whether the resource type falls under this pattern."""
        return ("*" in self.groups or group in self.groups) and (
            "*" in self.resources or resource in self.resources
        )


EVERYTHING = ResourcePattern(groups=frozenset({"*"}), resources=frozenset({"*"}))


class Requirement(NamedTuple):
    """One demand on the labels of an object; ``values`` is empty for Exists and DoesNotExist."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it. NotIn also holds where the key is missing, as in Kubernetes."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        return (value is not None) is (self.operator == "Exists")


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All of its requirements have to hold; without any it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.holds(labels) for requirement in self.requirements)


class MatchCondition(NamedTuple):
    """A named CEL expression that has to be true, as in ValidatingAdmissionPolicy."""

    name: str
    expression: str
