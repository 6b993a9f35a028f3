"""What must be in a store, told by others than the operator: the control plane's audit log and a watch of our own.

Every acknowledged write is one request, every version of an object one change, every state of an Event one event:
no more, no less.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from independent_watch import Line
from kubeweft.model import vocabulary as v
from kubeweft.model.references import group_resource
from kubeweft.model.spans import Span
from kubeweft.store.sqlite_reader import SqliteReader

WRITING = frozenset({"create", "update", "patch", "delete", "deletecollection"})
POLL_SECONDS = 0.05
Json = dict[str, Any]
Version = tuple[str, str, str]  # resource type, UID, resourceVersion
State = tuple[str, int]  # UID of an Event, its count


@dataclass(frozen=True)
class Ledger:
    """What happened to some objects: audit IDs of acknowledged writes, versions, and states of Events."""

    writes: frozenset[str]
    versions: frozenset[Version]
    states: frozenset[State]

    def missing_in(self, spans: Iterable[Span]) -> str:
        """What is not there (yet), in words; empty if everything is."""
        counted = Counted.of(spans)
        absent = {
            "writes": self.writes - counted.requests.keys(),
            "versions": self.versions - counted.changes.keys(),
            "states of Events": self.states - counted.events.keys(),
        }
        return "; ".join(
            f"{len(some)} {what}: {sorted(map(str, some))[:3]}" for what, some in absent.items() if some
        )

    def check(self, spans: Iterable[Span]) -> None:
        """AssertionError unless all of it is there, each exactly once, and no version or state that nobody saw."""
        stored = list(spans)
        assert self.missing_in(stored) == ""
        counted = Counted.of(stored)
        assert {i: n for i, n in counted.requests.items() if i in self.writes and n != 1} == {}
        assert counted.changes == Counter(self.versions)
        assert counted.events == Counter(self.states)


@dataclass(frozen=True)
class Counted:
    """How often each request, version and state is stored."""

    requests: Counter[str]
    changes: Counter[Version]
    events: Counter[State]

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Counted:
        """Sightings are no changes: they are snapshots of versions that a change may tell as well."""
        requests: Counter[str] = Counter()
        changes: Counter[Version] = Counter()
        events: Counter[State] = Counter()
        for span in spans:
            attributes = span.attributes
            if span.source == "request":
                requests[str(attributes[v.AUDIT_ID])] += 1
            elif span.source == "change" and attributes[v.CHANGE_TYPE] != "Sighting":
                resource = group_resource(span.key.group, span.key.resource)
                changes[resource, str(attributes[v.UID]), str(attributes[v.RESOURCE_VERSION])] += 1
            elif span.source == "event":
                events[str(attributes[v.EVENT_UID]), int(attributes[v.EVENT_COUNT])] += 1
        return cls(requests, changes, events)


def make_ledger(audited: Iterable[Json], lines: Sequence[Line]) -> Ledger:
    """From audit entries that are all of interest and watch lines of the same objects."""
    changes = [line for line in lines if line.resource != "events"]
    return Ledger(
        writes=frozenset(event["auditID"] for event in audited if is_acknowledged_write(event)),
        versions=frozenset((line.resource, line.uid, line.version) for line in changes),
        states=frozenset(state_of(line.object) for line in lines if line.resource == "events"),
    )


def state_of(event: Json) -> State:
    """UID and count of a core/v1 Event."""
    count = (event.get("series") or {}).get("count") or event.get("count") or 1
    return event["metadata"]["uid"], count


def audit_entries(audit_log: Path) -> Iterator[Json]:
    """All of it, in order; a last line that is being written is left out."""
    with audit_log.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


def written_in(audit_log: Path, namespace: str, resources: Iterable[str]) -> list[Json]:
    """The entries about objects of these types in one namespace; types as ``deployments.apps``.

    Writes of Events are no requests to us, but Events: do not ask for them.
    """
    wanted = frozenset(resources)
    entries = ((entry, entry.get("objectRef") or {}) for entry in audit_entries(audit_log))
    return [
        entry
        for entry, about in entries
        if about.get("namespace") == namespace
        and group_resource(about.get("apiGroup", ""), about["resource"]) in wanted
    ]


def is_acknowledged_write(entry: Json) -> bool:
    """Whether the API server has said yes to a request that may change something."""
    code = (entry.get("responseStatus") or {}).get("code", 0)
    return entry["stage"] == "ResponseComplete" and entry["verb"] in WRITING and 200 <= code < 300


class StoredSpans:
    """The spans of a store that is being written, of all objects or those in some namespaces; each is read once."""

    def __init__(self, store: Path, *namespaces: str) -> None:
        self._store = store
        self._namespaces = namespaces
        self._position = 0
        self._spans: list[Span] = []

    def now(self) -> list[Span]:
        """All there are, in the order of their arrival."""
        with SqliteReader(self._store) as reader:
            news = reader.spans_after(self._position, limit=1_000_000)
        self._position = news[-1][0] if news else self._position
        self._spans += [s for _, s in news if not self._namespaces or s.key.namespace in self._namespaces]
        return self._spans


def stored_spans(store: Path, *namespaces: str) -> list[Span]:
    """All spans of a store, or those of objects in some namespaces, in the order of their arrival."""
    return StoredSpans(store, *namespaces).now()


def wait_until_stored(
    ledger: Callable[[], Ledger], store: Path, *namespaces: str, seconds: float = 30
) -> None:
    """Wait until a store holds all of a ledger that may still grow; AssertionError that names what is missing."""
    spans = StoredSpans(store, *namespaces)
    limit = time.monotonic() + seconds
    while missing := ledger().missing_in(spans.now()):
        assert time.monotonic() < limit, f"waited {seconds} s for {store.name} to hold {missing}"
        time.sleep(POLL_SECONDS)
