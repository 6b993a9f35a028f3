"""One line for every fact and object: the pieces of which text makes styled lines, and viewers get plain names.

``headline`` makes no rich text, so that it can be called for every span of a large trace.
"""

from __future__ import annotations

from collections.abc import Callable

from kubeweft.display.tree.made import (
    GROUP_AGENT,
    GROUP_BY,
    GROUP_CONFLICTS,
    GROUP_FACTS,
    GROUP_FAILURES,
    GROUP_OBJECTS,
    GROUP_UID,
    GROUP_VALUE,
    GROUP_WARNINGS,
    GROUP_WRITES,
    SHOWN_FOLDED,
    SHOWN_SKEW,
    tag,
    true_start,
)
from kubeweft.display.tree.trees import USUAL, Fact, Label, Life, Node, is_owner_link, link_target
from kubeweft.display.words.axis import clock, duration, moment
from kubeweft.display.words.pens import Pen, Piece, name_of
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey, group_resource
from kubeweft.model.timestamps import parse_timestamp

SERVICE_ACCOUNT = "system:serviceaccount:"
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
        pieces = _request(fact, node, pen, by=[])
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
    pieces = [
        (f"[{pen.cluster(node.key.cluster)}] " if pen.several_clusters else "", "magenta"),
        (f"{node.kind or group_resource(node.key.group, node.key.resource)} ", "bold cyan"),
        (f"{node.key.namespace}/" if node.key.namespace else "", "cyan"),
        (node.key.name, "bold"),
        (f" ({classes})" if classes else "", "dim"),
    ]
    return pieces if node.label is USUAL else [*pieces, *_notes(node.label)]


def style_of(fact: Fact) -> str:
    """The colour of a fact."""
    source = fact.span.source
    if source == "request":
        return "red" if _failed(fact) else "green"
    if source == "change":
        return CHANGE_STYLES.get(fact.text(v.CHANGE_TYPE), "blue")
    if source == "event":
        return "yellow" if _is_warning(_last_state(fact)) else "blue"
    if fact.span.error:
        return "red"
    return {"gap": "magenta", "object": "cyan", "group": "cyan", "link": "dim"}.get(source, "blue")


def life_pieces(life: Life, number: int, start: int, pen: Pen) -> list[Piece]:
    """``life 2 · uid 3f2a…  created · deleted 10:05:11``."""
    uid = f" · uid {life.uid}" if life.uid else ""
    return [(f"life {number}", "bold magenta"), (uid, "dim"), *lifetime_pieces(life, start, pen)]


def lifetime_pieces(life: Life, start: int, pen: Pen) -> list[Piece]:
    """``created · deleted 10:05:11 after 5m11s``; ``start`` is the time already written before it."""
    pieces: list[Piece] = []
    if life.created is not None:
        at = "" if life.created == start else f" {moment(life.created, pen.zone, near=start)}"
        pieces.append((f"created{at}", "green"))
    if life.deleted is not None:
        lived = f" after {duration(life.deleted - life.created)}" if life.created is not None else ""
        pieces.append((f"deleted {moment(life.deleted, pen.zone, near=start)}{lived}", "red"))
    joined = [part for piece in pieces for part in ((" · ", "dim"), piece)]
    return [("  ", ""), *joined[1:]] if joined else []


def short_user(user: str) -> str:
    """A user as people call it: ``kube-system/deployment-controller`` for a service account."""
    return user.removeprefix(SERVICE_ACCOUNT).replace(":", "/") if user.startswith(SERVICE_ACCOUNT) else user


def program(user_agent: str) -> str:
    """The program of a user agent, which is also the name that its writes have as field manager."""
    return user_agent.split("/", 1)[0].split(" ", 1)[0]


def _whose(fact: Fact, node: Node, pen: Pen, under: Fact | None) -> str:
    key = fact.span.key
    if not key.name or fact.span.source in ("group", "object"):
        return ""  # a whole type says so by itself, and what is an object too
    if under is None:
        told = key == node.key and (not pen.shared or node.key not in pen.shared)
    elif under.span.source == "group":
        told = key == under.span.key and under.number(GROUP_OBJECTS) == 1
    else:
        told = key == under.span.key
    return "" if told else f"{name_of(key, node.key, pen)}: "


def _notes(label: Label) -> list[Piece]:
    skew, folded = tag(label, SHOWN_SKEW), tag(label, SHOWN_FOLDED)
    return [
        (f" (shown {skew} later: its clock was behind)" if skew else "", "yellow"),
        (f" (in {folded})" if folded else "", "dim"),
    ]


def _is_of_actor(request: Fact, group: Fact) -> bool:
    """Whether what a request stands under tells who sent it."""
    user = group.span.attributes.get(v.USER)
    if not user or group.span.source != "group" or user != request.text(v.USER):
        return False
    return request.text(v.IMPERSONATED_USER) == group.text(v.IMPERSONATED_USER)


