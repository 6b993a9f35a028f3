"""Lines of an audit log to parsed slices, with a word on each line that could not be used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from kubeweft.model.errors import BadInput
from kubeweft.sources.audit.files import Line
from kubeweft.sources.audit.parsed import Parsed, Tally
from kubeweft.sources.audit.parsing import SLICE, AuditParser

CUT_OFF: Final = "the last line is cut off"
SLICE_BYTES: Final = 8 * 1024 * 1024


class Problem(NamedTuple):
    """A line, by its number from 1, of which something could not be used, and why."""

    line: int
    reason: str


class Imported(NamedTuple):
    """What some lines gave. ``parsed.bad`` counts every problem too."""

    parsed: Parsed
    problems: tuple[Problem, ...]


def parse_lines(lines: Iterable[Line], parser: AuditParser) -> Iterator[Imported]:
    """The lines in bounded slices, in their order. Each line holds an audit event, or a list of them."""
    tally, problems, count, size = Tally(), list[Problem](), 0, 0
    for line in lines:
        _add(line, parser, tally, problems)
        count += 1
        size += len(line.content)
        if count >= SLICE or size >= SLICE_BYTES:
            yield Imported(tally.result(), tuple(problems))
            tally, problems, count, size = Tally(), [], 0, 0
    if count:
        yield Imported(tally.result(), tuple(problems))


def _add(line: Line, parser: AuditParser, tally: Tally, problems: list[Problem]) -> None:
    before = len(tally.bad)
    if line.fault:
        tally.bad.append(line.fault)
    else:
        try:
            parser.add_line(line.content, tally)
        except BadInput as error:
            tally.bad.append(str(error) if line.ended else CUT_OFF)
    problems.extend(Problem(line.number, reason) for reason in tally.bad[before:])
