"""What stands for the placeholders of a name; which there are, and what they mean, is told in ``parameters``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kubeweft.display.steps.parameters import Template
from kubeweft.display.tree.trees import Fact, Node, Tree, shown_nodes
from kubeweft.display.words.actors import Cast
from kubeweft.display.words.headlines import headline, object_headline
from kubeweft.display.words.pens import Pen, pen_of
from kubeweft.display.words.people import program, short_user
from kubeweft.model import vocabulary as v
from kubeweft.model.references import group_resource

OF_FACTS: Mapping[str, Callable[[Fact], str]] = {
    "source": lambda fact: fact.span.source,
    "title": lambda fact: fact.span.name,
    "verb": lambda fact: fact.text(v.VERB),
    "subresource": lambda fact: fact.text(v.SUBRESOURCE) or fact.text(v.FIELD_MANAGER_SUBRESOURCE),
    "code": lambda fact: fact.text(v.CODE),
    "user": lambda fact: short_user(fact.text(v.USER)),
    "agent": lambda fact: program(fact.text(v.USER_AGENT)),
    "manager": lambda fact: fact.text(v.FIELD_MANAGER),
    "reporter": lambda fact: fact.text(v.EVENT_REPORTER),
    "reason": lambda fact: fact.text(v.EVENT_REASON) or fact.text(v.FAILURE_REASON),
}


class Naming:
    """Fills the placeholders of names for one tree."""

    def __init__(self, tree: Tree, *templates: Template) -> None:
        """Look at the whole tree only where a name asks for it."""
        self._kinds = {(n.key.group, n.key.resource): n.kind for n in shown_nodes(tree) if n.kind}
        self._kinds.update(tree.kinds)
        asks_who = any(template.asks_for("actor") for template in templates)
        self._cast = Cast.of_tree(tree) if asks_who else Cast(())
        self._brief = self._cast.brief_names(tree) if asks_who else {}
        asks_how = any(
            template.asks_for("headline") or template.asks_for("cluster") for template in templates
        )
        self._pen = pen_of(tree) if asks_how else Pen()

    def of_fact(self, template: Template, fact: Fact, node: Node) -> str:
        """The name of a fact under ``node``."""
        return template.fill(lambda name: self._of_fact(name, fact, node))

    def of_object(self, template: Template, node: Node) -> str:
        """The name of an object."""
        return template.fill(lambda name: self._of_object(name, node))

    def _of_fact(self, name: str, fact: Fact, node: Node) -> str:
        known = OF_FACTS.get(name)
        if known is not None:
            return known(fact)
        if name == "headline":
            return headline(fact, node, self._pen)
        if name == "actor":
            short = self._cast.actor_of(fact).short
            return self._brief.get(short, short)
        key = fact.span.key
        kind = self._kinds.get((key.group, key.resource)) or group_resource(key.group, key.resource)
        return kind if name == "kind" else self._of_key(name, key._asdict())

    def _of_object(self, name: str, node: Node) -> str:
        if name == "headline":
            return object_headline(node, self._pen)
        if name == "kind":
            return node.kind or group_resource(node.key.group, node.key.resource)
        if name in ("source", "title"):
            return "object" if name == "source" else node.key.name
        return "" if name in OF_FACTS or name == "actor" else self._of_key(name, node.key._asdict())

    def _of_key(self, name: str, key: Mapping[str, str]) -> str:
        return self._pen.cluster(key[name]) if name == "cluster" else key[name]
