"""Put every fact under what caused it, over objects: an update of a Deployment, under it the ReplicaSet that its controller
made, under that the Pods, under each Pod what the scheduler and the kubelet did.

Nothing in a cluster says what caused what. What is taken for a cause is what explains a fact as far as can be shown from
what was recorded (see :mod:`kubeweft.display.steps.explaining`):

* the scheduler's binding: the last wish on the same object, in the same life;
* an Event: what was done to the object below that it names, else like a binding, if it was shortly before;
* status: what was shortly before news of the object, or of one below it that does not tell the opposite;
* the end of a deletion: the request that asked for it;
* what a controller does to an object: the last wish on its parent, or, for a creation, the end of the object's former
  life or of a sibling a short time before; for an end, the deletion of a whole collection;
* people act unasked, controllers of Nodes and of time for reasons elsewhere, and what nothing explains is told where it
  happened.

Each fact that was moved says why. Requests that read, gaps and sightings stay where they are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import msgspec

from kubeweft.display.steps.explaining.deeds import Deed
from kubeweft.display.steps.explaining.explanations import Because, Explanations
from kubeweft.display.steps.parameters import Duration
from kubeweft.display.steps.series import fold_series, unfold_series
from kubeweft.display.tree.changing import dissolved, relabelled
from kubeweft.display.tree.made import SHOWN_BECAUSE, tag, with_tags
from kubeweft.display.tree.trees import Fact, Node, Tree, facts_of, nodes_of
from kubeweft.model.windows import NANOSECONDS

HOUR = Duration(3600 * NANOSECONDS)


def nest_causes(tree: Tree, *, within: Duration = HOUR) -> Tree:
    """Facts under their causes, also those of other objects, where the cause is not longer ago than ``within``.

    A tree in which that has been done is left alone.
    """
    if any(tag(fact.label, SHOWN_BECAUSE) for node in nodes_of(tree.root) for fact in facts_of(node.facts)):
        return tree
    tree = dataclasses.replace(tree, root=_unfolded(tree.root))
    story = Explanations(tree, within)
    causes = story.all()
    under: dict[Deed, list[Deed]] = {}
    for deed, (cause, _) in causes.items():
        under.setdefault(cause, []).append(deed)
    standing = _Standing(causes, under)
    deed_of_fact = {id(deed.fact): deed for deeds in story.recorded.deeds for deed in deeds}

    def rebuilt(node: Node) -> Node:
        deeds = [deed_of_fact[id(fact)] for fact in dissolved(node.facts)]  # in the order in which they stood
        facts = tuple([standing.built(deed) for deed in deeds if deed not in causes])
        return msgspec.structs.replace(
            node, facts=fold_series(facts), children=tuple([rebuilt(child) for child in node.children])
        )

    return dataclasses.replace(tree, root=rebuilt(tree.root))


@dataclass(frozen=True, slots=True)
class _Standing:
    """Who stands under whom."""

    causes: dict[Deed, Because]
    under: dict[Deed, list[Deed]]

    def built(self, deed: Deed) -> Fact:
        fact = deed.fact
        if deed in self.causes:
            label = with_tags(fact.label, (SHOWN_BECAUSE, self.causes[deed][1]))
            fact = relabelled(fact, label, fact.children)
        below = sorted(self.under.get(deed, ()), key=lambda d: (d.time, d.place, d.index))
        if not below:
            return fact
        return fact.holding((*fact.children, *fold_series([self.built(d) for d in below])))


def _unfolded(node: Node) -> Node:
    """Each state of an Event that repeats may have a cause of its own."""
    children = tuple([_unfolded(child) for child in node.children])
    return msgspec.structs.replace(node, facts=unfold_series(node.facts), children=children)
