"""What is said about one policy after compiling: accepted with its scope and exporters, or refused with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from kubeweft.model.plan import Exporter, Scope

Refusal = Literal["InvalidSpec", "InvalidExpression", "Unsupported"]
RefReason = Literal["SecretNotFound", "InvalidSecret", "Pending"]
_ORDER: tuple[Refusal, ...] = ("InvalidSpec", "InvalidExpression", "Unsupported")
MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse a policy: the field, and what to do about it."""

    reason: Refusal
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ClusterUse(NamedTuple):
    """A cluster that a policy traces: what the policy calls it, and by what name the plan and all spans know it."""

    name: str
    known_as: str


class PartOf(NamedTuple):
    """A part of a policy that can fail by itself, by the name of its entry."""

    kind: Literal["cluster", "exporter"]
    name: str


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A reference that leads nowhere (or not yet, ``Pending``), and the part of the policy that needs it.

    ``left_out`` says that the part does not work at all without it.
    """

    part: PartOf
    reason: RefReason
    message: str
    left_out: bool = True

    def __str__(self) -> str:
        return f"{self.part.kind} {self.part.name}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``scope`` is None unless the policy is in force; ``exporters`` are those that nothing is missing for.

    ``exporter_names`` are all it declares. ``secrets`` are those it names, ``conflicts`` what another policy decides
    instead, ``notes`` what its author may not expect.
    """

    problems: tuple[Problem, ...] = ()
    suspended: bool = False
    clusters: tuple[ClusterUse, ...] = ()
    scope: Scope | None = None
    exporters: tuple[Exporter, ...] = ()
    exporter_names: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()
    unresolved: tuple[Unresolved, ...] = ()
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing in the policy has to be refused."""
        return not self.problems

    @property
    def refusal(self) -> Refusal:
        """The gravest reason: what is wrong for ever comes before what a later version may do."""
        return min((p.reason for p in self.problems), key=_ORDER.index)

    @property
    def message(self) -> str:
        """All problems at once, so that one round of editing is enough."""
        return in_short([str(problem) for problem in self.problems])

    def left_out(self, part: PartOf) -> Unresolved | None:
        """Why a part of the policy does not work; None if nothing is missing for it."""
        return next((u for u in self.unresolved if u.part == part and u.left_out), None)


def in_short(texts: list[str]) -> str:
    """Several sentences as one message, the first of them if there are many."""
    rest = len(texts) - MOST_SHOWN
    return "; ".join([*texts[:MOST_SHOWN], f"and {rest} more"] if rest > 0 else texts)