def _request(fact: Fact, node: Node, pen: Pen, *, by: list[Piece] | None = None) -> list[Piece]:
    code = fact.number(v.CODE)
    failed = _failed(fact)
    reason = fact.text(v.FAILURE_REASON) if failed else ""
    colour = "red" if failed else "green"
    pieces = [
        (fact.span.name, "bold red" if failed else "bold"),
        (" (dry run)" if fact.text(v.DRY_RUN).lower() == "true" else "", "yellow"),
        *_about_a_type(fact, node, pen),
        *(_who(fact, pen) if by is None else by),
        (" and others" if _is_of_several(fact) else "", ""),
        (f" → {code or fact.text(v.AUDIT_STAGE) or 'no answer'}", colour),
        (f" {reason}" if reason else "", colour),
    ]
    if fact.folds == "conflicts":
        pieces.append((f" ×{len(fact.children) + 1}", "bold red"))
        pieces.append((f" against version {fact.text(v.REQUEST_BASE_VERSION)}", "red"))
    pieces.append((_took(fact), "dim"))
    return pieces


def _is_of_several(fact: Fact) -> bool:
    users = fact.text(v.USER), fact.text(v.IMPERSONATED_USER)
    return fact.folds == "conflicts" and any(
        (child.text(v.USER), child.text(v.IMPERSONATED_USER)) != users for child in fact.children
    )


def _failed(fact: Fact) -> bool:
    return fact.number(v.CODE) >= 400 or bool(fact.span.error)


def _took(fact: Fact) -> str:
    """How long it took itself: a view may show it for as long as what it caused."""
    span = fact.span
    took = fact.end - fact.start if fact.folds else span.end - span.start
    return f" {duration(took)}" if took > 0 else ""


def _who(fact: Fact, pen: Pen) -> list[Piece]:
    user, prefix = fact.text(v.USER), ""
    if user.startswith(SERVICE_ACCOUNT):
        prefix, user = SERVICE_ACCOUNT, user.removeprefix(SERVICE_ACCOUNT)
        prefix, user = ("sa ", user.replace(":", "/")) if pen.brief else (prefix, user)
    agent = program(fact.text(v.USER_AGENT))
    impersonated = fact.text(v.IMPERSONATED_USER)
    return [
        (" by ", "dim"),
        (prefix, "dim"),
        (user or "somebody", ""),
        (" as ", "dim") if impersonated else ("", ""),
        (impersonated, ""),
        (f" ({agent})" if agent else "", "dim"),
    ]


def _about_a_type(fact: Fact, node: Node, pen: Pen) -> list[Piece]:
    """Of what the fact is, where that is no object but a whole type or collection."""
    key = fact.span.key
    if key.name or key == node.key:
        return []
    where = f" in {key.namespace}" if key.namespace else ""
    where += f" of cluster {pen.cluster(key.cluster)}" if key.cluster != node.key.cluster else ""
    return [(f" of all {group_resource(key.group, key.resource)}{where}", "cyan")]


def _change(fact: Fact, node: Node, pen: Pen) -> list[Piece]:
    change_type = fact.text(v.CHANGE_TYPE)
    pieces = [
        (fact.span.name, f"bold {CHANGE_STYLES.get(change_type, 'blue')}"),
        *_about_a_type(fact, node, pen),
    ]
    if change_type == "Sighting":
        pieces.append((f" as version {fact.text(v.RESOURCE_VERSION)}", "dim"))
    elif change_type != "Deleted" and (manager := fact.text(v.FIELD_MANAGER)):
        how = [fact.text(v.FIELD_MANAGER_OPERATION), fact.text(v.FIELD_MANAGER_SUBRESOURCE)]
        ways = ", ".join([part for part in how if part])
        pieces.extend([(" by ", "dim"), (manager, ""), (f" ({ways})" if ways else "", "dim")])
    if fact.text(v.TIME_SOURCE) == "receipt":
        pieces.append((" (time of receipt)", "dim"))
    return pieces


def _event(fact: Fact, _: Node, pen: Pen) -> list[Piece]:
    last = _last_state(fact)
    warning = _is_warning(last)
    style = "yellow" if warning else "blue"
    states = (fact, *fact.children) if fact.folds == "series" else (fact,)
    count = max([state.number(v.EVENT_COUNT) for state in states])
    reporter, field_path = last.text(v.EVENT_REPORTER), last.text(v.EVENT_FIELD_PATH)
    message, skew = last.text(v.EVENT_MESSAGE), last.text(v.CLOCK_SKEW_SECONDS)
    return [
        (f"{last.text(v.EVENT_TYPE) or 'Event'} ", style),
        (last.text(v.EVENT_REASON) or fact.span.name, f"bold {style}"),
        (f" ×{count}" if count > 1 else "", f"bold {style}"),
        (_span_of_event(fact, last, pen) if count > 1 else "", "dim"),
        (f" {message}" if message else "", "yellow" if warning else ""),
        (f" {field_path}" if field_path else "", "dim"),
        (f" ({reporter})" if reporter else "", "dim"),
        (f" (its clock was {skew}s ahead)" if skew else "", "yellow"),
    ]


