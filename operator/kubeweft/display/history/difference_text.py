"""A difference for people: what became of the object, the fields with who changed them, and a coloured diff of YAML."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo

from rich.console import Console
from rich.text import Text

from kubeweft.display.history.difference_shapes import as_unified
from kubeweft.display.history.differences import Difference, FieldHistory, Moment, Writing
from kubeweft.display.tree.trees import Node, fact_of, text_of
from kubeweft.display.words.axis import clock, day, moment, zone_name
from kubeweft.display.words.wording import Pen, word_fact, word_line
from kubeweft.model import vocabulary as v

MOST_WRITERS = 3  # of one field, the last ones; JSON has them all
MOST_NAMES = 8
NAMED_ABOVE = ("apiVersion", "kind")  # no news where the whole object came or went
INDENT = "    "


def write_difference(
    difference: Difference, console: Console, *, zone: tzinfo = UTC, with_diff: bool = True
) -> None:
    """Write it; the diff of YAML goes between what happened and the fields."""
    pen = Pen(zone=zone, ascii_only=console.options.ascii_only, brief=console.is_terminal)
    parts = [_head(difference, pen), _diff(difference, pen) if with_diff else (), _fields(difference, pen)]
    for number, part in enumerate(filter(None, map(list, parts))):
        if number:
            _write(Text(), console)
        for line in part:
            _write(line, console)


def _write(line: Text, console: Console) -> None:
    if console.is_terminal:
        console.print(line, soft_wrap=True, highlight=False)
    else:
        console.file.write(f"{line.plain.rstrip()}\n")


def _head(difference: Difference, pen: Pen) -> Iterator[Text]:
    key = difference.key
    yield pen.write(
        (f"{difference.kind or key.resource} ", "bold cyan"),
        (f"{key.namespace}/" if key.namespace else "", "cyan"),
        (key.name, "bold"),
        (f"  in cluster {key.cluster}", "dim"),
    )
    yield _end("from", difference.old, pen)
    yield _end("to  ", difference.new, pen)
    if difference.old.uid and difference.new.uid and difference.old.uid != difference.new.uid:
        yield pen.write(("it is another object of the same name", "bold magenta"))
    for life in difference.lives:
        created = text_of(life.change, v.CHANGE_TYPE) == "Added"
        yield pen.write(
            ("created " if created else "deleted ", "green" if created else "red"),
            *_when(life, pen),
            (": ", "dim"),
        ).append_text(_who(life, difference, pen))
    if difference.is_same:
        there = difference.new.manifest is not None
        same = "nothing is different" if there else "it was there at neither of the two moments"
        yield pen.write((same, "green"))
    elif not difference.fields:
        yield pen.write(("its content is the same", "green"))


def _end(word: str, end: Moment, pen: Pen) -> Text:
    zone = zone_name(end.time, pen.zone)
    pieces = [(f"{word} ", "dim"), (f"{day(end.time, pen.zone)} {clock(end.time, pen.zone)} {zone}", "")]
    if end.manifest is not None:
        pieces.append((f"  version {end.version} · uid {end.uid}", "dim"))
    elif end.deleted:
        pieces.append((f"  deleted {moment(end.deleted, pen.zone, near=end.time)}", "red"))
    else:
        created = f", created {moment(end.created, pen.zone, near=end.time)}" if end.created else ""
        pieces.append((f"  {end.presence}{created}", "yellow"))
    return pen.write(*pieces)


def _diff(difference: Difference, pen: Pen) -> Iterator[Text]:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for number, line in enumerate(as_unified(difference)):
        style = "bold" if number < 2 else styles.get(line[:1], "")
        yield pen.write((line[:1], style), (line[1:], style))


def _fields(difference: Difference, pen: Pen) -> Iterator[Text]:
    is_whole = difference.old.manifest is None or difference.new.manifest is None
    for history in difference.fields:
        if is_whole and history.field.label in NAMED_ABOVE:
            continue
        yield word_line(history.field.line(), pen)
        yield from _writers(history, difference, pen)
    if difference.changed_back:
        names = ", ".join(difference.changed_back[:MOST_NAMES])
        more = len(difference.changed_back) - MOST_NAMES
        yield pen.write(
            ("changed in between, and as before: ", "dim"),
            (names, "cyan"),
            (f" and {more} more" if more > 0 else "", "dim"),
        )
    if difference.unread:
        what = "1 change" if difference.unread == 1 else f"{difference.unread} changes"
        yield pen.write((f"! {what} in between cannot be read field by field", "bold yellow"))


def _writers(history: FieldHistory, difference: Difference, pen: Pen) -> Iterator[Text]:
    earlier = len(history.by) - MOST_WRITERS
    if earlier > 0:
        yield pen.write((f"{INDENT}… {earlier} earlier", "dim"))
    for writing in history.by[-MOST_WRITERS:]:
        yield pen.write((INDENT, ""), *_when(writing, pen), ("  ", "")).append_text(
            _who(writing, difference, pen)
        )
    if not history.by:
        yield pen.write((f"{INDENT}nobody was seen changing it", "yellow"))


def _when(writing: Writing, pen: Pen) -> list[tuple[str, str]]:
    exact = writing.request is not None or writing.time % 1_000_000_000 != 0
    return [
        (f"{day(writing.time, pen.zone)} {clock(writing.time, pen.zone, whole_seconds=not exact)}", "dim")
    ]


def _who(writing: Writing, difference: Difference, pen: Pen) -> Text:
    """As in a story: the request, else the change with its field manager."""
    span = writing.request or writing.change
    node = Node(
        key=difference.key, kind=difference.kind, span=span, start=span.start, end=span.end, windows=()
    )
    return word_fact(fact_of(span), node, pen).headline
