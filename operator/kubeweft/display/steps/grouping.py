"""Gather the facts of each object by what they have in common: by source, by who acted, by object …

Several criteria make groups in groups. A group stands where its first fact stood, and keeps the order of its facts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from kubeweft.display.steps.conflicts import fold_conflicts, unfold_conflicts
from kubeweft.display.steps.gathering import gather
from kubeweft.display.tree import made
from kubeweft.display.tree.changing import dissolved
from kubeweft.display.tree.made import changes_made, is_made_by
from kubeweft.display.tree.trees import Fact, Node, Tree, each_node
from kubeweft.display.words.actors import SYSTEM, UNKNOWN, Actor, Cast
from kubeweft.display.words.people import program, short_user
from kubeweft.model import vocabulary as v
from kubeweft.model.references import group_resource
from kubeweft.model.spans import Attributes

Criterion = Literal[
    "source", "actor", "user", "agent", "object", "life", "verb", "kind", "namespace", "cluster"
]
Told = tuple[tuple[str, str], ...]
"""Attributes of a group, which those in it have too."""
SOURCES = {
    "request": "audit",
    "change": "changes",
    "event": "events",
    "foreign": "other traces",
    "link": "links",
    "gap": "gaps",
}
RANKS = {name: rank for rank, name in enumerate(SOURCES.values())}
LAST = 2**31
WHO = frozenset({"actor", "user", "agent"})


@dataclass(frozen=True, slots=True)
class _Common:
    """What facts have in common; groups of a lower rank stand first, else that whose first fact stands first."""

    value: str
    rank: int = 0
    attributes: Told = ()
    cluster: str = ""  # where objects or actors of several clusters have one name

    @property
    def path(self) -> tuple[str, ...]:
        """What tells it from others of the same name."""
        return self.cluster, *[value for _, value in self.attributes]


def group(
    tree: Tree, *, by: list[Criterion], smallest: int = 2, apart: bool = False, links: bool = False
) -> Tree:
    """Facts in groups ``by`` one criterion after the other; below the first, none of fewer than ``smallest`` facts, and
    none that would be the only one, unless ``smallest`` is 1.

    With ``apart``, changes leave the requests that made them; with ``links``, links are among the facts. By ``life`` are
    grouped only objects that have several.
    """
    grouping = _Grouping(tuple(by), smallest, _criteria(tree, by))

    def of(node: Node) -> Node:
        facts = tuple(dissolved((*node.links, *node.facts) if links else node.facts))
        if WHO.intersection(by):
            facts = unfold_conflicts(facts)  # several may have run into the same conflict
        facts = tuple(_separated(facts)) if apart else facts
        grouped = tuple(grouping.groups(facts, node, ()))
        return msgspec.structs.replace(node, facts=grouped, links=() if links else node.links)

    return each_node(tree, of)


@dataclass(frozen=True, slots=True)
class _Grouping:
    by: tuple[Criterion, ...]
    smallest: int
    common: dict[str, Callable[[Fact], _Common]]

    def groups(
        self, facts: Iterable[Fact], node: Node, path: tuple[str, ...], above: Told = ()
    ) -> Iterator[Fact]:
        level = len(path)
        if level == len(self.by):
            yield from fold_conflicts(tuple(facts)) if WHO.intersection(self.by) else facts
            return
        by = self.by[level]
        if by == "life" and len(node.lives) < 2:
            yield from self.groups(facts, node, (*path, ""), above)
            return
        found: dict[_Common, list[Fact]] = {}
        for fact in facts:
            found.setdefault(self.common[by](fact), []).append(fact)
        if level and len(found) == 1 and self.smallest > 1:
            (only,) = found.values()
            yield from self.groups(only, node, (*path, ""), above)
            return
        for common, members in sorted(found.items(), key=lambda item: item[0].rank):
            told = (*above, *common.attributes)
            inner = (*path, "=".join((by, common.value, *common.path)))
            inside = tuple(self.groups(members, node, inner, told))
            if level and len(members) < self.smallest:
                yield from inside
            else:
                yield _gathered(node, inside, by=by, common=common, path=path, told=told)


def _gathered(
    node: Node, facts: tuple[Fact, ...], *, by: str, common: _Common, path: tuple[str, ...], told: Told
) -> Fact:
    attributes: Attributes = dict(told)
    if by == "life" and common.rank < len(node.lives):
        attributes[made.GROUP_UID] = node.lives[common.rank].uid
    return gather(
        node,
        facts,
        by=by,
        value=common.value,
        path=(*path, *common.path),
        attributes=attributes,
        life=common.rank if by == "life" else 0,
    )


def _criteria(tree: Tree, by: Iterable[Criterion]) -> dict[str, Callable[[Fact], _Common]]:
    cast = Cast.of_tree(tree) if "actor" in by else Cast(())
    return {
        "source": lambda fact: _of_source(fact.span.source),
        "actor": lambda fact: _of_actor(cast.actor_of(fact), _other_cluster(fact, tree)),
        "user": lambda fact: _of_user(fact.text(v.USER), _other_cluster(fact, tree)),
        "agent": lambda fact: _Common(program(fact.text(v.USER_AGENT)) or "no user agent"),
        "object": lambda fact: _Common(str(fact.span.key), cluster=fact.span.key.cluster),
        "life": lambda fact: _Common(f"life {fact.life + 1}", fact.life),
        "verb": lambda fact: _Common(fact.text(v.VERB) or fact.span.source),
        "kind": lambda fact: _Common(_kind(fact, tree)),
        "namespace": lambda fact: _Common(fact.span.key.namespace or "no namespace"),
        "cluster": lambda fact: _Common(fact.span.key.cluster),
    }


def _of_source(source: str) -> _Common:
    name = SOURCES.get(source, source)
    return _Common(name, RANKS.get(name, LAST))


def _of_actor(actor: Actor, cluster: str) -> _Common:
    told = ((v.USER, actor.user), (v.IMPERSONATED_USER, actor.impersonated), (made.GROUP_AGENT, actor.agent))
    attributes = tuple([(name, value) for name, value in told if value])
    if actor is UNKNOWN:
        return _Common(actor.name, LAST)
    is_of_cluster = not actor.user or actor.user.startswith(SYSTEM)
    return _in_cluster(_Common(actor.name, 0, attributes), cluster if is_of_cluster else "")


def _of_user(user: str, cluster: str) -> _Common:
    return _in_cluster(_Common(short_user(user) or "no user"), cluster if user.startswith(SYSTEM) else "")


def _in_cluster(common: _Common, cluster: str) -> _Common:
    """People may be the same everywhere, but each cluster has controllers of its own."""
    if not cluster:
        return common
    return dataclasses.replace(common, value=f"[{cluster}] {common.value}", cluster=cluster)


def _other_cluster(fact: Fact, tree: Tree) -> str:
    """The cluster of a fact, where it is not that of the tree's root."""
    cluster = fact.span.key.cluster
    return "" if cluster == tree.root.key.cluster else cluster


def _kind(fact: Fact, tree: Tree) -> str:
    key = fact.span.key
    return tree.kinds.get((key.group, key.resource)) or group_resource(key.group, key.resource)


def _separated(facts: Iterable[Fact]) -> Iterator[Fact]:
    """Requests without the changes that they made, which follow them."""
    for fact in facts:
        changes = changes_made(fact) if fact.children else []
        if not changes:
            yield fact
            continue
        yield msgspec.structs.replace(
            fact, children=tuple([child for child in fact.children if not is_made_by(child, fact)])
        )
        yield from changes
