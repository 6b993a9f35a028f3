"""Which objects label selectors select, kept up to date as objects and selectors come and go, in any order.

Objects with the same labels in one namespace are one group (the Pods of a ReplicaSet), and selectors match groups: so
one more Pod of a known group costs no matching at all. A new group meets only selectors that ask for one of its labels,
a new selector only groups that have one of the labels it asks for. Nothing here is quadratic unless the selectors
really select that much; then the limit per selector holds.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections.abc import Iterable
from typing import Any, Final

from kubeweft.links.naming import mapping
from kubeweft.model.references import ObjectKey
from kubeweft.model.selectors import LabelSelector

Labels = tuple[tuple[str, str], ...]
Pair = tuple[str, str]
_EVERYWHERE: Final = None


class Selection:
    """What one selector selects: the first ``limit`` keys in order, and how many there are in all.

    ``namespace`` None selects in all namespaces.
    """

    __slots__ = ("chosen", "groups", "leads", "limit", "namespace", "selector", "total")

    def __init__(self, selector: LabelSelector, *, namespace: str | None, limit: int) -> None:
        """It selects nothing until it is added to a pool."""
        self.selector = selector
        self.namespace = namespace
        self.limit = limit
        self.chosen: list[ObjectKey] = []
        self.total = 0
        self.groups: dict[_Group, None] = {}
        self.leads: tuple[Pair | None, ...] = ()

    def join(self, key: ObjectKey) -> None:
        """One more object is selected."""
        self.total += 1
        if len(self.chosen) < self.limit:
            bisect.insort(self.chosen, key)
        elif key < self.chosen[-1]:
            bisect.insort(self.chosen, key)
            self.chosen.pop()

    def leave(self, key: ObjectKey) -> None:
        """One object less; the group does not have it any more."""
        self.total -= 1
        place = bisect.bisect_left(self.chosen, key)
        if place < len(self.chosen) and self.chosen[place] == key:
            if self.total < self.limit:
                del self.chosen[place]
            else:
                self.choose()

    def choose(self) -> None:
        """Count and choose from the groups anew."""
        self.total = sum(len(group.members) for group in self.groups)
        if len(self.groups) == 1:
            self.chosen = next(iter(self.groups)).members[: self.limit]
        else:
            merged = heapq.merge(*[group.members for group in self.groups])
            self.chosen = list(itertools.islice(merged, self.limit))


class _Group:
    """The objects of one namespace that have exactly these labels, sorted, and the selections that select them."""

    __slots__ = ("labels", "members", "namespace", "selections")

    def __init__(self, namespace: str, labels: Labels) -> None:
        self.namespace = namespace
        self.labels = labels
        self.members: list[ObjectKey] = []
        self.selections: dict[Selection, None] = {}

    def part(self, key: ObjectKey) -> None:
        del self.members[bisect.bisect_left(self.members, key)]


class _Place:
    """One namespace: its groups, by all of their labels and by each."""

    __slots__ = ("groups", "postings")

    def __init__(self) -> None:
        self.groups: dict[Labels, _Group] = {}
        self.postings: dict[Pair, dict[_Group, None]] = {}

    def add(self, group: _Group) -> None:
        self.groups[group.labels] = group
        for pair in group.labels:
            self.postings.setdefault(pair, {})[group] = None

    def discard(self, group: _Group) -> None:
        del self.groups[group.labels]
        for pair in group.labels:
            posting = self.postings[pair]
            del posting[group]
            if not posting:
                del self.postings[pair]

    def candidates(self, selector: LabelSelector) -> Iterable[_Group]:
        """The groups that a selector may select: those under the requirement that leads to the fewest."""
        best: list[dict[_Group, None]] | None = None
        fewest = 0
        for requirement in selector.requirements:
            if requirement.operator != "In":
                continue
            lists = [self.postings.get((requirement.key, value), {}) for value in requirement.values]
            count = sum(map(len, lists))
            if best is None or count < fewest:
                best, fewest = lists, count
        return list(self.groups.values()) if best is None else dict.fromkeys(itertools.chain(*best))


class Pool:
    """The objects of one type in one cluster, as selectors see them."""

    def __init__(self) -> None:
        """Empty."""
        self._members: dict[ObjectKey, tuple[_Group, int]] = {}
        self._places: dict[str, _Place] = {}
        self._selections: dict[str | None, dict[Pair | None, dict[Selection, None]]] = {}

    def put(self, key: ObjectKey, labels: Labels, time: int) -> list[Selection]:
        """An object has these labels since ``time``; gives the selections that have changed. ``labels`` are sorted."""
        before, _ = self._members.get(key, (None, 0))
        if before is not None and before.labels == labels:
            return []
        now = self._group(key.namespace, labels)
        if before is not None:
            before.part(key)
        bisect.insort(now.members, key)
        self._members[key] = now, time
        changed = [each for each in before.selections if each not in now.selections] if before else []
        for selection in changed:
            selection.leave(key)
        for selection in now.selections:
            if before is None or selection not in before.selections:
                selection.join(key)
                changed.append(selection)
        if before is not None:
            self._tidy(before)
        return changed

    def drop(self, key: ObjectKey) -> list[Selection]:
        """An object is gone; gives the selections that have changed."""
        group, _ = self._members.pop(key, (None, 0))
        if group is None:
            return []
        group.part(key)
        changed = list(group.selections)
        for selection in changed:
            selection.leave(key)
        self._tidy(group)
        return changed

    def latest(self, selection: Selection) -> int:
        """Since when all that is chosen has its labels; 0 where nothing is."""
        return max([self._members[key][1] for key in selection.chosen], default=0)

    def add(self, selection: Selection) -> None:
        """From now on this selection is kept up to date."""
        lists = self._selections.setdefault(selection.namespace, {})
        selection.leads = self._choose_leads(selection)
        for lead in selection.leads:
            lists.setdefault(lead, {})[selection] = None
        names = list(self._places) if selection.namespace is None else [selection.namespace]
        for name in names:
            place = self._places.get(name)
            for group in place.candidates(selection.selector) if place else ():
                if selection.selector.matches(dict(group.labels)):
                    group.selections[selection] = None
                    selection.groups[group] = None
        selection.choose()

    def remove(self, selection: Selection) -> None:
        """The selection is not asked for any more."""
        lists = self._selections[selection.namespace]
        for lead in selection.leads:
            del lists[lead][selection]
            if not lists[lead]:
                del lists[lead]
        if not lists:
            del self._selections[selection.namespace]
        for group in selection.groups:
            del group.selections[selection]
        selection.groups.clear()

    def selections(self) -> list[Selection]:
        """All that are kept up to date here."""
        lists = [each for by_lead in self._selections.values() for each in by_lead.values()]
        return list(dict.fromkeys(itertools.chain(*lists)))

    def _group(self, namespace: str, labels: Labels) -> _Group:
        place = self._places.setdefault(namespace, _Place())
        group = place.groups.get(labels)
        if group is not None:
            return group
        group = _Group(namespace, labels)
        place.add(group)
        found = dict(labels)
        for selection in self._interested(namespace, labels):
            if selection.selector.matches(found):
                group.selections[selection] = None
                selection.groups[group] = None
        return group

    def _tidy(self, group: _Group) -> None:
        """A group without members is forgotten, and so is a namespace without groups."""
        if group.members:
            return
        place = self._places[group.namespace]
        place.discard(group)
        for selection in group.selections:
            del selection.groups[group]
        if not place.groups:
            del self._places[group.namespace]

    def _interested(self, namespace: str, labels: Labels) -> Iterable[Selection]:
        """The selections that can select a group: those that ask for one of its labels, and those that ask for none."""
        found: dict[Selection, None] = {}
        for place in (namespace, _EVERYWHERE):
            lists = self._selections.get(place)
            if lists:
                for lead in (None, *labels):
                    found.update(lists.get(lead, {}))
        return found

    def _choose_leads(self, selection: Selection) -> tuple[Pair | None, ...]:
        """The labels under which the selection is found: those of the one requirement that fewest others hang on."""
        lists = self._selections[selection.namespace]
        best: tuple[Pair | None, ...] = (None,)
        fewest = -1
        for requirement in selection.selector.requirements:
            if requirement.operator == "In":
                pairs = tuple((requirement.key, value) for value in sorted(requirement.values))
                hanging = sum(len(lists.get(pair, ())) for pair in pairs)
                if fewest < 0 or hanging < fewest:
                    best, fewest = pairs, hanging
        return best


def labels_in(metadata: dict[str, Any]) -> Labels:
    """The labels of an object, as they are put into a pool."""
    found = mapping(metadata.get("labels"))
    return tuple(sorted([(key, value) for key, value in found.items() if type(value) is str]))
