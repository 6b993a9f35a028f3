"""What is said about one policy after compiling: accepted with its scope and exporters, or refused with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubeweft.model.plan import Exporter, Scope

Refusal = Literal["InvalidSpec", "InvalidExpression", "Unsupported"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``cluster`` is the name the policy gives to the local cluster; ``scope`` is None unless the policy is in force."""

    problems: tuple[Problem, ...] = ()
    suspended: bool = False
    cluster: str = ""
    scope: Scope | None = None
    exporters: tuple[Exporter, ...] = ()

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
        shown = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        rest = len(self.problems) - len(shown)
        return "; ".join([*shown, f"and {rest} more"] if rest else shown)
