"""Facts in words: one headline and the lines under it, with styles, for the terminal.

Names and messages come from a cluster, so anybody may have written them: control characters (which could drive the
terminal) are shown, never sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from rich.text import Text

from kubeweft.display.axis import clock, duration, moment
from kubeweft.display.trees import Fact, Life, Node
from kubeweft.model import vocabulary as v
from kubeweft.model.references import group_resource
from kubeweft.model.spans import SpanLink
from kubeweft.model.timestamps import parse_timestamp

Piece = tuple[str, str]
"""Text and its style."""

ASCII = str.maketrans(
    {"→": "->", "×": "x", "·": "-", "├": "|", "└": "`", "│": "|", "─": "-", "…": "..."}
    | {"↔": "<->", "↑": "^", "↓": "v", "⇢": "~>"}
)
SERVICE_ACCOUNT = "system:serviceaccount:"
CHANGED_FIELD = re.compile(r"((?:[^\s\[]|\[[^\]]*\])+) (.*?) → (.*)")
LINE_FEEDS = {"\n": " ", "\r": " ", "\t": " "}


@dataclass(frozen=True, slots=True)
class Pen:
    """How to write: in which zone, whether the output takes ASCII only, and whether room is scarce (a terminal).

    Where objects of several clusters are written, each says its own. ``kinds`` are known by (group, resource).
    """

    zone: tzinfo = UTC
    ascii_only: bool = False
    brief: bool = False
    several_clusters: bool = False
    kinds: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def write(self, *pieces: Piece) -> Text:
        """Styled text; empty pieces leave no trace."""
        text = Text(no_wrap=False, end="")
        for content, style in pieces:
            if content:
                text.append(self.clean(content), style or None)
        return text

    def clean(self, text: str) -> str:
        """Text in which nothing can drive a terminal."""
        if not text.isprintable():
            text = "".join([c if c.isprintable() else _visible(c) for c in text])
        if self.ascii_only and not text.isascii():
            text = text.translate(ASCII).encode("ascii", "backslashreplace").decode()
        return text


@dataclass(frozen=True, slots=True)
class Wording:
    """A fact as lines: what was absorbed from its children is in ``details``."""

    headline: Text
    details: tuple[Text, ...] = ()
    style: str = ""


def word_fact(fact: Fact, node: Node, pen: Pen) -> Wording:
    """The words for one fact about ``node``."""
    return WORDINGS[fact.span.source](fact, node, pen)


def word_object(node: Node, begin: int, pen: Pen) -> Text:
    """``Pod default/demo-1  created · deleted 10:05:11 after 5m11s``; ``begin`` is the time already written before it."""
    classes = ", ".join(dict.fromkeys(link.text(v.LINK_CLASS) for link in node.via))
    text = pen.write(
        (f"[{node.key.cluster}] " if pen.several_clusters else "", "magenta"),
        (f"{node.kind or group_resource(node.key.group, node.key.resource)} ", "bold cyan"),
        (f"{node.key.namespace}/" if node.key.namespace else "", "cyan"),
        (node.key.name, "bold"),
        (f" ({classes})" if classes else "", "dim"),
    )
    if len(node.lives) > 1:
        text.append_text(pen.write((f"  {len(node.lives)} lives", "magenta")))
    elif node.lives:
        text.append_text(_life(node.lives[0], begin, pen))
    return text


def word_life(life: Life, number: int, start: int, pen: Pen) -> Text:
    """``life 2 · uid 3f2a…  created · deleted 10:05:11``."""
    text = pen.write((f"life {number}", "bold magenta"), (f" · uid {life.uid}" if life.uid else "", "dim"))
    return text.append_text(_life(life, start, pen))


def _life(life: Life, start: int, pen: Pen) -> Text:
    pieces: list[Piece] = []
    if life.created is not None:
        at = "" if life.created == start else f" {moment(life.created, pen.zone, near=start)}"
        pieces.append((f"created{at}", "green"))
    if life.deleted is not None:
        lived = f" after {duration(life.deleted - life.created)}" if life.created is not None else ""
        pieces.append((f"deleted {moment(life.deleted, pen.zone, near=start)}{lived}", "red"))
    joined = [part for piece in pieces for part in ((" · ", "dim"), piece)]
    return pen.write(("  ", ""), *joined[1:]) if joined else pen.write()


def _word_request(fact: Fact, node: Node, pen: Pen) -> Wording:
    code = fact.number(v.CODE)
    failed = code >= 400 or bool(fact.span.error)
    colour = "red" if failed else "green"
    pieces = [
        (fact.span.name, "bold red" if failed else "bold"),
        (" (dry run)" if fact.text(v.DRY_RUN).lower() == "true" else "", "yellow"),
        *_about_another(fact, node),
        *_who(fact, pen),
        (f" → {code or fact.text(v.AUDIT_STAGE) or 'no answer'}", colour),
        (f" {fact.text(v.FAILURE_REASON)}" if failed else "", colour),
    ]
    if fact.folds == "conflicts":
        pieces.append((f" ×{len(fact.children) + 1}", "bold red"))
        pieces.append((f" against version {fact.text(v.REQUEST_BASE_VERSION)}", "red"))
    pieces.append((f" {duration(fact.end - fact.start)}" if fact.end > fact.start else "", "dim"))
    details = (
        [pen.write((fact.text(v.FAILURE_MESSAGE), "red"))] if failed and fact.text(v.FAILURE_MESSAGE) else []
    )
    if fact.folds == "conflicts":
        details.extend(_conflicting(fact, pen))
    for change in fact.children:
        if change.span.source == "change":
            details.extend(_change_details(change, pen, ended=change.text(v.CHANGE_TYPE) == "Deleted"))
    return Wording(pen.write(*pieces), tuple(details), style=colour)


def _who(fact: Fact, pen: Pen) -> list[Piece]:
    user, prefix = fact.text(v.USER), ""
    if user.startswith(SERVICE_ACCOUNT):
        prefix, user = SERVICE_ACCOUNT, user.removeprefix(SERVICE_ACCOUNT)
        prefix, user = ("sa ", user.replace(":", "/")) if pen.brief else (prefix, user)
    agent = fact.text(v.USER_AGENT).split("/", 1)[0].split(" ", 1)[0]
    impersonated = fact.text(v.IMPERSONATED_USER)
    return [
        (" by ", "dim"),
        (prefix, "dim"),
        (user or "somebody", ""),
        (" as ", "dim") if impersonated else ("", ""),
        (impersonated, ""),
        (f" ({agent})" if agent else "", "dim"),
    ]


def _about_another(fact: Fact, node: Node) -> list[Piece]:
    """Of what the fact is, where that is not the object it stands under but a whole type or collection."""
    key = fact.span.key
    if key == node.key:
        return []
    where = f" in {key.namespace}" if key.namespace else ""
    where += f" of cluster {key.cluster}" if key.cluster != node.key.cluster else ""
    return [(f" of all {group_resource(key.group, key.resource)}{where}", "cyan")]


def _conflicting(fact: Fact, pen: Pen) -> list[Text]:
    """Who failed how often, where it was more than one."""
    users = Counter([fact.text(v.USER), *(child.text(v.USER) for child in fact.children)])
    if len(users) < 2:
        return []
    return [pen.write((", ".join(f"{count} by {user}" for user, count in sorted(users.items())), "red"))]


def _word_change(fact: Fact, node: Node, pen: Pen) -> Wording:
    change_type = fact.text(v.CHANGE_TYPE)
    manager = fact.text(v.FIELD_MANAGER)
    how = ", ".join(
        part
        for part in (fact.text(v.FIELD_MANAGER_OPERATION), fact.text(v.FIELD_MANAGER_SUBRESOURCE))
        if part
    )
    style = {"Added": "green", "Deleted": "red", "Sighting": "dim"}.get(change_type, "blue")
    by_manager = [(" by ", "dim"), (manager, ""), (f" ({how})" if how else "", "dim")] if manager else []
    pieces = [(fact.span.name, f"bold {style}"), *_about_another(fact, node)]
    if change_type == "Sighting":
        pieces.append((f" as version {fact.text(v.RESOURCE_VERSION)}", "dim"))
    elif change_type != "Deleted":
        pieces.extend(by_manager)
    if fact.text(v.TIME_SOURCE) == "receipt":
        pieces.append((" (time of receipt)", "dim"))
    return Wording(pen.write(*pieces), tuple(_change_details(fact, pen, ended=False)), style=style)


def _change_details(change: Fact, pen: Pen, *, ended: bool) -> list[Text]:
    lines = [word_line(line, pen) for line in change.text(v.WORDS).splitlines()]
    if ended:
        lines.append(pen.write(("the object is gone", "red")))
    if change.text(v.PATCH_TRUNCATED).lower() == "true":
        lines.append(pen.write(("(the patch was too long to be kept)", "yellow")))
    lines.extend(_context(context, pen) for context in change.span.links)
    return lines


def _context(context: SpanLink, pen: Pen) -> Text:
    """A span of another tracing system that an annotation of the object names since this change."""
    annotation = str(context.attributes.get(v.LINK_ANNOTATION, ""))
    return pen.write(
        ("⇢ ", "dim"),
        (f"trace {context.trace_id.hex()} span {context.span_id.hex()}", "cyan"),
        (f" ({annotation})" if annotation else "", "dim"),
    )


def word_line(line: str, pen: Pen) -> Text:
    """One line of :mod:`kubeweft.model.words`: the field, what was (red), what is (green)."""
    sign, rest = line[:2], line[2:]
    if sign == "+ ":
        label, equals, value = rest.partition(" = ")
        return pen.write((sign, "green"), (label, "cyan"), (equals, "dim"), (value, "green"))
    if sign == "- ":
        label, was, value = rest.partition(" (was ")
        return pen.write((sign, "red"), (label, "cyan"), (was, "dim"), (value, "red"))
    changed = CHANGED_FIELD.fullmatch(line)
    if changed is None:
        return pen.write((line, "dim"))
    label, old, new = changed.groups()
    return pen.write((f"{label} ", "cyan"), (old, "red"), (" → ", "dim"), (new, "green"))


def _word_event(fact: Fact, _: Node, pen: Pen) -> Wording:
    states = (fact, *fact.children) if fact.folds == "series" else (fact,)
    last = states[-1]
    warning = last.text(v.EVENT_TYPE) not in ("Normal", "")
    style = "yellow" if warning else "blue"
    count = max(state.number(v.EVENT_COUNT) for state in states)
    reporter, field_path = last.text(v.EVENT_REPORTER), last.text(v.EVENT_FIELD_PATH)
    skew = last.text(v.CLOCK_SKEW_SECONDS)
    pieces = [
        (f"{last.text(v.EVENT_TYPE) or 'Event'} ", style),
        (last.text(v.EVENT_REASON) or fact.span.name, f"bold {style}"),
        (f" ×{count}" if count > 1 else "", f"bold {style}"),
        (_span_of_event(fact, last, pen) if count > 1 else "", "dim"),
        (f" {last.text(v.EVENT_MESSAGE)}" if last.text(v.EVENT_MESSAGE) else "", "yellow" if warning else ""),
        (f" {field_path}" if field_path else "", "dim"),
        (f" ({reporter})" if reporter else "", "dim"),
        (f" (its clock was {skew}s ahead)" if skew else "", "yellow"),
    ]
    return Wording(pen.write(*pieces), style=style)


def _span_of_event(fact: Fact, last: Fact, pen: Pen) -> str:
    first = parse_timestamp(last.text(v.EVENT_FIRST)) or fact.start
    since = f" since {moment(first, pen.zone, near=fact.start)}" if first < fact.start else ""
    until = f" until {clock(fact.end, pen.zone, whole_seconds=True)}" if fact.end > fact.start else ""
    return f"{since}{until}"


def _word_gap(fact: Fact, node: Node, pen: Pen) -> Wording:
    missed = fact.number(v.GAP_COUNT)
    pieces = [
        ("gap", "bold white on magenta"),
        *_about_another(fact, node),
        (f" {fact.text(v.GAP_REASON)}", "bold magenta"),
        (f": {fact.text(v.GAP_MESSAGE)}" if fact.text(v.GAP_MESSAGE) else "", "magenta"),
        (f" ({missed} missed)" if missed else "", "magenta"),
        (f" {duration(fact.end - fact.start)}" if fact.end > fact.start else "", "dim"),
    ]
    return Wording(pen.write(*pieces), style="magenta")


WORDINGS: dict[str, Callable[[Fact, Node, Pen], Wording]] = {
    "request": _word_request,
    "change": _word_change,
    "event": _word_event,
    "gap": _word_gap,
}


def _visible(character: str) -> str:
    """How an unprintable character is shown; a lone surrogate cannot even be encoded."""
    known = LINE_FEEDS.get(character)
    if known is not None:
        return known
    if unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
