"""The tree as text: times on the left, the tree in the middle, and on wide terminals a bar on the time axis.

On a terminal long lines are folded under themselves; piped, every fact is one line and nothing is cut or coloured.
The same tree gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from rich.console import Console
from rich.text import Text

from kubeweft.display.axis import CLOCK_WIDTH, Axis, clock, day, duration, zone_name
from kubeweft.display.searching import Found
from kubeweft.display.trees import FOREVER, Fact, Life, Node, Tree, facts_of, is_whole_second, nodes_of
from kubeweft.display.wording import Pen, word_fact, word_life, word_link, word_object
from kubeweft.model.windows import NANOSECONDS

WIDE = 120
TEXT_WIDTH = 100  # what is beyond is for the bar, within limits
NARROWEST_BAR, WIDEST_BAR = 20, 40
NARROWEST_TEXT = 24
TIME_WIDTH = CLOCK_WIDTH + 2
BRANCH, LAST_BRANCH, LINE, BLANK = "├─ ", "└─ ", "│  ", "   "


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the tree before it is laid out; ``hang`` guides the lines into which it may be folded."""

    content: Text
    guide: str
    hang: str
    time: int | None = None
    whole_second: bool = False
    bar: tuple[int, int] | None = None
    style: str = ""


@dataclass(frozen=True, slots=True)
class _LifeOf:
    life: Life
    number: int
    facts: tuple[Fact, ...]


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
    for row in _node_rows(tree.root, "", "", pen):
        today = day(row.time, zone) if row.time is not None else last_day
        if today != last_day:
            sheet.write(_day_line(today, sheet))
            last_day = today
        for line in _laid_out(row, sheet):
            sheet.write(line)
    for line in _foot(tree, pen):
        sheet.write(line)


def write_found(found: Found, console: Console, *, zone: tzinfo = UTC) -> None:
    """Write the objects of a search as columns."""
    sheet = _sheet(console, zone)
    rows = [("CLUSTER", "KIND", "NAMESPACE", "NAME", "FIRST", "LAST", "WINDOWS")]
    for item in found.objects:
        key = item.key
        times = [
            f"{day(time, zone)} {clock(time, zone, whole_seconds=True)}" for time in (item.first, item.last)
        ]
        kind = item.kind or key.resource
        rows.append((key.cluster, kind, key.namespace, key.name, times[0], times[1], str(item.windows)))
    cells = [[sheet.pen.clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(rows[0]))]
    for number, row in enumerate(cells):
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        sheet.write(Text(line, style="bold" if number == 0 else ""))
    if found.more:
        sheet.write(Text("there are more: narrow the search, or raise --limit", style="yellow"))


def _sheet(console: Console, zone: tzinfo, tree: Tree | None = None) -> _Sheet:
    is_terminal = console.is_terminal
    pen = Pen(zone=zone, ascii_only=console.options.ascii_only, brief=is_terminal)
    if tree is None or not is_terminal or console.width < WIDE:
        return _Sheet(console, pen, is_terminal)
    bar_width = min(max(console.width - TEXT_WIDTH, NARROWEST_BAR), WIDEST_BAR)
    return _Sheet(console, pen, is_terminal, Axis(tree.root.start, tree.root.end, bar_width))


def _head(tree: Tree, pen: Pen) -> Iterator[Text]:
    root = tree.root
    nodes = list(nodes_of(root))
    facts = sum(1 for node in nodes for _ in facts_of(node.facts))
    title = pen.write(
        (f"{root.kind or root.key.resource} ", "bold cyan"),
        (f"{root.key.namespace}/" if root.key.namespace else "", "cyan"),
        (root.key.name, "bold"),
        (f"  in cluster {root.key.cluster}", "dim"),
    )
    yield title
    counts = [_count(len(nodes), "object"), _count(facts, "fact"), _count(len(root.windows), "window")]
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
        what = {"objects": "objects owned by", "depth": "deeper objects under", "windows": "older windows of"}
        text = f"! {cut.more} more {what.get(cut.what, cut.what + ' of')} {cut.of} not shown"
        yield pen.write((f"{text} (limit: {cut.shown} shown): {cut.hint}", "bold yellow"))


