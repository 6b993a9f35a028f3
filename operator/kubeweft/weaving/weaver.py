"""The weaver: observations in, spans out, in any order and any number of times.

It remembers only what it may forget: which object spans and links it has written lately (so as not to repeat them)
and who owns whom. The spans of an observation do not depend on what came before it; only the moment at which an
object span or a link is first written does.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubeweft.links.owners import KindTable, Parent, parent_of
from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Change, EventSeen, Gap, Known, Observation, Related, Request
from kubeweft.model.references import ObjectKey, OwnerReference
from kubeweft.model.relations import INVERSE, Relation
from kubeweft.model.spans import Attributes, Span, SpanLink
from kubeweft.weaving.children import change_span, event_span, gap_span, request_span
from kubeweft.weaving.lineage import Lineage, Linked, Step, Touched, Trace

MOST_WAITING = 100_000
PRUNE_EVERY = 50_000
OWNER_RULE = "owner"  # the name under which owner references are followed without any rule
SAME_TRACE = "SameTrace"


class Weaver:
    """Weaves the observations of any number of clusters; not thread-safe, and never waits."""

    def __init__(self, *, window_length: int, kinds: KindTable, forgets: bool = True) -> None:
        """``window_length`` is in nanoseconds, and the same in the whole installation.

        One that never ``forgets`` is right where what is learned of an object last belongs to all of its windows.
        """
        self._length = window_length
        self._kinds = kinds
        self._lineage = Lineage(window_length=window_length)
        self._waiting: dict[tuple[ObjectKey, OwnerReference], None] = {}
        self._since_prune = 0
        self._forgets = forgets
        self.links_unresolved = 0

    def weave(self, observations: Iterable[Observation]) -> list[Span]:
        """All spans that these observations make, object spans before their children."""
        spans: list[Span] = []
        for observation in observations:
            self._weave_one(observation, spans)
            self._since_prune += 1
        if self._forgets and self._since_prune >= PRUNE_EVERY:
            self._since_prune = 0
            self.prune()
        return spans

    def kinds_learned(self) -> list[Span]:
        """Try again the owners whose kind was unknown; call this after the kinds have grown."""
        spans: list[Span] = []
        for child, owner in list(self._waiting):
            parent = parent_of(child, owner, self._kinds)
            if parent is not None:
                del self._waiting[child, owner]
                self._write(self._lineage.learn(child, owner_relation(parent)), spans)
        return spans

    def know_activity(self, key: ObjectKey, window: int, *, active: bool = True) -> list[Span]:
        """Take up that an object had a trace in a window (from a former run), and whether it was active itself."""
        spans: list[Span] = []
        self._write(self._lineage.touch(key, window, active=active), spans)
        return spans

    def know_parent(self, key: ObjectKey, parent: Parent) -> list[Span]:
        """Take up that an object has a parent (from a former run)."""
        spans: list[Span] = []
        self._write(self._lineage.learn(key, owner_relation(parent)), spans)
        return spans

    def parents_of(self, key: ObjectKey) -> tuple[Parent, ...]:
        """The owners of an object, as far as they are known by now."""
        return tuple(Parent(owner.target, owner.link_class) for owner in self._lineage.owners_of(key))

    def forget_cluster(self, cluster: str) -> None:
        """Forget how the objects of a cluster relate, because nobody watches it any more."""
        self._lineage.forget_cluster(cluster)

    def start_over(self) -> None:
        """What was woven last has not been written: repeat object spans and links with what comes next."""
        self._lineage.forget_activity()

    def prune(self) -> None:
        """Forget what is long over; done by itself now and then."""
        self._lineage.prune()

    @property
    def waiting(self) -> int:
        """How many owners are of a kind that is not known."""
        return len(self._waiting) + self.links_unresolved

    @property
    def size(self) -> int:
        """How many objects are remembered."""
        return self._lineage.size

    def _weave_one(self, observation: Observation, spans: list[Span]) -> None:
        if isinstance(observation, Request):
            trace = self._trace(observation.key, observation.received, spans)
            spans.append(request_span(observation, trace.id, trace.root))
        elif isinstance(observation, Change):
            trace = self._trace(observation.key, observation.time, spans)
            spans.append(change_span(observation, trace.id, trace.root))
            if observation.owners:
                self._learn(observation.key, observation.owners, spans)
            if observation.type == "Deleted":
                self._lineage.object_gone(observation.key)
            else:
                self._lineage.object_lives(observation.key)
        elif isinstance(observation, EventSeen):
            trace = self._trace(observation.key, observation.last, spans)
            spans.append(event_span(observation, trace.id, trace.root))
        elif isinstance(observation, Known):
            self._lineage.object_lives(observation.key)
            self._learn(observation.key, observation.owners, spans)
        elif isinstance(observation, Related):
            window = observation.time - observation.time % self._length
            steps = self._lineage.relate(
                observation.key, observation.relations, window, begins=observation.selected
            )
            self._write(steps, spans)
        else:
            self._weave_gap(observation, spans)

    def _weave_gap(self, gap: Gap, spans: list[Span]) -> None:
        trace = self._trace(gap.key, gap.start, spans)
        spans.append(gap_span(gap, trace.id, trace.root))

    def _trace(self, key: ObjectKey, time: int, spans: list[Span]) -> Trace:
        window = time - time % self._length
        trace = self._lineage.trace_of(key, window)
        if trace is None or not trace.active:
            self._write(self._lineage.touch(key, window), spans)
            trace_id = identity.trace_id(key, window, self._length)
            trace = Trace(trace_id, identity.object_span_id(trace_id))
        return trace

    def _learn(self, key: ObjectKey, owners: tuple[OwnerReference, ...], spans: list[Span]) -> None:
        for owner in owners:
            parent = parent_of(key, owner, self._kinds)
            if parent is not None:
                self._write(self._lineage.learn(key, owner_relation(parent)), spans)
            elif len(self._waiting) < MOST_WAITING:
                self._waiting[key, owner] = None
            else:
                self.links_unresolved += 1

    def _write(self, steps: Iterable[Step], spans: list[Span]) -> None:
        for step in steps:
            if isinstance(step, Touched):
                spans.append(object_span(step, length=self._length))
            else:
                spans.extend(self._both_ends(step))

    def _both_ends(self, linked: Linked) -> tuple[Span, Span]:
        source, relation, window = linked
        there = link_span(source, relation, window, length=self._length, bears=("SourceToTarget", "Both"))
        back = relation._replace(target=source, role=INVERSE[relation.role])
        return there, link_span(
            relation.target, back, window, length=self._length, bears=("TargetToSource", "Both")
        )


def owner_relation(parent: Parent) -> Relation:
    """An owner reference as the relation of the owned object."""
    return Relation(parent.key, "Parent", parent.link_class, OWNER_RULE)


def object_span(touched: Touched, *, length: int) -> Span:
    """The root of a stored trace. It says nothing that another observer of the window might not know."""
    return Span(
        touched.trace.id,
        touched.trace.root,
        b"",
        "object",
        touched.key,
        str(touched.key),
        touched.window,
        touched.window + length,
        {v.WINDOW_SECONDS: length // 1_000_000_000},
    )


def link_span(
    key: ObjectKey, relation: Relation, window: int, *, length: int, bears: tuple[str, ...]
) -> Span:
    """One end of a link: in the trace of ``key``, saying what the target is to it.

    It is an OpenTelemetry span link too if the direction of the relation is one that this end ``bears``.
    """
    target, role, link_class = relation.target, relation.role, relation.link_class
    trace = identity.trace_id(key, window, length)
    attributes: Attributes = {v.LINK_ROLE: role, v.LINK_CLASS: link_class, v.LINK_RULE: relation.rule}
    if relation.same_trace:
        attributes[v.LINK_GROUPING] = SAME_TRACE
    attributes |= {
        v.LINK_CLUSTER: target.cluster,
        v.LINK_GROUP: target.group,
        v.LINK_RESOURCE: target.resource,
        v.LINK_NAMESPACE: target.namespace,
        v.LINK_NAME: target.name,
    }
    return Span(
        trace,
        identity.link_span_id(
            trace,
            target,
            role=role,
            link_class=link_class,
            rule=relation.rule,
            same_trace=relation.same_trace,
        ),
        identity.object_span_id(trace),
        "link",
        key,
        f"{role.lower()} {target}",
        window,
        window,
        attributes,
        _span_links(target, relation, window, length=length) if relation.direction in bears else (),
    )


def _span_links(target: ObjectKey, relation: Relation, window: int, *, length: int) -> tuple[SpanLink, ...]:
    trace = identity.trace_id(target, window, length)
    attributes: Attributes = {v.LINK_ROLE: relation.role, v.LINK_CLASS: relation.link_class}
    return (SpanLink(trace, identity.object_span_id(trace), attributes),)
