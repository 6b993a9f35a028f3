"""What to say about an object before it is stored: exactly what its status would say afterwards, and no more.

What is wrong for ever is refused. What may come right by itself (a Secret or a cluster that is not there yet, another
policy that wins) is only warned about, because objects of one release arrive in any order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubeweft.control.compiling.clusters import LOCAL
from kubeweft.control.compiling.policies import NO_SECRETS, Compiled, Installation, compile_policies
from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.compiling.verdicts import Verdict
from kubeweft.control.declared.objects import LINK_RULES, POLICIES, DeclaredObject
from kubeweft.control.declared.schema import read_policy
from kubeweft.control.declared.secrets import Known
from kubeweft.model.errors import BadInput
from kubeweft.model.rules import LinkRule

Body = Mapping[str, Any]
Declared = Callable[[str], Mapping[str, DeclaredObject]]
Ask = Callable[[frozenset[str]], Awaitable[Known]]

MOST_WARNINGS = 10
LONGEST_WARNING = 256  # API servers cut what is longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """Refused with a reason, or let through with warnings."""

    refusal: str = ""
    warnings: tuple[str, ...] = ()


FINE = Opinion()


class Judge:
    """Knows what else is declared. Called in another thread than the rest: it only reads what it is given."""

    def __init__(
        self,
        declared: Declared,
        installation: Installation,
        *,
        secrets: Callable[[], Known] = lambda: NO_SECRETS,
    ) -> None:
        """``declared`` gives the objects of one of our types (by plural) as they are known now, by name.

        ``secrets`` gives what is known of Secrets. Both are called in the thread of Kopf, and must be quick.
        """
        self._declared = declared
        self._installation = installation
        self._secrets = secrets

    @property
    def namespace(self) -> str:
        """Where the Secrets are that policies name."""
        return self._installation.namespace

    async def opinion(self, resource: str, new: Body, old: Body | None, *, ask: Ask) -> Opinion:
        """About an object as it is to be stored, and as it was before (None: it is new).

        ``ask`` gives what is to be known about Secrets that nobody has named before.
        """
        if not needs_checking(new, old):
            return FINE
        declared = DeclaredObject.from_body(resource, new)
        policies = self._declared(POLICIES)
        if resource == LINK_RULES:
            return judge_rule(declared, clusters=known_clusters(policies.values(), self._installation))
        among = [declared, *(other for name, other in policies.items() if name != declared.name)]
        compiled = self._compile(among, self._secrets())
        if compiled.verdicts[declared.name].accepted:
            unknown = compiled.secrets - self._secrets().keys()
            if unknown:
                compiled = self._compile(among, {**self._secrets(), **await ask(unknown)})
        return judge_policy(compiled.verdicts[declared.name])

    def _compile(self, policies: Iterable[DeclaredObject], secrets: Known) -> Compiled:
        return compile_policies(policies, self._installation, secrets)


def needs_checking(new: Body, old: Body | None) -> bool:
    """Not if the spec stays: whoever adds a label to a bad object, or deletes it, is not to blame for its spec."""
    if (new.get("metadata") or {}).get("deletionTimestamp"):
        return False
    return old is None or new.get("spec") != old.get("spec")


def judge_policy(verdict: Verdict) -> Opinion:
    """About a TracingPolicy, compiled among all others."""
    if not verdict.accepted:
        return Opinion(refusal=verdict.message)
    missing = [str(unresolved) for unresolved in verdict.unresolved if unresolved.reason != "Pending"]
    return _warn([*verdict.conflicts, *missing, *verdict.notes])


def judge_rule(declared: DeclaredObject, *, clusters: frozenset[str]) -> Opinion:
    """About a LinkRule; ``clusters`` are those that can be traced now."""
    verdict = compile_rule(declared)
    if not verdict.accepted:
        return Opinion(refusal=verdict.message)
    if verdict.rule is None:
        return FINE
    unknown = sorted(_clusters_in(verdict.rule) - clusters)
    return _warn(
        f"no TracingPolicy names the cluster {name!r} (yet): it is neither read nor linked to"
        for name in unknown
    )


def known_clusters(policies: Iterable[DeclaredObject], installation: Installation) -> frozenset[str]:
    """The local cluster and those that policies name; what cannot be read names none."""
    names = {installation.cluster, LOCAL}
    for policy in policies:
        try:
            names |= {cluster.name for cluster in read_policy(policy.spec).clusters}
        except BadInput:
            continue
    return frozenset(names)


def _clusters_in(rule: LinkRule) -> frozenset[str]:
    named = {rule.cluster.name} if rule.cluster.name else set()
    return rule.source.clusters | named | {known for _, known in rule.cluster.aliases}


def _warn(texts: Iterable[str]) -> Opinion:
    shown = [text if len(text) <= LONGEST_WARNING else f"{text[: LONGEST_WARNING - 1]}…" for text in texts]
    rest = len(shown) - MOST_WARNINGS
    return Opinion(warnings=(*shown[:MOST_WARNINGS], f"and {rest} more") if rest > 0 else tuple(shown))
