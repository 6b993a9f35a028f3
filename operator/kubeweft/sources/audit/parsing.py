"""From audit events to requests on objects (and to Kubernetes Events, where one was written). Pure.

Nothing in an audit event is taken for granted: every field may be missing, and a client chooses the audit ID, the user
agent and, on a create, the object's name and UID. What cannot be a request on an object is counted, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from kubeweft.model.errors import BadInput
from kubeweft.model.observations import EventSeen, Request
from kubeweft.model.references import ObjectKey
from kubeweft.model.timestamps import parse_timestamp
from kubeweft.sources.audit import trust
from kubeweft.sources.audit.bodies import body_seen, removal_seen
from kubeweft.sources.audit.decoding import Decoded, EventDecoder, raw_events, read_events, response_body
from kubeweft.sources.audit.parsed import Parsed, Tally
from kubeweft.sources.audit.requesting import MOST_REMEMBERED, RequestMaker, RequestRedactor, is_dry_run
from kubeweft.sources.audit.trust import Answer, read_answer, succeeded, type_shown
from kubeweft.sources.audit.wire import ObjectReference, RawEvent, ReadEvent, ResponseObject
from kubeweft.sources.events import parsing as events
from kubeweft.sources.events.parsing import LATEST, EventReader, is_name
from kubeweft.sources.events.pending import Pending

FINAL_STAGES: Final = frozenset({"ResponseComplete", "Panic"})  # of every request one of these comes last
SLICE: Final = 400  # the default batch of an API server: a few milliseconds of work
NO_TIME: Final = "it has no time"
EVENT_GROUPS: Final = frozenset({"", "events.k8s.io"})
EVENT_WRITES: Final = frozenset({"create", "update", "patch"})

Shape = ReadEvent | RawEvent


class KindTable(events.KindTable, trust.KindTable, Protocol):
    """What has to be known about kinds; :class:`kubeweft.model.kinds.Kinds` is one."""


class WantsRequest(Protocol):
    """Whether requests of a user with a verb on objects of a type in a namespace are wanted.

    Asked once for each such combination, with a key that has no name.
    """

    def __call__(self, key: ObjectKey, *, verb: str, user: str) -> bool:
        """:meth:`kubeweft.model.plan.Plan.wants_request` is one."""


class SelectsRequest(Protocol):
    """Whether one request is wanted, by the object it is about: asked for each that ``WantsRequest`` wants."""

    def __call__(self, key: ObjectKey, *, verb: str, user: str) -> bool:
        """:meth:`kubeweft.sources.objects.choosing.Chooser.wants_request` is one."""


class _Caller(NamedTuple):
    """What is remembered about a combination of type, namespace, verb and user."""

    collection: ObjectKey
    possible: bool
    wanted: bool


class AuditParser:
    """Parses the audit log of one cluster under the rules of one plan; a changed plan takes a new parser."""

    def __init__(
        self,
        *,
        cluster: str,
        kinds: KindTable,
        redactor: RequestRedactor,
        wants_request: WantsRequest,
        wants_event: Callable[[ObjectKey], bool],
        selects_request: SelectsRequest | None = None,
        with_bodies: bool = False,
        learn_kinds: bool = False,
    ) -> None:
        """``with_bodies`` also gives the objects in trusted answers; ``learn_kinds`` teaches ``kinds`` from them.

        ``selects_request`` is needed only where policies look into objects.
        """
        self._cluster = cluster
        self._kinds = kinds
        self._maker = RequestMaker(redactor)
        self._event_reader = EventReader(cluster, kinds=kinds, redactor=redactor)
        self._wants_request = wants_request
        self._wants_event = wants_event
        self._selects_request = selects_request
        self._with_bodies = with_bodies
        self._decoder: EventDecoder[RawEvent] | EventDecoder[ReadEvent] = (
            raw_events if with_bodies else read_events
        )
        self._learn_kinds = learn_kinds
        self._callers: dict[tuple[str, str, str, str, str], _Caller] = {}

    def parse(self, body: bytes) -> Parsed:
        """All audit events of an ``EventList``. Raises ``BadInput`` if it is none."""
        tally = Tally()
        self._add(self._decoder.decode(body), tally)
        return tally.result()

    def decode_fast(self, body: bytes) -> Decoded | None:
        """The first half of ``parse``; None if the body has to be decoded with care. Raises ``BadInput``."""
        return self._decoder.decode_fast(body)

    def decode_carefully(self, body: bytes) -> Decoded:
        """The first half of ``parse`` for what breaks the decoder; may run in a thread. Raises ``BadInput``."""
        return self._decoder.decode_carefully(body)

    def slices(self, decoded: Decoded, *, size: int = SLICE) -> Iterator[Parsed]:
        """The second half of ``parse`` in slices of ``size`` events, so that others can work in between."""
        bad = decoded.bad
        for start in range(0, len(decoded.events) or 1, size):
            tally = Tally()
            self._add(Decoded(decoded.events[start : start + size], bad), tally)
            yield tally.result()
            bad = ()

    def add_line(self, line: bytes, tally: Tally) -> None:
        """Add the audit event of one line of a log. Raises ``BadInput`` if it is none."""
        self._add(self._decoder.decode_line(line), tally)

    def ready(self, pending: Pending) -> Sequence[EventSeen]:
        """The Kubernetes Events kept aside whose kind is known by now, wanted or not."""
        return pending.ready(self._event_reader)

    def wanted(self, seen: Iterable[EventSeen]) -> list[EventSeen]:
        """Those about objects whose Events are wanted."""
        return [event for event in seen if self._wants_event(event.key)]

    def _add(self, decoded: Decoded, tally: Tally) -> None:
        tally.bad.extend(decoded.bad)
        for event in decoded.events:
            self._take(event, tally)

    def _take(self, event: Shape, tally: Tally) -> None:
        reference = event.object_ref
        if event.stage not in FINAL_STAGES or reference is None or not reference.resource:
            tally.ignored += 1
            return
        received = parse_timestamp(event.request_received_timestamp or "")
        if not 0 < received <= LATEST:
            tally.bad.append(NO_TIME)
            return
        completed = parse_timestamp(event.stage_timestamp or "")
        if not received <= completed <= LATEST:  # unknown, or the clock was set back meanwhile
            completed = received
        if completed > tally.last_time:
            tally.last_time = completed
        body = response_body(event)
        if (
            reference.resource == "events"
            and _is_event_written(event, reference)
            and self._take_event(body, tally)
        ):
            return
        group, namespace, verb = reference.api_group or "", reference.namespace or "", event.verb or ""
        user = (event.user.username if event.user is not None else None) or ""
        question = (group, reference.resource, namespace, verb, user)
        caller = self._callers.get(question) or self._find_out(*question)
        if caller.wanted:
            request = self._request(event, reference, body, caller, received, completed, tally)
            select = self._selects_request
            if select is None or select(request.key, verb=verb, user=user):
                tally.observations.append(request)
            else:
                tally.omitted += 1
        elif caller.possible:
            tally.omitted += 1
        else:
            tally.ignored += 1

    def _take_event(self, body: ResponseObject | None, tally: Tally) -> bool:
        """Whether the body was a Kubernetes Event; if not, it is a request like any other."""
        try:
            seen = self._event_reader.read(body)
        except BadInput:
            return False
        if not isinstance(seen, EventSeen):
            tally.unresolved.append(seen)
        elif self._wants_event(seen.key):
            tally.observations.append(seen)
        else:
            tally.omitted += 1
        return True

    def _request(
        self,
        event: Shape,
        reference: ObjectReference,
        body: ResponseObject | None,
        caller: _Caller,
        received: int,
        completed: int,
        tally: Tally,
    ) -> Request:
        answer = read_answer(event, reference, body, caller.collection.namespace, self._kinds)
        if answer is None:
            tally.untrusted += 1
            answer = trust.NOTHING
        uri = self._maker.uri(event, reference)
        dry_run = is_dry_run(event, uri)
        if dry_run:
            answer = _of_dry_run(event, answer)
        key = _key(event, reference, caller.collection, answer)
        request = self._maker.make(event, reference, key, answer, uri, received, completed, dry_run)
        if answer.uid and not dry_run and (self._with_bodies or self._learn_kinds):
            self._use_answer(event, reference, body, request, answer, tally)
        return request

    def _use_answer(
        self,
        event: Shape,
        reference: ObjectReference,
        body: ResponseObject | None,
        request: Request,
        answer: Answer,
        tally: Tally,
    ) -> None:
        if not answer.kind:
            if self._with_bodies and request.verb == "delete" and not answer.version:
                tally.bodies.append(removal_seen(request))
            return
        if self._learn_kinds and self._kinds.kind_of(request.key.group, request.key.resource) is None:
            self._kinds.learn(type_shown(answer, reference, namespaced=bool(request.key.namespace)))
        if body is not None and isinstance(event, RawEvent):
            tally.bodies.append(body_seen(request, body, event.response_object))

    def _find_out(self, group: str, resource: str, namespace: str, verb: str, user: str) -> _Caller:
        # A request on a Namespace gives the object's own name as its namespace.
        inside = "" if (group, resource) == ("", "namespaces") else namespace
        key = ObjectKey(self._cluster, group, resource, inside, "")
        possible = all(is_name(part) for part in (resource, group, inside) if part)
        wanted = possible and self._wants_request(key, verb=verb, user=user)
        caller = _Caller(key, possible, wanted)
        if len(self._callers) >= MOST_REMEMBERED:
            self._callers.clear()
        self._callers[group, resource, namespace, verb, user] = caller
        return caller


def _is_event_written(event: Shape, reference: ObjectReference) -> bool:
    return (
        event.verb in EVENT_WRITES
        and (reference.api_group or "") in EVENT_GROUPS
        and succeeded(event)
        and "dryRun=" not in (event.request_uri or "")
    )


def _of_dry_run(event: Shape, answer: Answer) -> Answer:
    """The version was there before, and an object that would be created never exists under this UID."""
    if event.verb == "create":
        return trust.NOTHING
    return Answer(answer.name, answer.uid, "", answer.kind, answer.api_version)


def _key(event: Shape, reference: ObjectReference, collection: ObjectKey, answer: Answer) -> ObjectKey:
    """The object, or its collection where no single object is meant or known (``generateName`` without a body)."""
    name = answer.name or reference.name
    if not name or event.verb == "deletecollection" or not (answer.name or is_name(name)):
        return collection
    cluster, group, resource, namespace, _ = collection
    return ObjectKey(cluster, group, resource, namespace, name)
