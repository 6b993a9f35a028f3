"""The tree as text: times on the left, the tree in the middle, and on wide terminals a bar on the time axis.

On a terminal long lines are folded under themselves; piped, every fact is one line and nothing is cut or coloured.
The same tree gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo

from rich.console import Console
from rich.text import Text

from kubeweft.display.reading.searching import Found
from kubeweft.display.tree.trees import Tree, Truncation, facts_of, nodes_of, shown_nodes
from kubeweft.display.words.axis import CLOCK_WIDTH, Axis, clock, day, duration, zone_name
from kubeweft.display.words.left_out_wording import words_of
from kubeweft.display.words.pens import Pen, pen_of
from kubeweft.display.writing.rows import Row, tree_rows
from kubeweft.model.windows import NANOSECONDS

WIDE = 120
TEXT_WIDTH = 100  # what is beyond is for the bar, within limits
NARROWEST_BAR, WIDEST_BAR = 20, 40
NARROWEST_TEXT = 24
TIME_WIDTH = CLOCK_WIDTH + 2
WHOLE_TYPE = "(all)"  # what concerned all objects of a type
SHORT = 10 * NANOSECONDS  # an axis whose ends are told in milliseconds


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What is written on: a terminal with styles, or plain lines for another program (written straight: no layout)."""

    console: Console
    pen: Pen
    is_terminal: bool
    axis: Axis | None = None

    def write(self, line: Text) -> None:
        if self.is_terminal:
            self.console.print(line, soft_wrap=True, highlight=False)
        else:
            self.console.file.write(f"{line.plain.rstrip()}\n")


def write_tree(tree: Tree, console: Console, *, zone: tzinfo = UTC) -> None:
    """Write the whole tree; times are in ``zone``."""
    sheet = _sheet(console, zone, tree)
    pen = sheet.pen
    for line in _head(tree, pen):
        sheet.write(line)
    sheet.write(Text())
    last_day = ""
    for row in tree_rows(tree, pen):
        today = day(row.time, zone) if row.time is not None else last_day
        if today != last_day:
            sheet.write(_day_line(today, sheet))
            last_day = today
        for line in _laid_out(row, sheet):
            sheet.write(line)
    for line in _foot(tree, pen):
        sheet.write(line)


def write_found(found: Found, console: Console, *, zone: tzinfo = UTC, why_none: str = "") -> None:
    """Write the objects of a search as columns; ``why_none`` is told where there are none."""
    sheet = _sheet(console, zone)
    if not found.objects:
        why = f": {why_none}" if why_none else ""
        sheet.write(sheet.pen.write((f"nothing was found{why}", "yellow")))
        return
    zoned = zone_name(found.objects[0].last, zone)
    rows = [("CLUSTER", "KIND", "NAMESPACE", "NAME", f"FIRST ({zoned})", f"LAST ({zoned})", "WINDOWS")]
    for item in found.objects:
        key = item.key
        times = [
            f"{day(time, zone)} {clock(time, zone, whole_seconds=True)}" for time in (item.first, item.last)
        ]
        kind = item.kind or key.resource
        name = key.name or WHOLE_TYPE
        rows.append((key.cluster, kind, key.namespace, name, times[0], times[1], str(item.windows)))
    cells = [[sheet.pen.clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(rows[0]))]
    for number, row in enumerate(cells):
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        sheet.write(Text(line, style="bold" if number == 0 else ""))
    if found.more:
        sheet.write(Text("there are more: narrow the search, or raise --limit", style="yellow"))


def _sheet(console: Console, zone: tzinfo, tree: Tree | None = None) -> _Sheet:
    is_terminal = console.is_terminal
    ascii_only = console.options.ascii_only
    if tree is None:
        return _Sheet(console, Pen(zone=zone, ascii_only=ascii_only, brief=is_terminal), is_terminal)
    pen = pen_of(tree, zone=zone, ascii_only=ascii_only, brief=is_terminal)
    if not is_terminal or console.width < WIDE:
        return _Sheet(console, pen, is_terminal)
    bar_width = min(max(console.width - TEXT_WIDTH, NARROWEST_BAR), WIDEST_BAR)
    return _Sheet(console, pen, is_terminal, Axis(tree.start, tree.end, bar_width))


