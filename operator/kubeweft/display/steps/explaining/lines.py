"""What a line of the words of a change is about, and which numbers it tells."""

from __future__ import annotations

import re

MARKS = ("+ ", "- ")
REPLICAS = re.compile(r"spec\.replicas (\d+) → (\d+)")
COUNT = re.compile(
    r"(?:[+-] )?status\.(?P<name>\w+)"
    r"(?: (?P<before>\d+) → (?P<after>\d+)| = (?P<now>\d+)| \(was (?P<was>\d+)\))"
)
NOTHING = re.compile(r"\+ status\.\w+ = (?:0|\[\]|\{\})")
GENERATION = "observedGeneration"  # a number in a status that counts nothing


def replicas_of(line: str) -> tuple[int, int] | None:
    """How many were wished for before, and how many now, of ``spec.replicas 2 → 4``."""
    found = REPLICAS.match(line)
    return (int(found[1]), int(found[2])) if found else None


def says_nothing(line: str) -> bool:
    """Whether a status says no more than that there is nothing of something: ``+ status.terminatingReplicas = 0``."""
    return NOTHING.fullmatch(line) is not None


def rise_of(line: str) -> tuple[str, bool] | None:
    """Which count rose or fell: ``status.readyReplicas 1 → 2``, ``+ status.readyReplicas = 1``, ``- … (was 1)``."""
    found = COUNT.fullmatch(line)
    if found is None:
        return None
    name = found["name"]
    before, after = int(found["before"] or found["was"] or 0), int(found["after"] or found["now"] or 0)
    return None if before == after or name == GENERATION else (name, after > before)


def field_of(line: str) -> str:
    """The field that a line of words is about: ``spec.replicas`` of ``spec.replicas 2 → 4``."""
    return (line[2:] if line.startswith(MARKS) else line).split(" ", 1)[0]
