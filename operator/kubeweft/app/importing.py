"""``kubeweft import``: audit logs from files into the store, no cluster needed.

Two passes. While reading, every line becomes request and Event spans, and trusted response bodies are kept (redacted).
At the end the versions of each object that was touched are compared in their order, whatever the order of the lines,
and of the files: importing twice, or in another order, comes to the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from kubeweft.model import vocabulary as v
from kubeweft.model.errors import BadInput
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Request
from kubeweft.model.plan import Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.sources.audit.bodies import BodySeen
from kubeweft.sources.audit.parsed import Parsed
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.events.pending import Pending
from kubeweft.sources.objects.audited import changes_of, kept_body
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.interfaces import AuditVersion, Batch
from kubeweft.store.sqlite import SqliteStore
from kubeweft.weaving.weaver import Weaver

LINES_AT_ONCE = 400
OBJECTS_AT_ONCE = 200
EVENT_LIST = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":['


@dataclass(slots=True)
class Report:
    """What an import has done so far. ``bad`` counts reasons."""

    lines: int = 0
    requests: int = 0
    events: int = 0
    changes: int = 0
    ignored: int = 0
    new_spans: int = 0
    objects: int = 0
    unresolved: int = 0
    bad: Counter[str] = field(default_factory=Counter)


class Importer:
    """Imports lines of one cluster's audit log into one store."""

    def __init__(self, store: SqliteStore, *, cluster: str, window_length: int) -> None:
        """``window_length`` is in nanoseconds; it has to be the installation's."""
        self._store = store
        self._cluster = cluster
        self._length = window_length
        plan = Plan()
        self._rules = Rules(plan=plan, redactor=Redactor(plan.redaction, store.install_key))
        self._kinds = Kinds()
        self._pending = Pending()
        self._weaver = Weaver(window_length=window_length, kinds=self._kinds)
        self._touched: dict[str, ObjectKey] = {}
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

    def read(self, lines: Sequence[bytes]) -> None:
        """Take some lines; what they say is durable when this returns, but for the changes."""
        self.report.lines += len(lines)
        for parsed in self._parse(lines):
            self._count(parsed)
            self._pending.keep(parsed.unresolved)
            spans = self._weaver.weave(parsed.observations)
            self._write(Batch(spans=spans, audit_versions=list(self._versions(parsed.bodies))))

    def finish(self, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Report:
        """Compare the versions of all objects that were touched, and link them; gives the whole report."""
        late = self._parser.ready(self._pending)
        self.report.events += len(late)
        self.report.unresolved = len(self._pending)
        self._write(Batch(spans=self._weaver.weave(late)))
        waiting = iter(self._touched.items())
        done = 0
        while some := list(islice(waiting, OBJECTS_AT_ONCE)):
            for uid, key in some:
                self._compare(uid, key)
            done += len(some)
            progress(done, len(self._touched))
        self._write(Batch(spans=self._weaver.kinds_learned()))
        self.report.objects = len(self._touched)
        return self.report

    def _parse(self, lines: Sequence[bytes]) -> Iterator[Parsed]:
        try:
            yield self._parser.parse(EVENT_LIST + b",".join(lines) + b"]}")
        except BadInput:
            # One line has spoilt the list: read them one by one.
            for line in lines:
                try:
                    yield self._parser.parse(line)
                except BadInput as error:
                    self.report.bad[str(error)] += 1

    def _count(self, parsed: Parsed) -> None:
        requests = sum(1 for o in parsed.observations if isinstance(o, Request))
        self.report.requests += requests
        self.report.events += len(parsed.observations) - requests
        self.report.ignored += parsed.ignored + parsed.omitted
        self.report.bad.update(parsed.bad)

    def _versions(self, bodies: Sequence[BodySeen]) -> Iterator[AuditVersion]:
        for seen in bodies:
            key = seen.key
            body = self._kept(seen) if seen.body else b""
            if body is None:
                continue
            self._touched[seen.uid] = key
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

    def _compare(self, uid: str, key: ObjectKey) -> None:
        """Write the changes of one object, unless a watch has seen them, and drop steps that have been split."""
        versions = self._store.audit_versions(self._cluster, uid)
        written = self._written_changes(key, uid)
        if any(span.attributes.get(v.TIME_SOURCE) != "request" for span in written):
            return
        changes = list(
            changes_of(versions, window_length=self._length, max_bytes=self._rules.plan.max_patch_bytes)
        )
        spans = self._weaver.weave(changes)
        wanted = {(span.trace_id, span.span_id) for span in spans}
        stale = [name for span in written if (name := (span.trace_id, span.span_id)) not in wanted]
        self.report.changes += len(changes)
        self._write(Batch(spans=spans, removed=stale))

    def _written_changes(self, key: ObjectKey, uid: str) -> list[Span]:
        windows = self._store.windows_of(key, since=0, until=2**63 - 1)
        spans = self._store.spans_of([window.trace_id for window in windows])
        return [span for span in spans if span.source == "change" and span.attributes.get(v.UID) == uid]

    def _write(self, batch: Batch) -> None:
        if batch.spans or batch.audit_versions or batch.removed:
            self.report.new_spans += self._store.write(batch).added
