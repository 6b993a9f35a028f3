"""A comparison for people: how both runs began, a table of their steps, what one lacks, and how their objects differ."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo

from rich.console import Console
from rich.text import Text

from kubeweft.display.history.comparing import Comparison, Ended, Row, trigger_lines
from kubeweft.display.history.runs import Run, Timing
from kubeweft.display.tree.trees import Node
from kubeweft.display.words.axis import clock, day, duration, zone_name
from kubeweft.display.words.left_out_wording import plural, words_of
from kubeweft.display.words.wording import Pen, word_fact, word_line

MOST_FIELDS = 10  # of one object; JSON has them all
MOST_LINES = 6
LATER = "B LATER BY"
WHO = "WHO"
HEADS = ("STEP", "A", "B", LATER, WHO)
GAP = "   "
ALWAYS = HEADS[:3]
SAME = 10_000_000  # what is closer than 10 ms is as good as at the same time


def write_comparison(comparison: Comparison, console: Console, *, zone: tzinfo = UTC) -> None:
    """Write it all."""
    pen = Pen(zone=zone, ascii_only=console.options.ascii_only, brief=True)
    room = console.width if console.is_terminal else 0
    for line in _lines(comparison, pen, room=room):
        if console.is_terminal:
            line.rstrip()
            console.print(line, soft_wrap=True, highlight=False)
        else:
            console.file.write(f"{line.plain.rstrip()}\n")


def _lines(comparison: Comparison, pen: Pen, *, room: int) -> Iterator[Text]:
    yield from _head("A", comparison.a, pen)
    yield from _head("B", comparison.b, pen)
    yield Text()
    yield from _table(comparison.both, pen, room=room)
    for side, rows in (("A", comparison.only_a), ("B", comparison.only_b)):
        if rows:
            yield Text()
            yield pen.write((f"only in {side}:", "bold"))
            for row in rows:
                timing = row.a or row.b
                yield pen.write(("  ", ""), (_name(row), "yellow"), ("  ", ""), (_cell(timing), "dim"))
    for ended in comparison.ended:
        yield from _ended(ended, pen)


def _head(side: str, run: Run, pen: Pen) -> Iterator[Text]:
    began = f"{day(run.start, pen.zone)} {clock(run.start, pen.zone)} {zone_name(run.start, pen.zone)}"
    objects = ", ".join(f"{count} {plural(kind, count)}" for kind, count in run.objects.items())
    yield pen.write(
        (f"{side}  ", "bold magenta"),
        (f"{run.kind or run.key.resource} ", "bold cyan"),
        (f"{run.key.namespace}/" if run.key.namespace else "", "cyan"),
        (run.key.name, "bold"),
        (f"  in cluster {run.key.cluster}", "dim"),
        (f"  began {began}", ""),
        (f"  took {duration(run.end - run.start)}", "bold"),
        (f"  {run.facts} facts of {objects}" if objects else "", "dim"),
    )
    if run.asked:
        yield pen.write((f"   no rollout began {run.asked}: this is the last one before", "yellow"))
    if run.started_by is not None:
        node = Node(run.key, run.kind, run.started_by.span, run.start, run.end, ())
        yield pen.write(("   ", "")).append_text(word_fact(run.started_by, node, pen).headline)
        lines = trigger_lines(run.started_by)
        for line in lines[:MOST_LINES]:
            yield pen.write(("     ", "")).append_text(word_line(line, pen))
        if len(lines) > MOST_LINES:
            yield pen.write((f"     … {len(lines) - MOST_LINES} more", "dim"))
    if run.left_out:
        yield pen.write((f"   {run.left_out} facts after a silence are left out (--quiet)", "yellow"))
    if run.cut:
        until = f"{day(run.cut, pen.zone)} {clock(run.cut, pen.zone)}"
        yield pen.write(
            (f"   ! there was no silence (--quiet): what came after {until} is not counted", "bold yellow")
        )
    for cut in run.truncated:
        hint = f": {cut.hint}" if cut.hint else ""
        yield pen.write((f"   ! {words_of(cut)} not counted{hint}", "bold yellow"))


def _table(rows: list[Row], pen: Pen, *, room: int) -> Iterator[Text]:
    """One line for each step; who took it stands below where a terminal has no ``room`` for it (0: any)."""
    if not rows:
        yield pen.write(("they have no step in common", "yellow"))
        return
    cells = [(_name(row), _cell(row.a), _cell(row.b), _later(row.later), _who(row)) for row in rows]
    columns = [(HEADS[number], [pen.clean(row[number]) for row in cells]) for number in range(len(HEADS))]
    shown = [(head, column) for head, column in columns if head in ALWAYS or any(column)]
    widths = [max(map(len, (head, *column))) for head, column in shown]
    below: list[str] = []
    if room and shown[-1][0] == WHO and sum(widths) + len(GAP) * (len(widths) - 1) > room:
        below = shown.pop()[1]
    yield _in_columns([(head, "bold") for head, _ in shown], widths, pen)
    for number in range(len(rows)):
        yield _in_columns(
            [(column[number], _style(head, column[number])) for head, column in shown], widths, pen
        )
        if below and below[number]:
            yield pen.write(("    ", ""), (below[number], "dim"))


def _in_columns(cells: list[tuple[str, str]], widths: list[int], pen: Pen) -> Text:
    return pen.write(
        *[(f"{cell.ljust(width)}{GAP}", style) for (cell, style), width in zip(cells, widths, strict=False)]
    )


def _style(head: str, cell: str) -> str:
    if head == LATER:
        return "red" if cell.startswith("+") else "green"
    return {"STEP": "", "A": "cyan", "B": "cyan"}.get(head, "dim")


def _name(row: Row) -> str:
    return f"{row.name.kind}: {row.name.what}"


def _cell(timing: Timing | None) -> str:
    """``+12ms``, or ``×4 +12ms…+1.2s``."""
    if timing is None:
        return ""
    times = _offset(timing.first)
    if timing.last != timing.first and _offset(timing.last) != times:
        times = f"{times}…{_offset(timing.last)}"
    return times if len(timing.times) == 1 else f"×{len(timing.times)} {times}"


def _offset(time: int) -> str:
    return f"+{duration(time)}" if time else "0"


def _later(difference: int) -> str:
    if abs(difference) < SAME:
        return ""
    return f"{'+' if difference > 0 else '-'}{duration(abs(difference))}"


def _who(row: Row) -> str:
    """Where it was not the same who took the step."""
    if row.a is None or row.b is None or row.a.who == row.b.who:
        return ""
    names = [", ".join(timing.who) or "nobody told" for timing in (row.a, row.b)]
    return f"A: {names[0]}; B: {names[1]}" if max(map(len, names)) <= 60 else "not the same"


def _ended(ended: Ended, pen: Pen) -> Iterator[Text]:
    yield Text()
    names = f"{ended.names[0]} and {ended.names[1]}" if ended.names[0] != ended.names[1] else ended.names[0]
    if ended.unknown:
        yield pen.write((f"{ended.kind} {names}: ", "bold"), (ended.unknown, "yellow"))
        return
    if not ended.fields:
        yield pen.write((f"{ended.kind} {names}: ", "bold"), ("the same in the end", "green"))
        return
    yield pen.write((f"{ended.kind} {names}: ", "bold"), ("in the end A → B", "dim"))
    for change in ended.fields[:MOST_FIELDS]:
        yield pen.write(("  ", "")).append_text(word_line(change.line(), pen))
    if len(ended.fields) > MOST_FIELDS:
        yield pen.write((f"  … {len(ended.fields) - MOST_FIELDS} more fields (-o json has all)", "dim"))
