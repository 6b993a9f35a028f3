"""The hottest functions of a run, in a form that fits a terminal line."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from pathlib import Path

LINES = 12


def hottest(run: Callable[[], object]) -> list[str]:
    """Run under the profiler; gives the functions with the most own time."""
    profile = cProfile.Profile()
    profile.runcall(run)
    statistics = pstats.Stats(profile)
    total = sum(row[2] for row in statistics.stats.values())  # type: ignore[attr-defined]  # not in typeshed
    rows = sorted(statistics.stats.items(), key=lambda item: -item[1][2])  # type: ignore[attr-defined]
    return [
        f"{own / total:5.1%}  {calls:>8,} calls  {_place(place)}"
        for place, (_, calls, own, _, _) in rows[:LINES]
    ]


def _place(place: tuple[str, int, str]) -> str:
    file, line, function = place
    if file == "~":
        return function
    path = Path(file)
    return f"{path.parent.name}/{path.name}:{line} {function}"
