"""What API servers said of late, for some seconds: bounded in number, and a token is known by a keyed digest only."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Said = TypeVar("Said")


class Memory(Generic[Said]):
    """Answers by question; each has its own time to live. The oldest go first where there are too many."""

    def __init__(self, *, most: int, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds and never goes back."""
        self._most = most
        self._clock = clock
        self._said: OrderedDict[Hashable, tuple[float, Said]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._said)

    def recall(self, question: Hashable) -> tuple[Said] | None:
        """What was said, in a tuple of one; None where nothing was, or too long ago."""
        known = self._said.get(question)
        if known is None:
            return None
        if known[0] <= self._clock():
            del self._said[question]
            return None
        return (known[1],)

    def keep(self, question: Hashable, said: Said, *, seconds: float) -> None:
        """Remember an answer for so long."""
        self._said[question] = (self._clock() + seconds, said)
        self._said.move_to_end(question)
        while len(self._said) > self._most:
            self._said.popitem(last=False)

    def forget(self, question: Hashable) -> None:
        """What was said holds no more."""
        self._said.pop(question, None)


class TokenNames:
    """Names for tokens that are of no use outside of this process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, token: str) -> bytes:
        """The name of a token: the same for the same token, and nothing can be learned from it."""
        return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).digest()