def _node_rows(node: Node, guide: str, rest: str, pen: Pen) -> Iterator[_Row]:
    parts = _parts(node)
    begin = _begin(node)
    yield _Row(
        word_object(node, begin, pen),
        guide,
        rest + (LINE if parts else BLANK),
        time=begin,
        whole_second=begin % NANOSECONDS == 0,
        bar=_lifetime(node),
        style="cyan",
    )
    for link in node.links:
        under = rest + (LINE if parts else BLANK)
        yield _Row(word_link(link, pen), under, under)
    yield from _branches(parts, node, rest, pen)


def _begin(node: Node) -> int:
    """When the object was created, if that is in the tree, else when it is first heard of."""
    created = node.lives[0].created if node.lives else None
    return created if created is not None and node.start <= created <= node.end else node.start


def _lifetime(node: Node) -> tuple[int, int]:
    """From creation to deletion; what nobody saw deleted was there to the end."""
    if not node.facts:
        return node.start, node.end
    deleted = node.lives[-1].deleted if node.lives else None
    created = node.lives[0].created if node.lives else None
    return node.start if created is None else created, FOREVER if deleted is None else deleted


def _parts(node: Node) -> Sequence[Fact | Node | _LifeOf]:
    if len(node.lives) < 2:
        return (*node.facts, *node.children)
    lives = [
        _LifeOf(life, index + 1, tuple([f for f in node.facts if f.life == index]))
        for index, life in enumerate(node.lives)
    ]
    return (*lives, *node.children)


def _branches(parts: Sequence[Fact | Node | _LifeOf], node: Node, rest: str, pen: Pen) -> Iterator[_Row]:
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        guide, under = rest + (LAST_BRANCH if is_last else BRANCH), rest + (BLANK if is_last else LINE)
        if isinstance(part, Fact):
            yield from _fact_rows(part, node, guide, under, pen)
        elif isinstance(part, Node):
            yield from _node_rows(part, guide, under, pen)
        else:
            yield from _life_rows(part, node, guide, under, pen)


def _life_rows(part: _LifeOf, node: Node, guide: str, rest: str, pen: Pen) -> Iterator[_Row]:
    start = part.facts[0].start if part.facts else node.start
    end = max([start, *(fact.end for fact in part.facts)])
    yield _Row(
        word_life(part.life, part.number, start, pen),
        guide,
        rest + (LINE if part.facts else BLANK),
        time=start,
        whole_second=start % NANOSECONDS == 0,
        bar=(start, end),
        style="magenta",
    )
    yield from _branches(part.facts, node, rest, pen)


def _fact_rows(fact: Fact, node: Node, guide: str, rest: str, pen: Pen) -> Iterator[_Row]:
    wording = word_fact(fact, node, pen)
    below = [] if fact.folds else [child for child in fact.children if child.span.source != "change"]
    under = rest + (LINE if below else BLANK)
    yield _Row(
        wording.headline,
        guide,
        under,
        time=fact.start,
        whole_second=is_whole_second(fact) or (fact.folds == "series" and fact.start % NANOSECONDS == 0),
        bar=(fact.start, fact.end),
        style=wording.style,
    )
    for detail in wording.details:
        yield _Row(detail, under, under + BLANK)
    yield from _branches(below, node, rest, pen)


def _laid_out(row: _Row, sheet: _Sheet) -> Iterator[Text]:
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
        ends = [
            clock(time, sheet.pen.zone, whole_seconds=True) for time in (sheet.axis.start, sheet.axis.end)
        ]
        line.append(sheet.axis.scale(ends[0], ends[1]), "dim")
    return line
