"""What to trace and how, compiled from all policies: the one value that steers the running data path.

A plan is immutable. A changed policy makes a new plan; the data path takes it up between two batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from pydantic_core import SchemaError, SchemaValidator, core_schema

from kubeweft.model.errors import BadInput
from kubeweft.model.references import ObjectKey
from kubeweft.model.rules import LinkRule
from kubeweft.model.selectors import EVERYTHING, LabelSelector, MatchCondition, ResourcePattern

READ_ONLY_VERBS = frozenset({"get", "list", "watch"})
AuditInlet = Literal["Webhook", "LogFile"]
NAMESPACES = ("", "namespaces")


@dataclass(frozen=True, slots=True)
class Scope:
    """What one policy selects and which sources it wants for it.

    No ``clusters`` means all. ``inlets`` are the ways by which audited requests may come. ``metadata_only`` says that
    of watched objects nothing but their metadata is wanted.
    """

    policy: str
    clusters: frozenset[str] = frozenset()
    resources: tuple[ResourcePattern, ...] = (EVERYTHING,)
    excluded: tuple[ResourcePattern, ...] = ()
    namespaces: frozenset[str] = frozenset()
    excluded_namespaces: frozenset[str] = frozenset()
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    conditions: tuple[MatchCondition, ...] = ()
    objects: bool = True
    metadata_only: bool = False
    audit: bool = True
    inlets: frozenset[AuditInlet] = frozenset({"Webhook", "LogFile"})
    events: bool = True
    omit_users: frozenset[str] = frozenset()
    omit_read_only: bool = True

    def selects_type(self, group: str, resource: str) -> bool:
        """Whether objects of this type can be selected at all."""
        return any(p.matches(group, resource) for p in self.resources) and not any(
            p.matches(group, resource) for p in self.excluded
        )

    def selects_cluster(self, cluster: str) -> bool:
        """Whether anything in this cluster can be selected."""
        return not self.clusters or cluster in self.clusters

    @property
    def looks_into_objects(self) -> bool:
        """Whether type and namespace are not enough to decide: labels or expressions have a say."""
        return bool(self.namespace_selector or self.object_selector or self.conditions)

    def selects_namespace(self, namespace: str) -> bool:
        """Whether a namespace is selected. Cluster-scoped objects are, unless namespaces are listed."""
        if self.namespaces and namespace not in self.namespaces:
            return False
        return namespace not in self.excluded_namespaces

    def selects_request(self, *, verb: str, user: str) -> bool:
        """Whether a request on a selected object is wanted, by what it does and who sent it."""
        return user not in self.omit_users and not (self.omit_read_only and verb in READ_ONLY_VERBS)

    def wants_source(self, source: str) -> bool:
        """Whether spans of this source are wanted: object, link and gap spans belong to every source."""
        return {"request": self.audit, "change": self.objects, "event": self.events}.get(source, True)


class ValuePattern:
    """A regular expression in RE2's syntax: a text in which it is found anywhere is secret as a whole.

    Searching takes time linear in the text, whatever the pattern: it is the Rust engine that comes with pydantic,
    because the texts are written by anybody and Python's ``re`` can be made to run for hours.
    """

    __slots__ = ("_validator", "pattern")

    def __init__(self, pattern: str) -> None:
        """Raises ``BadInput`` if the pattern is none, or needs more memory than is good."""
        self.pattern = pattern
        try:
            self._validator = SchemaValidator(
                core_schema.str_schema(pattern=pattern, strict=True, regex_engine="rust-regex")
            )
        except SchemaError as error:
            raise BadInput(_reason_of(error)) from None

    def search(self, text: str) -> bool:
        """Whether the pattern is found anywhere in the text."""
        if self._validator.isinstance_python(text):
            return True
        return not text.isascii() and self._validator.isinstance_python(_encodable(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValuePattern) and other.pattern == self.pattern

    def __hash__(self) -> int:
        return hash(self.pattern)

    def __repr__(self) -> str:
        return f"ValuePattern({self.pattern!r})"


def _encodable(text: str) -> str:
    """Lone surrogates replaced: the engine finds nothing in a text that holds one."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _reason_of(error: SchemaError) -> str:
    """The engine's last line says what is wrong; the lines before draw where."""
    return str(error).rsplit("error: ", 1)[-1].rsplit("SchemaError: ", 1)[-1].strip()


