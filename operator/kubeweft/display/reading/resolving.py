"""``KIND/NAME`` → one object, with errors that say what to type instead.

A kind that is not known may still be stored (a custom resource seen once): then its word is tried as the plural name
of a resource. Which object is meant is decided by what is stored, so deleted ones are found as well.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from kubeweft.model.errors import UserError
from kubeweft.model.kinds import guess_resource
from kubeweft.model.references import ObjectKey, ResourceType, group_resource
from kubeweft.store.interfaces import FoundObject, ObjectQuery, SpanReader

Resources = tuple[tuple[str | None, str], ...]
"""API groups (None for any) and plural names."""

CANDIDATES = 20
NAMES_COMPARED = 2000


class KindLookup(Protocol):
    """What kubectl's words for kinds mean; :class:`kubeweft.model.kinds.Kinds` is one."""

    def lookup(self, word: str) -> list[ResourceType]:
        """All resource types that a kind, plural, singular or short name can mean, in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An object as somebody named it; an empty cluster or namespace leaves it open."""

    kind: str
    name: str
    namespace: str = ""
    cluster: str = ""


class Hints(NamedTuple):
    """How messages tell whoever asks to write a namespace and a cluster, and to see what there is."""

    namespace: str = "-n "
    cluster: str = "--cluster "
    listing: str = "`kubeweft search` lists what there is"


TYPED: Final = Hints()


def parse_argument(words: Sequence[str]) -> tuple[str, str]:
    """Kind and name from ``deploy/demo`` or ``deploy demo``; raises ``UserError``."""
    parts = words[0].split("/") if len(words) == 1 else list(words)
    if len(words) == 1 and len(parts) == 3 and all(parts):
        raise UserError(f"'{words[0]}' names a namespace too: write {parts[0]}/{parts[2]} -n {parts[1]}")
    if len(parts) != 2 or not all(parts):
        raise UserError(
            f"'{' '.join(words)}' names no object: write KIND/NAME, for example deployment/demo or pod demo-1"
        )
    return parts[0], parts[1]


def resources_of(kind: str, kinds: KindLookup) -> Resources:
    """Groups and plural names that a word for a kind can mean; unknown words may be a plural or a kind."""
    known = kinds.lookup(kind)
    if known:
        return tuple(dict.fromkeys((t.group, t.resource) for t in known))
    word, _, group = kind.lower().partition(".")
    return (group or None, word), (group or None, guess_resource(word))


def resolve(reader: SpanReader, kinds: KindLookup, wanted: Wanted, *, hints: Hints = TYPED) -> ObjectKey:
    """The one stored object that is meant; raises ``UserError`` if there is none or more than one."""
    resources = resources_of(wanted.kind, kinds)
    keys = _candidates(reader, resources, wanted)
    if not keys:
        raise UserError(_not_found(reader, resources, wanted, hints))
    if len(keys) > 1:
        raise UserError(_ambiguous(keys, wanted, hints))
    return keys[0]


def _candidates(reader: SpanReader, resources: Resources, wanted: Wanted) -> list[ObjectKey]:
    """What fits; cluster-scoped objects fit any namespace, because nobody takes ``-n`` away for them."""
    query = ObjectQuery(
        cluster=wanted.cluster,
        resources=resources,
        namespace=wanted.namespace,
        name=wanted.name,
        limit=CANDIDATES,
    )
    found = reader.find_objects(query)
    if not found and wanted.namespace:
        found = reader.find_objects(dataclasses.replace(query, namespace=""))
        found = [item for item in found if not item.key.namespace]
    return sorted({item.key for item in found})


def _ambiguous(keys: Sequence[ObjectKey], wanted: Wanted, hints: Hints) -> str:
    argument = f"{wanted.kind}/{wanted.name}"
    if len({key.cluster for key in keys}) > 1:
        clusters = ", ".join(sorted({key.cluster for key in keys}))
        return f"{argument} is known in several clusters: add {hints.cluster.rstrip()}, one of {clusters}"
    if len({key[1:3] for key in keys}) > 1:
        names = ", ".join(sorted({f"{group_resource(k.group, k.resource)}/{k.name}" for k in keys}))
        return f"'{wanted.kind}' can mean several resources: write one of {names}"
    if len({key.namespace for key in keys}) > 1:
        namespaces = ", ".join(sorted({key.namespace for key in keys}))
        return (
            f"{argument} is known in several namespaces: add {hints.namespace.rstrip()}, one of {namespaces}"
        )
    names = ", ".join(sorted(key.name for key in keys))
    return f"{argument} fits several objects: write one of {names}"


def _not_found(reader: SpanReader, resources: Resources, wanted: Wanted, hints: Hints) -> str:
    place = f" in namespace {wanted.namespace}" if wanted.namespace else ""
    place += f" of cluster {wanted.cluster}" if wanted.cluster else ""
    message = f"nothing is stored about {wanted.kind}/{wanted.name}{place}"
    clusters = reader.clusters()
    if not clusters:
        return f"{message}: the store is empty"
    if wanted.cluster and wanted.cluster not in clusters:
        return f"{message}: there is no such cluster, but {', '.join(sorted(clusters))}"
    elsewhere = reader.find_objects(ObjectQuery(resources=resources, name=wanted.name, limit=CANDIDATES))
    if elsewhere:
        places = sorted({_place_of(found, hints) for found in elsewhere})
        return f"{message}, but there is one with {' or '.join(places)}"
    stored = reader.find_objects(ObjectQuery(resources=resources, limit=NAMES_COMPARED))
    if not stored:
        return f"{message}: no object of that kind is; {hints.listing}"
    return f"{message}{_nearest(stored, wanted, hints)}"


def _place_of(found: FoundObject, hints: Hints) -> str:
    namespace = f"{hints.namespace}{found.key.namespace} " if found.key.namespace else ""
    return f"{namespace}{hints.cluster}{found.key.cluster}"


def _nearest(stored: Sequence[FoundObject], wanted: Wanted, hints: Hints) -> str:
    names = sorted({found.key.name for found in stored})
    near = difflib.get_close_matches(wanted.name, names, n=3, cutoff=0.5)
    near = near or [name for name in names if wanted.name in name][:3]
    return f": did you mean {' or '.join(near)}?" if near else f"; {hints.listing}"
