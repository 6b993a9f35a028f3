"""One line for every fact and object: the pieces of which text makes styled lines, and viewers get plain names.

``headline`` makes no rich text, so that it can be called for every span of a large trace.
"""

from __future__ import annotations

from collections.abc import Callable

from kubeweft.display.tree.made import GROUP_OBJECTS, SHOWN_FOLDED, SHOWN_LIFE, SHOWN_SKEW, tag, true_start
from kubeweft.display.tree.trees import USUAL, Fact, Label, Node, is_gathered, is_owner_link, link_target
from kubeweft.display.words.events import event_pieces, is_warning, last_state
from kubeweft.display.words.groups import group_pieces
from kubeweft.display.words.pens import Pen, Piece, about_a_type, name_of
from kubeweft.display.words.requests import failed, request_pieces, took_itself
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey, group_resource

ARROWS = {"Parent": "↑", "Peer": "↔", "Child": "↓"}
OWNER_ROLES = {"Parent": "owner", "Child": "owns"}
CHANGE_STYLES = {"Added": "green", "Deleted": "red", "Sighting": "dim"}


def headline(fact: Fact, node: Node, pen: Pen, *, under: Fact | None = None) -> str:
    """What happened, in one plain line; whose it is, where that is not told by what it stands ``under``."""
    return pen.plain(fact_pieces(fact, node, pen, under=under))


def object_headline(node: Node, pen: Pen) -> str:
    """``Pod default/web-0``, with its cluster where there are several and the links by which it stands there."""
    return pen.plain(object_pieces(node, pen))


def fact_pieces(fact: Fact, node: Node, pen: Pen, *, under: Fact | None = None) -> list[Piece]:
    """The same with styles."""
    if under is not None and fact.span.source == "request" and _is_of_actor(fact, under):
        pieces = request_pieces(fact, node, pen, by=[])
    else:
        pieces = PIECES[fact.span.source](fact, node, pen)
    owner = _whose(fact, node, pen, under)
    if owner:
        pieces.insert(0, (owner, "cyan"))
    if fact.label is not USUAL:
        pieces.extend(_notes(fact.label))
    return pieces


def object_pieces(node: Node, pen: Pen) -> list[Piece]:
    """The same with styles."""
    classes = ", ".join(dict.fromkeys([link.text(v.LINK_CLASS) for link in node.via])) if node.via else ""
    pieces = [*_named(node.key, node.kind, pen), (f" ({classes})" if classes else "", "dim")]
    return pieces if node.label is USUAL else [*pieces, *_notes(node.label)]


def style_of(fact: Fact) -> str:
    """The colour of a fact."""
    source = fact.span.source
    if source == "request":
        return "red" if failed(fact) else "green"
    if source == "change":
        return CHANGE_STYLES.get(fact.text(v.CHANGE_TYPE), "blue")
    if source == "event":
        return "yellow" if is_warning(last_state(fact)) else "blue"
    if fact.span.error:
        return "red"
    return {"gap": "magenta", "object": "cyan", "group": "cyan", "link": "dim"}.get(source, "blue")


def _whose(fact: Fact, node: Node, pen: Pen, under: Fact | None) -> str:
    key = fact.span.key
    if not key.name or is_gathered(fact):
        return ""  # a whole type says so by itself, and what is an object too
    if under is None:
        told = key == node.key and (not pen.shared or node.key not in pen.shared)
    elif under.span.source == "group":
        told = key == under.span.key and under.number(GROUP_OBJECTS) == 1
    else:
        told = key == under.span.key
    return "" if told else f"{name_of(key, node.key, pen)}: "


def _notes(label: Label) -> list[Piece]:
    skew, folded, life = tag(label, SHOWN_SKEW), tag(label, SHOWN_FOLDED), tag(label, SHOWN_LIFE)
    return [
        (f" (life {life})" if life else "", "magenta"),
        (f" (shown {skew} later: its clock was behind)" if skew else "", "yellow"),
        (f" (in {folded})" if folded else "", "dim"),
    ]


