"""Which kind belongs to which resource: the built-in types, and whatever a cluster or a recording tells of its own.

Kind and plural name are needed everywhere (owners are named by kind, requests by plural name), and no rule of language
leads from one to the other. What was learned wins over the table. The order of learning makes no difference: of
several versions of one type the newest stays, by Kubernetes' own order of versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from kubeweft.model.builtin_kinds import BUILTIN_KINDS
from kubeweft.model.references import ResourceType

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STAGES: Final = {"alpha": 0, "beta": 1, None: 2}

_GROUP_ORDER: Final = {
    group: rank for rank, group in enumerate(dict.fromkeys(row.group for row in BUILTIN_KINDS))
}


class _Entry(NamedTuple):
    """One type with the words it goes by besides plural and kind."""

    type: ResourceType
    learned: bool
    singulars: frozenset[str]
    short_names: frozenset[str]


class Kinds:
    """A mapping between kinds and resources that grows as types are learned."""

    def __init__(self) -> None:
        """It begins with all types that Kubernetes serves by itself."""
        self._entries: dict[tuple[str, str], _Entry] = dict(_BUILTIN)
        self._by_kind: dict[tuple[str, str], ResourceType] | None = None
        self._by_word: dict[str, list[tuple[bool, ResourceType]]] | None = None

    def kind_of(self, group: str, resource: str) -> ResourceType | None:
        """The type of a plural resource name, or None while it is unknown."""
        entry = self._entries.get((group, resource))
        return entry.type if entry else None

    def resource_of(self, group: str, kind: str) -> ResourceType | None:
        """The type of a kind, or None while it is unknown."""
        if self._by_kind is None:
            self._by_kind = self._index_kinds()
        return self._by_kind.get((group, kind))

    def lookup(self, word: str) -> list[ResourceType]:
        """All types that a word may mean, as kubectl takes it, in any case: the likeliest first.

        A word is a plural, singular or short name or a kind, alone or followed by ``.group`` or ``.version.group``;
        of a group its first labels are enough.
        """
        name, _, group = word.strip().lower().partition(".")
        found = [
            (short, type_) for short, type_ in self._words().get(name, ()) if _is_group(type_.group, group)
        ]
        return [type_ for _, type_ in sorted(found, key=_likelihood)]

    def learn(self, resource: ResourceType, *, singular: str = "", short_names: Iterable[str] = ()) -> None:
        """Add a type, or say better what is known of it."""
        key = (resource.group, resource.resource)
        known = self._entries.get(key, _UNKNOWN)
        if known.learned and known.type == resource and not singular and not short_names:
            return  # the audit log says the same with every request
        if known.learned and (known.type == resource or _newness(known.type) > _newness(resource)):
            resource = known.type
        entry = _Entry(
            resource,
            learned=True,
            singulars=known.singulars | {singular.lower()} if singular else known.singulars,
            short_names=known.short_names.union([name.lower() for name in short_names]),
        )
        if entry != known:
            self._entries[key] = entry
            self._by_kind = self._by_word = None

    def copy(self) -> Kinds:
        """Another mapping that knows the same and learns on its own."""
        twin = Kinds()
        twin._entries = dict(self._entries)
        return twin

    def _index_kinds(self) -> dict[tuple[str, str], ResourceType]:
        """Where two resources share a kind, a learned one goes before the table, then the alphabet decides."""
        index: dict[tuple[str, str], ResourceType] = {}
        for entry in sorted(self._entries.values(), key=lambda entry: (not entry.learned, entry.type)):
            index.setdefault((entry.type.group, entry.type.kind), entry.type)
        return index

    def _words(self) -> dict[str, list[tuple[bool, ResourceType]]]:
        if self._by_word is None:
            self._by_word = {}
            for entry in self._entries.values():
                names = {entry.type.resource.lower(), entry.type.kind.lower(), *entry.singulars}
                for word in names | entry.short_names:
                    self._by_word.setdefault(word, []).append((word not in names, entry.type))
        return self._by_word


def guess_resource(kind: str) -> str:
    """The plural name that a kind most likely has; by the rule that Kubernetes' own tools guess with."""
    name = kind.lower()
    if name.endswith("s"):
        return name + "es"
    return name[:-1] + "ies" if name.endswith("y") else name + "s"


def _is_group(group: str, asked: str) -> bool:
    """Whether ``apps``, ``v1.apps`` or the first labels of a group mean this one. Nothing asked: any."""
    first, _, rest = asked.partition(".")
    names = (asked, rest) if _VERSION.fullmatch(first) else (asked,)
    return any(not name or f"{group}.".startswith(f"{name}.") for name in names)


def _newness(type_: ResourceType) -> tuple[tuple[int, int, int, str], ResourceType]:
    """Kubernetes' order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, then anything else. Ties: any fixed order."""
    match = _VERSION.fullmatch(type_.version)
    if match is None:
        return (-1, 0, 0, type_.version), type_
    return (_STAGES[match[2]], int(match[1]), int(match[3] or 0), ""), type_


def _likelihood(found: tuple[bool, ResourceType]) -> tuple[bool, int, str, str]:
    """Full names before short ones, Kubernetes' own groups in its order before others."""
    short, type_ = found
    return short, _GROUP_ORDER.get(type_.group, len(_GROUP_ORDER)), type_.group, type_.resource


_UNKNOWN: Final = _Entry(ResourceType("", "", "", "", False), False, frozenset(), frozenset())
_BUILTIN: Final = {
    (row.group, row.resource): _Entry(
        ResourceType(row.group, row.version, row.resource, row.kind, row.namespaced),
        learned=False,
        singulars=frozenset(),
        short_names=frozenset(row.short_names),
    )
    for row in BUILTIN_KINDS
}
