"""What rules do, in numbers: for their status, and for whoever tries a rule out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RuleStatistics:
    """How things are now, not since when: objects that a rule matches, and links it makes of them.

    ``unresolved`` are links to objects that are not known, and targets whose type is not known yet; ``over_limit``
    targets that are not linked because there are too many; ``errors`` failed evaluations, the first of which is told.
    """

    matched: int = 0
    resolved: int = 0
    unresolved: int = 0
    over_limit: int = 0
    errors: int = 0
    first_error: str = ""