def _last_state(event: Fact) -> Fact:
    return event.children[-1] if event.folds == "series" else event


def _is_warning(event: Fact) -> bool:
    return event.text(v.EVENT_TYPE) not in ("Normal", "")


def _span_of_event(fact: Fact, last: Fact, pen: Pen) -> str:
    start, end = fact.span.start, fact.span.end
    if fact.folds == "series":
        start = true_start(fact)
        end = start + fact.end - fact.start
    first = parse_timestamp(last.text(v.EVENT_FIRST)) or start
    since = f" since {moment(first, pen.zone, near=start)}" if first < start else ""
    until = f" until {clock(end, pen.zone, whole_seconds=True)}" if end > start else ""
    return f"{since}{until}"


def _gap(fact: Fact, node: Node, pen: Pen) -> list[Piece]:
    missed = fact.number(v.GAP_COUNT)
    message = fact.text(v.GAP_MESSAGE)
    return [
        ("gap", "bold white on magenta"),
        *_about_a_type(fact, node, pen),
        (f" {fact.text(v.GAP_REASON)}", "bold magenta"),
        (f": {message}" if message else "", "magenta"),
        (f" ({missed} missed)" if missed else "", "magenta"),
        (_took(fact), "dim"),
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
        (_took(fact), "dim"),
    ]


def _object(fact: Fact, _: Node, pen: Pen) -> list[Piece]:
    key = fact.span.key
    kind = fact.text(v.KIND) or pen.kinds.get((key.group, key.resource), "")
    return [
        (f"[{pen.cluster(key.cluster)}] " if pen.several_clusters else "", "magenta"),
        (f"{kind or group_resource(key.group, key.resource)} ", "bold cyan"),
        (f"{key.namespace}/" if key.namespace else "", "cyan"),
        (key.name, "bold"),
    ]


def _group(fact: Fact, node: Node, pen: Pen) -> list[Piece]:
    by = fact.text(GROUP_BY)
    if by == "life":
        uid = fact.text(GROUP_UID)
        life = next((life for life in node.lives if life.uid == uid), Life(uid=uid))
        return life_pieces(life, fact.life + 1, fact.start, pen)
    if by == "object":
        what = [(f"{name_of(fact.span.key, node.key, pen)}", "bold cyan")]
    elif by == "actor":
        what = _actor(fact, pen)
    else:
        what = [(fact.text(GROUP_VALUE) or fact.span.name, "bold cyan")]
    return [*what, (f"  {_counts(fact, node, pen)}", "dim")]


def _actor(fact: Fact, pen: Pen) -> list[Piece]:
    user, agent = fact.text(v.USER), fact.text(GROUP_AGENT)
    if not user:
        return [(fact.text(GROUP_VALUE), "bold cyan")]
    prefix = ""
    if user.startswith(SERVICE_ACCOUNT):
        prefix, user = SERVICE_ACCOUNT, user.removeprefix(SERVICE_ACCOUNT)
        prefix, user = ("sa ", user.replace(":", "/")) if pen.brief else (prefix, user)
    impersonated = fact.text(v.IMPERSONATED_USER)
    return [
        (prefix, "dim"),
        (user, "bold cyan"),
        (f" as {impersonated}" if impersonated else "", ""),
        (f" ({agent})" if agent else "", "dim"),
    ]


def _counts(fact: Fact, node: Node, pen: Pen) -> str:
    """``12 facts, 3 writes, 2 conflicts``; where they are of one other object, of which."""
    facts, objects = fact.number(GROUP_FACTS), fact.number(GROUP_OBJECTS)
    parts = [_count(facts, "fact")]
    key: ObjectKey = fact.span.key
    if objects > 1:
        parts[0] += f" of {objects} objects"
    elif objects == 1 and fact.text(GROUP_BY) != "object" and (key != node.key or node.key in pen.shared):
        parts[0] += f" of {name_of(key, node.key, pen)}"
    for name, what in (
        (GROUP_WRITES, "write"),
        (GROUP_CONFLICTS, "conflict"),
        (GROUP_FAILURES, "failure"),
        (GROUP_WARNINGS, "warning"),
    ):
        if number := fact.number(name):
            parts.append(_count(number, what))
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


PIECES: dict[str, Callable[[Fact, Node, Pen], list[Piece]]] = {
    "request": _request,
    "change": _change,
    "event": _event,
    "gap": _gap,
    "link": _link,
    "foreign": _foreign,
    "object": _object,
    "group": _group,
}
