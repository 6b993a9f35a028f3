"""What is declared now, and the plan that follows from it: recompiled as a whole whenever a spec or a Secret changes.

News come from Kopf's watch and from sweeps, in any order and as often as they like: only the newest version of an
object counts, and only a new spec makes a new plan.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubeweft.control.compiling.policies import NO_SECRETS, Compiled, Installation, compile_policies
from kubeweft.control.compiling.rules import RuleVerdict, compile_rule
from kubeweft.control.declared.objects import LINK_RULES, POLICIES, DeclaredObject
from kubeweft.control.declared.secrets import SecretBook
from kubeweft.model.plan import Plan

logger = logging.getLogger(__name__)

Body = Mapping[str, Any]


class Declarations:
    """All TracingPolicies and LinkRules. Fits ``steering.Steering``; belongs to one event loop."""

    def __init__(
        self,
        installation: Installation,
        *,
        on_plan: Callable[[Plan], None],
        on_types_changed: Callable[[], None] = lambda: None,
        secrets: SecretBook | None = None,
    ) -> None:
        """``on_plan`` gets every new plan that differs from the one before; it has to be quick.

        ``secrets`` is told which Secrets the policies name, and tells when one of them has changed. Without it, what
        needs a Secret is left out.
        """
        self._installation = installation
        self._on_plan = on_plan
        self._on_types_changed = on_types_changed
        self._objects: dict[str, dict[str, DeclaredObject]] = {POLICIES: {}, LINK_RULES: {}}
        self._rules: dict[str, RuleVerdict] = {}
        self._secrets = secrets
        if secrets is not None:
            secrets.on_change = self._secrets_changed
        self.compiled: Compiled = compile_policies((), installation)
        self.news = asyncio.Event()
        self.sweep_wanted = asyncio.Event()
        self.operator_failure = ""

    @property
    def plan(self) -> Plan:
        """The plan of what is declared now."""
        return self.compiled.plan

    def objects(self, resource: str) -> dict[str, DeclaredObject]:
        """All objects of one type by name, as they were last seen."""
        return dict(self._objects[resource])

    def policy_seen(self, name: str, body: Body | None) -> None:
        """A TracingPolicy as it is now; None: it is gone."""
        self._seen(POLICIES, name, body)

    def link_rule_seen(self, name: str, body: Body | None) -> None:
        """A LinkRule as it is now; None: it is gone."""
        self._seen(LINK_RULES, name, body)

    def listed(self, resource: str, bodies: Iterable[Body], *, before: Mapping[str, DeclaredObject]) -> None:
        """A complete list was read: what was known ``before`` it was asked for, and is not in it, is gone."""
        found = [DeclaredObject.from_body(resource, body) for body in bodies]
        kept = {declared.name for declared in found}
        known = self._objects[resource]
        gone = [n for n, o in before.items() if n not in kept and known.get(n) is o]
        self._forget(resource, gone)
        new = [d.name for d in found if self._learn(d, known.get(d.name))]
        if gone or new:
            self._recompile(f"{resource} were listed: new={sorted(new)} gone={sorted(gone)}")

    def types_changed(self) -> None:
        """Resource types may have come or gone."""
        self._on_types_changed()

    def ready(self) -> None:
        """Kopf watches; what was deleted while it did not is found by a sweep."""
        self.operator_failure = ""
        self.sweep_wanted.set()

    def failed(self, reason: str) -> None:
        """Kopf has ended and will be started again; the plan stays in force."""
        self.operator_failure = reason
        self.sweep_wanted.set()

    def _seen(self, resource: str, name: str, body: Body | None) -> None:
        known = self._objects[resource].get(name)
        if body is not None:
            if self._learn(DeclaredObject.from_body(resource, body), known):
                self._recompile(f"{resource}/{name} was declared")
        elif known is not None:
            self._forget(resource, [name])
            self._recompile(f"{resource}/{name} is gone")

    def _learn(self, declared: DeclaredObject, known: DeclaredObject | None) -> bool:
        """Whether it declares anything new."""
        if known is not None and known.uid == declared.uid and not declared.is_newer_than(known):
            return False
        self._objects[declared.resource][declared.name] = declared
        self.news.set()
        if declared.declares_the_same(known):
            return False
        if declared.resource == LINK_RULES:
            self._rules[declared.name] = compile_rule(declared)
        return True

    def _forget(self, resource: str, names: list[str]) -> None:
        for name in names:
            del self._objects[resource][name]
            if resource == LINK_RULES:
                del self._rules[name]
        if names:
            self.news.set()

    def _secrets_changed(self) -> None:
        self.news.set()
        self._recompile("Secrets have changed")

    def _recompile(self, reason: str) -> None:
        before = self.compiled
        known = self._secrets.known if self._secrets is not None else NO_SECRETS
        self.compiled = compile_policies(
            self._objects[POLICIES].values(), self._installation, known, rules=self._rules
        )
        if self._secrets is not None:
            self._secrets.want(self.compiled.secrets)
        logger.info(
            "plan compiled: reason=%s policies=%d rules=%d refused=%s",
            reason,
            len(self.compiled.verdicts),
            len(self.compiled.rule_verdicts),
            sorted(_refused(self.compiled)),
        )
        if self.compiled.plan != before.plan:
            self._on_plan(self.compiled.plan)


def _refused(compiled: Compiled) -> Iterable[str]:
    yield from (f"{POLICIES}/{name}" for name, v in compiled.verdicts.items() if not v.accepted)
    yield from (f"{LINK_RULES}/{name}" for name, v in compiled.rule_verdicts.items() if not v.accepted)
