"""What to trace and how, compiled from all policies: the one value that steers the running data path.

A plan is immutable. A changed policy makes a new plan; the data path takes it up between two batches.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic_core import SchemaError, SchemaValidator, core_schema

from kubeweft.model.errors import BadInput
from kubeweft.model.references import ObjectKey

READ_ONLY_VERBS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class ResourcePattern:
    """API groups and plural resource names; ``*`` stands for all."""

    groups: frozenset[str]
    resources: frozenset[str]

    def matches(self, group: str, resource: str) -> bool:
        """Whether the resource type falls under this pattern."""
        return ("*" in self.groups or group in self.groups) and (
            "*" in self.resources or resource in self.resources
        )


EVERYTHING = ResourcePattern(groups=frozenset({"*"}), resources=frozenset({"*"}))


@dataclass(frozen=True, slots=True)
class Scope:
    """What one policy selects and which sources it wants for it."""

    policy: str
    resources: tuple[ResourcePattern, ...] = (EVERYTHING,)
    excluded: tuple[ResourcePattern, ...] = ()
    namespaces: frozenset[str] = frozenset()
    excluded_namespaces: frozenset[str] = frozenset()
    objects: bool = True
    audit: bool = True
    events: bool = True
    omit_users: frozenset[str] = frozenset()
    omit_read_only: bool = True

    def selects_type(self, group: str, resource: str) -> bool:
        """Whether objects of this type can be selected at all."""
        return any(p.matches(group, resource) for p in self.resources) and not any(
            p.matches(group, resource) for p in self.excluded
        )

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
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    scopes: tuple[Scope, ...] = ()

    _decisions: dict[tuple[str, str, str, str], tuple[Scope, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def wants_span(self, key: ObjectKey, source: str, *, verb: str = "", user: str = "") -> bool:
        """Whether a span goes to this receiver; verb and user are those of a request span."""
        if not self.scopes:
            return True
        scopes = self._scopes_of((source, key.group, key.resource, key.namespace))
        if source != "request":
            return bool(scopes)
        return any(s.selects_request(verb=verb, user=user) for s in scopes)

    def _scopes_of(self, question: tuple[str, str, str, str]) -> tuple[Scope, ...]:
        known = self._decisions.get(question)
        if known is None:
            source, group, resource, namespace = question
            known = tuple(
                s
                for s in self.scopes
                if s.wants_source(source)
                and s.selects_type(group, resource)
                and s.selects_namespace(namespace)
            )
            _remember(self._decisions, question, known)
        return known


@dataclass(frozen=True)
class Plan:
    """The union of all policies in force. ``scopes`` empty means: trace nothing."""

    scopes: tuple[Scope, ...] = (Scope(policy=""),)
    ignore_paths: frozenset[tuple[str, ...]] = frozenset()
    max_patch_bytes: int = 16384
    redaction: Redaction = Redaction()
    exporters: tuple[Exporter, ...] = ()

    def wants_type(self, group: str, resource: str) -> bool:
        """Whether the objects of this type are watched."""
        return any(s.objects and s.selects_type(group, resource) for s in self.scopes)

    def wants_object(self, key: ObjectKey) -> bool:
        """Whether changes of this object become spans."""
        return self._decide(("objects", key.group, key.resource, key.namespace))

    def wants_event(self, key: ObjectKey) -> bool:
        """Whether Kubernetes Events about this object become spans."""
        return self._decide(("events", key.group, key.resource, key.namespace))

    def wants_request(self, key: ObjectKey, *, verb: str, user: str) -> bool:
        """Whether this audited request becomes a span."""
        return any(
            s.selects_request(verb=verb, user=user)
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
