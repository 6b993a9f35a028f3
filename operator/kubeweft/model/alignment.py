"""How one list becomes another: what to remove, move and add, and which item became which.

Every item is stood for by a key that is unique in its list. Items that keep their order stay where they are (a longest
increasing subsequence), so one inserted item is one step, never a shift of all that follow. It knows nothing of what
the items are: keys come from ``merge_keys``, or from :func:`by_content` where a list has none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import orjson

from kubeweft.model.merge_keys import Identities

MOST_MOVES: Final = 100  # each takes time that grows with the list; past this the whole list is told anew


class Alignment(NamedTuple):
    """The steps in the order in which they are to be done; positions are those at the time of the step.

    ``removed`` are old positions, last first; ``moved`` pairs of positions; ``added`` new positions, first first.
    ``origins`` tells for every item of the new list its position in the old one, or None if it was added.
    """

    removed: list[int]
    moved: list[tuple[int, int]]
    added: list[int]
    origins: list[int | None]


def align(keys: Identities) -> Alignment | None:
    """The steps from the old list to the new, or None if there would be more than ``MOST_MOVES`` moves."""
    old_positions = {key: position for position, key in enumerate(keys.old)}
    origins = [old_positions.get(key) for key in keys.new]
    kept = [origin for origin in origins if origin is not None]
    staying = set(kept)
    removed = [position for position in range(len(keys.old) - 1, -1, -1) if position not in staying]
    added = [position for position, origin in enumerate(origins) if origin is None]
    moved: list[tuple[int, int]] = []
    if any(before > after for before, after in pairwise(kept)):
        anchors = longest_increasing(kept)
        if len(kept) - len(anchors) > MOST_MOVES:
            return None
        moved = _moves(kept, anchors)
    return Alignment(removed, moved, added, origins)


def _moves(wanted: list[int], anchors: set[int]) -> list[tuple[int, int]]:
    """Moves that bring the ascending list of ``wanted`` into its order; the anchors are not touched.

    Each item goes right behind the one that it is to follow, which is in its place already: the items settled so far
    are therefore always in the wanted order among each other, whatever still stands between them.
    """
    current = sorted(wanted)
    moves = []
    for position, item in enumerate(wanted):
        if item in anchors:
            continue
        start = current.index(item)
        del current[start]
        end = current.index(wanted[position - 1]) + 1 if position else 0
        current.insert(end, item)
        if start != end:
            moves.append((start, end))
    return moves


def longest_increasing(numbers: Sequence[int]) -> set[int]:
    """The members of a longest increasing subsequence of different numbers (patience sorting, n log n)."""
    tops: list[int] = []
    tops_at: list[int] = []
    before: list[int] = []
    for index, number in enumerate(numbers):
        pile = bisect_left(tops, number)
        before.append(tops_at[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(number)
            tops_at.append(index)
        else:
            tops[pile] = number
            tops_at[pile] = index
    members = set()
    index = tops_at[-1] if tops_at else -1
    while index >= 0:
        members.add(numbers[index])
        index = before[index]
    return members


def by_content(old: list[Any], new: list[Any]) -> Identities:
    """Keys for lists whose items have no name: equal items are the same item, whatever their position.

    What is left over between two such items is paired in order: there an item was changed in place. Shared beginnings
    and ends are set apart first, so that of several equal items the right ones stay where they are.
    """
    old_contents, new_contents = [_content(item) for item in old], [_content(item) for item in new]
    shortest = min(len(old), len(new))
    head = _shared(old_contents, new_contents, shortest)
    tail = _shared(old_contents[::-1], new_contents[::-1], shortest - head)
    old_keys = _numbered(old_contents, head, tail)
    return Identities(old_keys, _paired(old_keys, _numbered(new_contents, head, tail)))


def _shared(old: list[Hashable], new: list[Hashable], most: int) -> int:
    """How many items two lists share at the beginning, ``most`` of which are looked at."""
    return next((n for n in range(most) if old[n] != new[n]), most)


def _content(item: Any) -> Hashable:
    """Equal for equal JSON only: ``True``, ``1`` and ``1.0`` differ here, though Python holds them equal."""
    if type(item) is str:
        return item
    try:
        return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    except (
        TypeError
    ):  # a number past 64 bits, half a surrogate pair, or nested too deeply: Python's own words
        return repr(item).encode("utf-8", "surrogatepass")


def _numbered(contents: list[Hashable], head: int, tail: int) -> list[Hashable]:
    """Unique keys: shared ends by their position, of equal contents between them the first as it is, others numbered."""
    end = len(contents) - tail
    seen: dict[Hashable, int] = {}
    keys: list[Hashable] = [(position,) for position in range(head)]
    for content in contents[head:end]:
        count = seen.get(content, 0)
        seen[content] = count + 1
        keys.append((content, count) if count else content)
    return keys + [(-position,) for position in range(tail, 0, -1)]


def _paired(old: list[Hashable], new: list[Hashable]) -> list[Hashable]:
    """The new keys, each unknown one replaced by the lost one that stood at its place between two anchors."""
    old_positions = {key: position for position, key in enumerate(old)}
    known = set(new)
    anchors = longest_increasing([old_positions[key] for key in new if key in old_positions])
    keys = list(new)
    start = 0
    unknown: list[int] = []
    for position, key in enumerate(new):
        origin = old_positions.get(key)
        if origin is None:
            unknown.append(position)
        elif origin in anchors:
            _pair(keys, unknown, [lost for lost in old[start:origin] if lost not in known])
            start, unknown = origin + 1, []
    _pair(keys, unknown, [lost for lost in old[start:] if lost not in known])
    return keys


def _pair(keys: list[Hashable], unknown: list[int], lost: list[Hashable]) -> None:
    for position, key in zip(unknown, lost, strict=False):
        keys[position] = key