def _is_of_actor(request: Fact, group: Fact) -> bool:
    """Whether what a request stands under tells who sent it."""
    user = group.span.attributes.get(v.USER)
    if not user or group.span.source != "group" or user != request.text(v.USER):
        return False
    return request.text(v.IMPERSONATED_USER) == group.text(v.IMPERSONATED_USER)


def _change(fact: Fact, node: Node, pen: Pen) -> list[Piece]:
    change_type = fact.text(v.CHANGE_TYPE)
    pieces = [
        (fact.span.name, f"bold {CHANGE_STYLES.get(change_type, 'blue')}"),
        *about_a_type(fact, node, pen),
    ]
    if change_type == "Sighting":
        pieces.append((f" as version {fact.text(v.RESOURCE_VERSION)}", "dim"))
    elif change_type != "Deleted" and (manager := fact.text(v.FIELD_MANAGER)):
        how = [fact.text(v.FIELD_MANAGER_OPERATION), fact.text(v.FIELD_MANAGER_SUBRESOURCE)]
        ways = ", ".join([part for part in how if part])
        pieces.extend([(" by ", "dim"), (manager, ""), (f" ({ways})" if ways else "", "dim")])
    if fact.text(v.TIME_SOURCE) == "receipt" and true_start(fact) == fact.span.start:
        pieces.append((" (time of receipt)", "dim"))
    return pieces


def _gap(fact: Fact, node: Node, pen: Pen) -> list[Piece]:
    missed = fact.number(v.GAP_COUNT)
    message = fact.text(v.GAP_MESSAGE)
    return [
        ("gap", "bold white on magenta"),
        *about_a_type(fact, node, pen),
        (f" {fact.text(v.GAP_REASON)}", "bold magenta"),
        (f": {message}" if message else "", "magenta"),
        (f" ({missed} missed)" if missed else "", "magenta"),
        (took_itself(fact), "dim"),
    ]


def _link(fact: Fact, _: Node, pen: Pen) -> list[Piece]:
    target, role = link_target(fact.span), fact.text(v.LINK_ROLE)
    link_class = fact.text(v.LINK_CLASS)
    if is_owner_link(fact):
        ways = f" ({link_class})" if link_class else ""
        what: Piece = (f"{OWNER_ROLES.get(role, 'peer')}: ", "dim")
        return [what, (name_of(target, fact.span.key, pen), "cyan"), (ways, "dim")]
    return [
        (f"{ARROWS.get(role, '↔')} {link_class} ", "dim"),
        (name_of(target, fact.span.key, pen), "cyan"),
    ]


def _foreign(fact: Fact, _: Node, __: Pen) -> list[Piece]:
    service, error = fact.text(v.SERVICE_NAME) or "another system", fact.span.error
    style = "red" if error else "bold"
    return [
        (f"{service}: ", "cyan"),
        (fact.span.name, style),
        (f" → {error}" if error else "", "red"),
        (took_itself(fact), "dim"),
    ]


def _object(fact: Fact, _: Node, pen: Pen) -> list[Piece]:
    key = fact.span.key
    return _named(key, fact.text(v.KIND) or pen.kinds.get((key.group, key.resource), ""), pen)


def _named(key: ObjectKey, kind: str, pen: Pen) -> list[Piece]:
    return [
        (f"[{pen.cluster(key.cluster)}] " if pen.several_clusters else "", "magenta"),
        (f"{kind or group_resource(key.group, key.resource)} ", "bold cyan"),
        (f"{key.namespace}/" if key.namespace else "", "cyan"),
        (key.name, "bold"),
    ]


PIECES: dict[str, Callable[[Fact, Node, Pen], list[Piece]]] = {
    "request": request_pieces,
    "change": _change,
    "event": event_pieces,
    "gap": _gap,
    "link": _link,
    "foreign": _foreign,
    "object": _object,
    "group": group_pieces,
}