@dataclass(frozen=True, slots=True)
class FieldRedaction:
    """One field that never leaves: a path of keys (``*`` over lists) on some resource types."""

    path: tuple[str, ...]
    digest: bool
    resources: tuple[ResourcePattern, ...] = (EVERYTHING,)


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is taken out of objects on top of the built-in rules; several policies add up, the strictest wins."""

    digest_secrets: bool = False
    user_identity: str = "Keep"
    annotation_keys: frozenset[str] = frozenset()
    fields: tuple[FieldRedaction, ...] = ()
    patterns: tuple[ValuePattern, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How much of the selected spans goes to a receiver: a share of whole trees, and at most so many a second.

    ``keep_errors`` sends trees with a failed request or a Warning Event in any case. ``spans_per_second`` 0: no cap.
    """

    percent: int = 100
    keep_errors: bool = True
    spans_per_second: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long spans stay in the embedded store, in seconds, and how large it may grow, in bytes; 0 is no limit."""

    max_age: float = 0.0
    max_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedCluster:
    """A cluster that is not the local one. ``kubeconfig`` and ``audit_token`` are secret: never log them.

    ``audit_token`` is the bearer token by which its API servers are known at the audit webhook; empty: none.
    """

    name: str
    kubeconfig: bytes = field(repr=False)
    context: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    audit_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Exporter:
    """One OTLP receiver, and what of the spans it gets (no scopes: all). ``headers`` are secret: never log them.

    ``endpoint`` is ``host:port`` for GRPC and a URL for HTTPProtobuf; ``timeout`` is in seconds.
    """

    name: str
    endpoint: str
    protocol: str = "GRPC"
    gzip: bool = True
    timeout: float = 10.0
    insecure: bool = True
    verify: bool = True
    ca: bytes = b""
    client_certificate: bytes = b""
    client_key: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    scopes: tuple[Scope, ...] = ()
    sampling: Sampling = Sampling()

    _decisions: dict[tuple[str, str, str, str, str], tuple[Scope, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def wants_span(
        self,
        key: ObjectKey,
        source: str,
        *,
        verb: str = "",
        user: str = "",
        is_chosen: Callable[[Scope, ObjectKey], bool] | None = None,
    ) -> bool:
        """Whether a span goes to this receiver; verb and user are those of a request span.

        ``is_chosen`` decides for scopes that look into objects; without it type and namespace are enough.
        """
        if not self.scopes:
            return True
        scopes = self._scopes_of((source, key.cluster, key.group, key.resource, key.namespace))
        if is_chosen is not None:
            scopes = tuple(s for s in scopes if not s.looks_into_objects or is_chosen(s, key))
        if source != "request":
            return bool(scopes)
        return any(s.selects_request(verb=verb, user=user) for s in scopes)

    def _scopes_of(self, question: tuple[str, str, str, str, str]) -> tuple[Scope, ...]:
        known = self._decisions.get(question)
        if known is None:
            source, cluster, group, resource, namespace = question
            known = tuple(
                s
                for s in self.scopes
                if s.wants_source(source)
                and s.selects_cluster(cluster)
                and s.selects_type(group, resource)
                and s.selects_namespace(namespace)
            )
            _remember(self._decisions, question, known)
        return known


@dataclass(frozen=True)
class Plan:
    """The union of all policies in force. ``scopes`` empty means: trace nothing.

    ``labels`` are those of the local cluster, or of the one cluster that this is the part of. ``waiting_exporters`` are
    the names of those that cannot be made now, because of a Secret: their spans are kept. ``audited`` are the clusters
    that policies give a token for the audit webhook, whether it is there or not: each with whether a Secret of it has
    not been read yet.
    """

    scopes: tuple[Scope, ...] = (Scope(policy=""),)
    ignore_paths: frozenset[tuple[str, ...]] = frozenset()
    max_patch_bytes: int = 16384
    redaction: Redaction = Redaction()
    exporters: tuple[Exporter, ...] = ()
    waiting_exporters: tuple[str, ...] = ()
    rules: tuple[LinkRule, ...] = ()
    clusters: tuple[JoinedCluster, ...] = ()
    audited: tuple[tuple[str, bool], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    retention: Retention = Retention()

    def of_cluster(self, cluster: str) -> Plan:
        """The part of the plan that one cluster is watched and audited by."""
        joined = {one.name: one.labels for one in self.clusters}
        scopes = tuple(s for s in self.scopes if s.selects_cluster(cluster))
        return replace(self, scopes=scopes, clusters=(), audited=(), labels=joined.get(cluster, self.labels))

    def wants_type(self, group: str, resource: str) -> bool:
        """Whether the objects of this type are watched: also where only their labels have a say about others."""
        if (group, resource) == NAMESPACES and self.reads_namespaces:
            return True
        return any(s.objects and s.selects_type(group, resource) for s in self.scopes)

    def wants_metadata_only(self, group: str, resource: str) -> bool:
        """Whether nothing but the metadata of this type's objects is wanted by anybody."""
        known = self._metadata_only.get((group, resource))
        if known is None:
            known = self._decide_metadata_only(group, resource)
            _remember(self._metadata_only, (group, resource), known)
        return known

    def _decide_metadata_only(self, group: str, resource: str) -> bool:
        scopes = [s for s in self.scopes if s.objects and s.selects_type(group, resource)]
        if (group, resource) == NAMESPACES and self.reads_namespaces and not scopes:
            return True
        return bool(scopes) and all(s.metadata_only for s in scopes)

    @property
    def reads_namespaces(self) -> bool:
        """Whether a policy or a rule looks at the namespaces that objects live in."""
        return any(s.namespace_selector or s.conditions for s in self.scopes) or any(
            r.source.namespace_selector for r in self.rules
        )

    def wants_object(self, key: ObjectKey) -> bool:
        """Whether changes of this object become spans."""
        return self._decide(("objects", key.group, key.resource, key.namespace))

    def wants_event(self, key: ObjectKey) -> bool:
        """Whether Kubernetes Events about this object become spans."""
        return self._decide(("events", key.group, key.resource, key.namespace))

    def wants_request(self, key: ObjectKey, *, verb: str, user: str, inlet: AuditInlet | None = None) -> bool:
        """Whether this audited request becomes a span; ``inlet`` is the way it came by, None counts as any."""
        return any(
            s.selects_request(verb=verb, user=user) and (inlet is None or inlet in s.inlets)
            for s in self._audit_scopes((key.group, key.resource, key.namespace))
        )

    @property
    def wants_events(self) -> bool:
        """Whether Kubernetes Events have to be watched at all."""
        return any(s.events for s in self.scopes)

    @property
    def wants_audit(self) -> bool:
        """Whether the audit webhook has anything to do."""
        return any(s.audit for s in self.scopes)

    @functools.cached_property
    def _decisions(self) -> dict[tuple[str, str, str, str], bool]:
        return {}

    @functools.cached_property
    def _metadata_only(self) -> dict[tuple[str, str], bool]:
        return {}

    @functools.cached_property
    def _audit_decisions(self) -> dict[tuple[str, str, str], tuple[Scope, ...]]:
        return {}

    def _decide(self, question: tuple[str, str, str, str]) -> bool:
        known = self._decisions.get(question)
        if known is None:
            source, group, resource, namespace = question
            known = any(
                getattr(s, source) and s.selects_type(group, resource) and s.selects_namespace(namespace)
                for s in self.scopes
            )
            _remember(self._decisions, question, known)
        return known

    def _audit_scopes(self, question: tuple[str, str, str]) -> tuple[Scope, ...]:
        known = self._audit_decisions.get(question)
        if known is None:
            group, resource, namespace = question
            known = tuple(
                s
                for s in self.scopes
                if s.audit and s.selects_type(group, resource) and s.selects_namespace(namespace)
            )
            _remember(self._audit_decisions, question, known)
        return known


Question = TypeVar("Question")
Answer = TypeVar("Answer")
MOST_DECISIONS = 10_000  # namespaces come from outside: what is remembered about them has to be bounded


def _remember(decisions: dict[Question, Answer], question: Question, answer: Answer) -> None:
    if len(decisions) >= MOST_DECISIONS:
        decisions.clear()
    decisions[question] = answer
