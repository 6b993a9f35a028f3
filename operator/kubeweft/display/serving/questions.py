"""What a viewer's search means: which objects to look for, and what a span of their trees has to say.

Tags are either words that select objects (their names in the vocabulary count as well), or attributes of spans.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kubeweft.display.answering.contract import TAGS, TraceQuestion
from kubeweft.display.reading.resolving import KindLookup, Resources, resources_of
from kubeweft.display.tree.trees import Fact, Tree, fact_of, facts_of, shown_nodes
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.store.interfaces import ANYTHING, ObjectQuery, Told, as_text

CORE = "core"  # what people call the API group without a name
SELECTING: Mapping[str, str] = {
    v.CLUSTER: "cluster",
    v.GROUP: "group",
    v.RESOURCE: "resource",
    v.KIND: "kind",
    v.NAMESPACE: "namespace",
    v.NAME: "name",
}
NAMES: Mapping[str, tuple[str, str]] = {name: kind for kind, name in v.NAMES_OF_KINDS.items()}
TEXTS = frozenset(
    {
        v.USER,
        v.IMPERSONATED_USER,
        v.FIELD_MANAGER,
        v.FAILURE_REASON,
        v.FAILURE_MESSAGE,
        v.EVENT_REASON,
        v.EVENT_MESSAGE,
        v.EVENT_REPORTER,
        v.GAP_REASON,
        v.GAP_MESSAGE,
    }
)
"""Attributes that a store's text search reads: it finds the objects where a store cannot look for attributes."""
MADE = "kubeweft.group."  # attributes of spans that a view makes, which no store has
TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A question understood: a query for objects, and what one span of the tree has to have beside.

    ``is_of_named`` says that objects were named, by kind for example, so that what is told may also stand below them.
    """

    query: ObjectQuery
    is_of_named: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    failed: bool | None = None
    shortest: int = 0
    longest: int = 2**63 - 1

    @property
    def narrows(self) -> bool:
        """Whether trees have to be looked at, because the query alone does not decide."""
        return bool(self.attributes) or self.failed is not None or self.shortest > 0 or self.longest < 2**62

    def fits(self, tree: Tree) -> bool:
        """Whether a tree is what was asked for: one span has all attributes, in a tree that lasts as long as wished."""
        if not self.shortest <= tree.end - tree.start <= self.longest:
            return False
        if self.failed is False and any(fact.span.error for fact in _told(tree)):
            return False
        if not self.attributes and not self.failed:
            return True
        return any(self._is_told_by(fact) for fact in _told(tree))

    @property
    def queries(self) -> tuple[ObjectQuery, ...]:
        """For the objects that tell it themselves, and then for all those below which it may be told."""
        if self.query.told == ANYTHING or not self.is_of_named:
            return (self.query,)
        return (self.query, dataclasses.replace(self.query, told=ANYTHING))

    def _is_told_by(self, fact: Fact) -> bool:
        span = fact.span
        if self.failed and not span.error:
            return False
        for name, wanted in self.attributes.items():
            value = span.source if name == v.SOURCE else span.attributes.get(name)
            is_rule = name == v.LINK_RULE and wanted in (*fact.rules, ", ".join(fact.rules))
            if not is_rule and (value is None or as_text(value) != wanted):
                return False
        return True


def understand(question: TraceQuestion, kinds: KindLookup) -> Meaning | None:
    """What a question means; None where it contradicts itself, so that nothing can fit. Raises ``UserError``."""
    chosen, attributes = _parted(question.tags)
    if question.operation and chosen.setdefault("cluster", question.operation) != question.operation:
        return None
    failed = _truth(chosen["error"]) if "error" in chosen else None
    resources = _resources(chosen, kinds)
    if resources is None:
        return None
    is_of_named = bool(chosen.keys() & {"name", "kind", "resource"})
    text = chosen.get("text", "")
    told = ANYTHING if text else _told_to_stores(failed, attributes)
    if not text and not is_of_named:
        text = next((value for name, value in attributes.items() if name in TEXTS), "")
    query = ObjectQuery(
        cluster=chosen.get("cluster", ""),
        resources=resources,
        namespace=chosen.get("namespace", ""),
        name=chosen.get("name", ""),
        text=text,
        told=told,
        since=question.since,
        until=question.until,
        limit=max(question.limit, 0),
    )
    return Meaning(
        query=query,
        is_of_named=is_of_named,
        attributes=attributes,
        failed=failed,
        shortest=question.shortest,
        longest=question.longest,
    )


def _told_to_stores(failed: bool | None, attributes: Mapping[str, str]) -> Told:
    """What a store may look for: not what views make, nor several rules of one link, each of which is a span there."""
    if any(name.startswith(MADE) or (name == v.LINK_RULE and "," in attributes[name]) for name in attributes):
        return ANYTHING
    return Told(bool(failed), tuple(attributes.items()))


def _parted(tags: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Tags that select objects, by their short names, and those that are attributes."""
    chosen: dict[str, str] = {}
    attributes: dict[str, str] = {}
    for tag, value in tags.items():
        short = SELECTING.get(tag, tag)
        if short in TAGS or tag in NAMES:
            if value and tag in NAMES:
                chosen["group"], chosen["resource"] = NAMES[tag][0] or CORE, NAMES[tag][1]
                chosen["name"] = value
            elif value:
                chosen[short] = value
        else:
            attributes[tag] = value
    return chosen, attributes


def _resources(chosen: Mapping[str, str], kinds: KindLookup) -> Resources | None:
    """Groups and resources that fit both ``kind`` and ``resource``, each of which may be any word kubectl takes.

    Empty where neither is given, None where nothing fits both.
    """
    group = chosen.get("group")
    named = [
        dict.fromkeys(resources_of(chosen[word], kinds)) for word in ("kind", "resource") if word in chosen
    ]
    if not named:
        if group is None:
            return ()
        raise UserError("an API group alone selects nothing: add the resource or kind to the tags")
    wanted = "" if group == CORE else group
    fitting = [one for one in _in_all(named) if wanted is None or one[0] in (None, wanted)]
    return tuple([(g if wanted is None else wanted, name) for g, name in fitting]) or None


def _in_all(named: list[dict[tuple[str | None, str], None]]) -> Iterator[tuple[str | None, str]]:
    for group, name in named[0]:
        if all(
            any(n == name and (g is None or group is None or g == group) for g, n in o) for o in named[1:]
        ):
            yield group, name


def _truth(text: str) -> bool:
    known = TRUTHS.get(text.lower())
    if known is None:
        raise UserError(f"error={text} is neither true nor false")
    return known


def _told(tree: Tree) -> Iterator[Fact]:
    """Everything that is shown and has attributes: objects, their links, and what happened to them."""
    for node in shown_nodes(tree):
        yield fact_of(node.span)
        yield from node.links
        yield from facts_of(node.facts)
