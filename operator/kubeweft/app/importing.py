"""``kubeweft import``: audit logs from files into the store, no cluster needed.

Two passes. While reading, every line becomes request and Event spans, and trusted response bodies are kept (redacted).
At the end the versions of each object are compared in their order, and every window of an object is linked to its
owners, whatever the order of the lines, and of the files: importing twice, or in another order, comes to the same.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kubeweft.links.owners import Parent
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import EventSeen, Request
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.spans import Span
from kubeweft.sources.audit.bodies import BodySeen
from kubeweft.sources.audit.files import Line
from kubeweft.sources.audit.importing import Imported, parse_lines
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.events.pending import Pending
from kubeweft.sources.objects.audited import changes_of, kept_body
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.interfaces import AuditVersion, Batch, ObjectQuery
from kubeweft.store.sqlite import SqliteStore
from kubeweft.weaving.weaver import Weaver

OBJECTS_AT_ONCE = 200
ALWAYS = 2**63 - 1


@dataclass(slots=True)
class Report:
    """What an import has done so far.

    ``bad`` counts reasons, ``first_bad`` tells the input and the line where each was met first. ``unresolved`` Events
    and ``unlinked`` owners are of kinds that nothing tells.
    """

    lines: int = 0
    requests: int = 0
    events: int = 0
    changes: int = 0
    ignored: int = 0
    new_spans: int = 0
    objects: int = 0
    unresolved: int = 0
    unlinked: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    first_bad: dict[str, tuple[str, int]] = field(default_factory=dict)


class Importer:
    """Imports lines of one cluster's audit log into one store."""

    def __init__(self, store: SqliteStore, *, cluster: str, window_length: int) -> None:
        """``window_length`` is in nanoseconds; it has to be the installation's."""
        self._store = store
        self._cluster = cluster
        self._length = window_length
        plan = Plan()
        self._rules = Rules(plan=plan, redactor=Redactor(plan.redaction, store.install_key))
        self._kinds = kinds_in(store)
        self._pending = Pending()
        self._weaver = Weaver(window_length=window_length, kinds=self._kinds, forgets=False)
        self._active: dict[ObjectKey, set[str]] = {}  # with the UIDs of those whose bodies were seen
        self._parser = AuditParser(
            cluster=cluster,
            kinds=self._kinds,
            redactor=self._rules.redactor,
            wants_request=plan.wants_request,
            wants_event=plan.wants_event,
            with_bodies=True,
            learn_kinds=True,
        )
        self.report = Report()

    def read(self, lines: Iterable[Line], *, source: str = "") -> None:
        """Take lines; what they say is durable when this returns, but for the changes. ``source`` names the input."""
        for imported in parse_lines(self._counted(lines), self._parser):
            self._count(imported, source)
            parsed = imported.parsed
            self._pending.keep(parsed.unresolved)
            spans = self._weave(parsed.observations)
            self._write(Batch(spans=spans, audit_versions=list(self._versions(parsed.bodies))))

    def finish(self, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Report:
        """Compare the versions of all objects that were active, and link them; gives the whole report."""
        late = self._parser.ready(self._pending)
        self.report.events += len(late)
        self.report.unresolved = len(self._pending) + self._pending.dropped
        self._write(Batch(spans=[*self._weave(late), *self._weaver.kinds_learned()]))
        self.report.objects = sum(map(len, self._active.values()))
        waiting = deque(self._active)
        met = set(waiting)
        while waiting:
            spans: list[Span] = []
            stale: list[tuple[bytes, bytes]] = []
            for _ in range(min(OBJECTS_AT_ONCE, len(waiting))):
                key = waiting.popleft()
                self._settle(key, spans, stale)
                above = [p.key for p in self._weaver.parents_of(key) if p.key not in met]
                waiting.extend(above)
                met.update(above)
            self._write(Batch(spans=spans, removed=stale))
            progress(len(met) - len(waiting), len(met))
        self.report.unlinked = self._weaver.waiting
        return self.report

    def _counted(self, lines: Iterable[Line]) -> Iterator[Line]:
        for line in lines:
            self.report.lines += 1
            yield line

    def _count(self, imported: Imported, source: str) -> None:
        parsed = imported.parsed
        requests = sum(1 for o in parsed.observations if isinstance(o, Request))
        self.report.requests += requests
        self.report.events += len(parsed.observations) - requests
        self.report.ignored += parsed.ignored + parsed.omitted
        for problem in imported.problems:
            self.report.bad[problem.reason] += 1
            self.report.first_bad.setdefault(problem.reason, (source, problem.line))

    def _weave(self, observations: Sequence[Request | EventSeen]) -> list[Span]:
        for observation in observations:
            if observation.key.name:
                self._active.setdefault(observation.key, set())
        return self._weaver.weave(observations)

    def _versions(self, bodies: Sequence[BodySeen]) -> Iterator[AuditVersion]:
        for seen in bodies:
            key = seen.key
            body = self._kept(seen) if seen.body else b""
            if body is None:
                continue
            self._active.setdefault(key, set()).add(seen.uid)
            yield AuditVersion(
                cluster=self._cluster,
                group=key.group,
                resource=key.resource,
                namespace=key.namespace,
                name=key.name,
                uid=seen.uid,
                version=seen.version,
                time=seen.request.received,
                created=seen.request.verb == "create",
                deleted=seen.deleted,
                kind=seen.kind,
                api_version=seen.api_version,
                body=body,
            )

    def _kept(self, seen: BodySeen) -> bytes | None:
        return kept_body(
            seen.body,
            resource=seen.key.resource,
            kind=seen.kind,
            api_version=seen.api_version,
            rules=self._rules,
        )

    def _settle(self, key: ObjectKey, spans: list[Span], stale: list[tuple[bytes, bytes]]) -> None:
        """Everything about one object that needs all of it: its changes, and the links of all of its windows.

        ``stale`` are changes that were written while less was known: a step that is split now, or a later time.
        """
        windows = self._store.windows_of(key, since=0, until=ALWAYS)
        stored = self._store.spans_of([window.trace_id for window in windows])
        for uid in sorted(self._active.get(key, ())):
            written = [s for s in stored if s.source == "change" and s.attributes.get(v.UID) == uid]
            changed = self._compare(uid, written)
            wanted = {(span.trace_id, span.span_id): span for span in changed}
            stale += [name for s in written if wanted and wanted.get(name := (s.trace_id, s.span_id)) != s]
            spans += changed
        for parent in map(_parent_in, stored):
            if parent is not None:
                spans += self._weaver.know_parent(key, parent)
        for window in windows:
            if window.length == self._length:
                spans += self._weaver.know_activity(key, window.start)

    def _compare(self, uid: str, written: Sequence[Span]) -> list[Span]:
        """The changes of one object; none if a watch has seen it, which knows better."""
        if any(span.attributes.get(v.TIME_SOURCE) != "request" for span in written):
            return []
        versions = self._store.audit_versions(self._cluster, uid)
        changes = list(
            changes_of(versions, window_length=self._length, max_bytes=self._rules.plan.max_patch_bytes)
        )
        self.report.changes += len(changes)
        return self._weaver.weave(changes)

    def _write(self, batch: Batch) -> None:
        if batch.spans or batch.audit_versions or batch.removed:
            self.report.new_spans += self._store.write(batch).added


def kinds_in(store: SqliteStore) -> Kinds:
    """The built-in kinds and those that a store tells of; an object that it holds shows whether they are namespaced."""
    kinds = Kinds()
    for group, resource, kind in store.known_resources():
        if kind and kinds.kind_of(group, resource) is None:
            found = store.find_objects(ObjectQuery(resources=((group, resource),), limit=1))
            kinds.learn(ResourceType(group, "", resource, kind, any(one.key.namespace for one in found)))
    return kinds


def _parent_in(span: Span) -> Parent | None:
    """The owner that a stored link tells of."""
    told = span.attributes
    if span.source != "link" or told.get(v.LINK_ROLE) != "Parent" or told.get(v.LINK_RULE) != "owner":
        return None
    names = (v.LINK_CLUSTER, v.LINK_GROUP, v.LINK_RESOURCE, v.LINK_NAMESPACE, v.LINK_NAME)
    return Parent(ObjectKey(*(str(told[name]) for name in names)), str(told[v.LINK_CLASS]))
