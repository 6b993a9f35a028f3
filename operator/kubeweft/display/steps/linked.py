"""Choose which linked objects are shown with what happened to them, and what of it.

Who asks why a rollout hangs wants to see the Node that went away, not the ServiceAccount that nobody touched. So,
unless all are asked for, those are shown to which something happened that may matter: a Warning Event, a failed
request, a creation or deletion, a condition that changed, or any change beside metadata and status. The others remain
a name in a line of the object that they are linked with.
"""

from __future__ import annotations

import dataclasses
import re

import msgspec

from kubeweft.display.steps.explaining.lines import field_of
from kubeweft.display.tree.trees import (
    FOREVER,
    Fact,
    Node,
    Tree,
    Truncation,
    facts_of,
    is_owner_link,
    link_target,
    nodes_of,
)
from kubeweft.display.words.left_out_wording import LINKED
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey

CONDITION = re.compile(r"status\.(.*\.)?conditions\[[^\]]*\](\.(status|reason))?")
FIELD = re.compile(r"\w*")
TIME_OF_DELETION = "metadata.deletionTimestamp"
UNIMPORTANT = frozenset({"", "metadata", "status", "apiVersion", "kind"})


def choose_linked(tree: Tree) -> Tree:
    """The tree with those linked objects that its mode and limits allow, ordered by their first fact."""
    if tree.linking.mode in ("none", "names"):
        root = _without_names(tree.root) if tree.linking.mode == "none" else tree.root
        return dataclasses.replace(tree, root=root, linked=())
    links = _links_to(tree)
    wanted = [msgspec.structs.replace(n, via=links[n.key]) for n in tree.linked if n.key in links]
    if tree.linking.mode == "auto":
        wanted = [node for node in wanted if any(map(is_of_interest, node.facts))]
    wanted.sort(key=lambda node: (not any(map(is_of_interest, node.facts)), not node.facts))
    shown, left_out = wanted[: tree.linking.objects], wanted[tree.linking.objects :]
    cut = [_few_facts(node, tree.linking.facts) for node in shown]
    return dataclasses.replace(
        tree,
        linked=tuple(sorted(cut, key=lambda node: (_first(node), node.key))),
        truncated=(*tree.truncated, *_truncations(tree, shown, cut, left_out)),
    )


def _links_to(tree: Tree) -> dict[ObjectKey, tuple[Fact, ...]]:
    """The links by which objects stand beside the tree: those of rules, or else, where a selection says so, owners'."""
    beside = {node.key for node in tree.linked}
    links: dict[ObjectKey, list[Fact]] = {}
    for link in [link for node in nodes_of(tree.root) for link in node.links]:
        target = link_target(link.span)
        if target in beside:
            links.setdefault(target, []).append(link)
    by_rules = {target: [link for link in all_ if not is_owner_link(link)] for target, all_ in links.items()}
    return {target: tuple(by_rules[target] or all_) for target, all_ in links.items()}


def is_of_interest(fact: Fact) -> bool:
    """Whether a fact about another object may say why something does not go on here."""
    return any(_matters(part) for part in facts_of((fact,)))


def _matters(fact: Fact) -> bool:
    source = fact.span.source
    if source == "event":
        return fact.text(v.EVENT_TYPE) not in ("Normal", "")
    if source == "request":
        return bool(fact.span.error) or fact.number(v.CODE) >= 400 or fact.text(v.VERB) == "delete"
    if source == "change":
        change_type = fact.text(v.CHANGE_TYPE)
        return change_type in ("Added", "Deleted") or (
            change_type == "Modified" and any(map(_is_important, fact.text(v.WORDS).splitlines()))
        )
    return False


def _is_important(line: str) -> bool:
    """Whether a line of ``kubeweft.change.words`` tells a condition, or a field beside metadata and status."""
    path = field_of(line)
    if path == TIME_OF_DELETION or (CONDITION.fullmatch(path) and " moved " not in line):
        return True
    field = FIELD.match(path)
    return field is not None and field[0] not in UNIMPORTANT


def _without_names(node: Node) -> Node:
    kept = [link for link in node.links if is_owner_link(link) or link.text(v.LINK_ROLE) == "Child"]
    children = [_without_names(child) for child in node.children]
    return msgspec.structs.replace(node, links=tuple(kept), children=tuple(children))


def _few_facts(node: Node, most: int) -> Node:
    """The facts that matter before others, and of either the latest."""
    ranked = sorted(
        range(len(node.facts)), key=lambda n: (not is_of_interest(node.facts[n]), -node.facts[n].start, -n)
    )
    facts = tuple([node.facts[number] for number in sorted(ranked[:most])])
    return msgspec.structs.replace(node, facts=facts)


def _first(node: Node) -> int:
    return min([fact.start for fact in node.facts], default=FOREVER)


def _truncations(tree: Tree, shown: list[Node], cut: list[Node], left_out: list[Node]) -> list[Truncation]:
    root = str(tree.root.key)
    result = []
    if left_out:
        result.append(Truncation(what="linked", of=root, shown=len(shown), more=len(left_out), hint=LINKED))
    more = {str(a.key): len(a.facts) - len(b.facts) for a, b in zip(shown, cut, strict=True)}
    more = {key: number for key, number in more.items() if number}
    if more:
        of = next(iter(more)) if len(more) == 1 else root
        what = "facts" if len(more) == 1 else "linked_facts"
        count = sum(more.values())
        result.append(Truncation(what=what, of=of, shown=tree.linking.facts, more=count, hint=LINKED))
    return result