def _head(tree: Tree, pen: Pen) -> Iterator[Text]:
    root = tree.root
    spans = [fact.span for node in shown_nodes(tree) for fact in facts_of(node.facts)]
    facts = sum(1 for span in spans if span.source not in ("object", "group", "link"))
    beside = {node.key for node in tree.linked}
    objects = {node.key for node in nodes_of(root)} | {span.key for span in spans if span.key.name} - beside
    title = pen.write(
        (f"{root.kind or root.key.resource} ", "bold cyan"),
        (f"{root.key.namespace}/" if root.key.namespace else "", "cyan"),
        (root.key.name, "bold"),
        (f"  in cluster {pen.cluster(root.key.cluster)}", "dim"),
    )
    yield title
    counts = [_count(len(objects), "object"), _count(facts, "fact"), _count(len(root.windows), "window")]
    if tree.linked:
        counts.insert(1, f"{len(tree.linked)} linked")
    took = duration(root.end - root.start) if root.end > root.start else "a moment"
    zone = zone_name(root.start, pen.zone)
    uids = [f" · uid {life.uid}" for life in root.lives if life.uid]
    uid = uids[0] if len(uids) == 1 else ""
    yield pen.write((f"{' · '.join(counts)} · {took} · times in {zone}{uid}", "dim"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _foot(tree: Tree, pen: Pen) -> Iterator[Text]:
    if not any(node.facts for node in nodes_of(tree.root)):
        yield pen.write(("nothing happened to it in this time", "yellow"))
    for cut in tree.truncated:
        yield pen.write((_cut(cut), "bold yellow"))


def _cut(cut: Truncation) -> str:
    if cut.what == "extension":
        return f"! {words_of(cut)} are missing: {cut.hint}"
    done = "looked into" if cut.what in ("linked_read", "around") else "shown"
    shown = {"depth": _count(cut.shown, "level"), "linked_facts": f"{cut.shown} of each"}.get(
        cut.what, cut.shown
    )
    return f"! {words_of(cut)} not {done} ({shown} {done}): {cut.hint}"


def _laid_out(row: Row, sheet: _Sheet) -> Iterator[Text]:
    pen, axis = sheet.pen, sheet.axis
    time = "" if row.time is None else clock(row.time, pen.zone, whole_seconds=row.whole_second)
    if not sheet.is_terminal:
        yield _line(time, row.guide, row.content, pen)
        return
    width = sheet.console.width
    room = width - TIME_WIDTH - (axis.width + 2 if axis else 0)
    folded = row.content.wrap(sheet.console, max(NARROWEST_TEXT, room - len(row.hang)), overflow="fold")
    for number, content in enumerate(folded):
        line = _line(time if number == 0 else "", row.guide if number == 0 else row.hang, content, pen)
        if axis and row.bar and number == 0:
            line.pad_right(max(0, width - axis.width - line.cell_len))
            marks = ("*", "=") if pen.ascii_only else ("●", "━")
            line.append(axis.bar(*row.bar, dot=marks[0], line=marks[1]), row.style)
        yield line


def _line(time: str, guide: str, content: Text, pen: Pen) -> Text:
    line = pen.write((time.ljust(TIME_WIDTH), "dim"), (guide, "dim"))
    line.append_text(content)
    line.rstrip()
    return line


def _day_line(today: str, sheet: _Sheet) -> Text:
    line = sheet.pen.write((today, "bold"))
    if sheet.axis:
        line.pad_right(sheet.console.width - sheet.axis.width - line.cell_len)
        start, end = sheet.axis.start, sheet.axis.end
        is_short = end - start < SHORT and sheet.axis.width > 2 * CLOCK_WIDTH
        ends = [clock(time, sheet.pen.zone, whole_seconds=not is_short) for time in (start, end)]
        line.append(sheet.axis.scale(ends[0], ends[1]), "dim")
    return line
