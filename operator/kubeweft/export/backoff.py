"""How long to wait before the next attempt: exponential with full jitter, so that replicas do not knock in step."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

Jitter = Callable[[float, float], float]


@dataclass(slots=True)
class Backoff:
    """Seconds to wait: between ``first`` and a ceiling that doubles with each failure, up to ``most``.

    The lower end is not 0, so that nobody is asked more than once per ``first`` seconds.
    """

    first: float = 1.0
    most: float = 30.0
    jitter: Jitter = random.uniform
    _failures: int = field(default=0, init=False)

    def next(self, asked: float | None = None) -> float:
        """After one more failure. What the receiver asked for is kept, with up to a tenth more."""
        self._failures += 1
        if asked is not None:
            return max(self.first, self.jitter(asked, asked * 1.1))
        ceiling = self.first * 2.0 ** min(self._failures, 30)
        return self.jitter(self.first, min(self.most, ceiling))

    def slowest(self) -> float:
        """For what only a person can repair."""
        self._failures += 1
        return self.jitter(self.most / 2, self.most)

    def reset(self) -> None:
        """After a success."""
        self._failures = 0
