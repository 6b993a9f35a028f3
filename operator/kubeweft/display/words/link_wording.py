"""Links in words: a line for each way in which an object is linked with others, however many those are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from kubeweft.display.tree.trees import Fact, Node, is_owner_link, link_target
from kubeweft.display.words.headlines import ARROWS, OWNER_ROLES
from kubeweft.display.words.pens import Pen, name_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey

MOST_NAMES = 8  # in one line; the JSON form has them all
ROLE_ORDER = " ".join(ARROWS)


def word_links(node: Node, pen: Pen) -> Iterator[Text]:
    """What the nesting does not show: ``owner: …`` for owner references, ``↔ RunsOn node/n1`` for what rules made."""
    lines: dict[tuple[str, str], list[Fact]] = {}
    for link in node.links:
        if is_owner_link(link):
            yield _owner(link, pen)
        else:
            lines.setdefault((link.text(v.LINK_ROLE), link.text(v.LINK_CLASS)), []).append(link)
    for role, link_class in sorted(lines, key=lambda line: (ROLE_ORDER.find(line[0]), line[1])):
        targets = [link_target(link.span) for link in lines[role, link_class]]
        yield _names(f"{ARROWS.get(role, '↔')} {link_class} ", targets, node, pen)


def word_linkers(node: Node, pen: Pen) -> Text:
    """``linked with pod/a, pod/b``: the objects of the tree because of which ``node`` stands beside it."""
    return _names("linked with ", list(dict.fromkeys(link.span.key for link in node.via)), node, pen)


def _names(what: str, keys: Sequence[ObjectKey], node: Node, pen: Pen) -> Text:
    names = [name_of(key, node.key, pen) for key in keys[:MOST_NAMES]]
    more = len(keys) - len(names)
    return pen.write((what, "dim"), (", ".join(names), "cyan"), (f" and {more} more" if more else "", "dim"))


def _owner(link: Fact, pen: Pen) -> Text:
    target = link_target(link.span)
    cluster = f"[{pen.cluster(target.cluster)}] " if target.cluster != link.span.key.cluster else ""
    return pen.write(
        (f"{OWNER_ROLES.get(link.text(v.LINK_ROLE), 'peer')}: ", "dim"),
        (f"{cluster}{target}", "cyan"),
        (f" ({link.text(v.LINK_CLASS)})", "dim"),
    )
