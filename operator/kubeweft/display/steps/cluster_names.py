"""Call clusters what people call them; what they are stored under, and found by, stays as it is."""

from __future__ import annotations

from kubeweft.display.tree.changing import each_label
from kubeweft.display.tree.made import with_tags
from kubeweft.display.tree.trees import Fact, Label, Node, Tree
from kubeweft.model import vocabulary as v


def name_clusters(tree: Tree, *, names: dict[str, str]) -> Tree:
    """Every span of a cluster in ``names`` is shown with the name that stands there."""

    def label(part: Fact | Node) -> Label:
        cluster = part.key.cluster if isinstance(part, Node) else part.span.key.cluster
        return with_tags(part.label, (v.CLUSTER, names[cluster])) if cluster in names else part.label

    return each_label(tree, label)
