"""LinkRules as they are declared in files or in a cluster, each with what the operator would say about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kubeweft.app.rules.documents import Document
from kubeweft.control.compiling.rules import RuleVerdict, compile_rule
from kubeweft.control.declared.objects import LINK_RULES, DeclaredObject
from kubeweft.model.errors import UserError
from kubeweft.model.references import group_of

GROUP: Final = "kubeweft.io"
VERSION: Final = "v1alpha1"
KIND: Final = "LinkRule"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRule:
    """One LinkRule: its spec as written, the verdict, and the status if it comes from a cluster."""

    name: str
    place: str
    spec: Mapping[str, Any]
    verdict: RuleVerdict
    status: Mapping[str, Any] = field(default_factory=dict)


def is_rule(document: Document) -> bool:
    """Whether this is a LinkRule, of any version."""
    return document.body["kind"] == KIND and group_of(document.body["apiVersion"]) == GROUP


def read_rules(documents: Iterable[Document]) -> list[DeclaredRule]:
    """The LinkRules among the documents, compiled. Raises ``UserError`` if two have the same name."""
    found: dict[str, DeclaredRule] = {}
    for document in filter(is_rule, documents):
        rule = declared_rule(document)
        if rule.name in found:
            raise UserError(
                f"two LinkRules are called {rule.name!r}: {found[rule.name].place} and {rule.place}"
            )
        found[rule.name] = rule
    return list(found.values())


def declared_rule(document: Document) -> DeclaredRule:
    """One LinkRule, compiled. Raises ``UserError`` if it is of another version, or no object at all."""
    body = document.body
    wanted = f"{GROUP}/{VERSION}"
    if body["apiVersion"] != wanted:
        raise UserError(f"{document.place}: 'apiVersion' must be {wanted}, not {body['apiVersion']}")
    name = body["metadata"]["name"]
    if not isinstance(body.get("spec"), dict):
        raise UserError(f"{document.place}: LinkRule {name!r} has no 'spec'")
    declared = DeclaredObject.from_body(LINK_RULES, body)
    return DeclaredRule(
        name=name,
        place=document.place,
        spec=declared.spec,
        verdict=compile_rule(declared),
        status=declared.status,
    )


def awake(rule: DeclaredRule) -> DeclaredRule:
    """The same rule as if it were not suspended: what it would do can be asked before it is let loose."""
    if not rule.verdict.suspended:
        return rule
    spec = {**rule.spec, "suspend": False}
    verdict = compile_rule(DeclaredObject(resource=LINK_RULES, name=rule.name, spec=spec))
    return DeclaredRule(name=rule.name, place=rule.place, spec=spec, verdict=verdict, status=rule.status)


def refuse_broken(rules: Sequence[DeclaredRule]) -> None:
    """Raise ``UserError`` with all that is wrong in these rules, if anything is."""
    wrong = [f"{rule.place}: LinkRule {rule.name!r}: {p}" for rule in rules for p in rule.verdict.problems]
    if wrong:
        raise UserError("\n".join(["these rules cannot be used:", *wrong]) if len(wrong) > 1 else wrong[0])
