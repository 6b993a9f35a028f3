"""The specs of our custom resources as values, with the defaults of the CRDs.

The API server has validated and defaulted what arrives here; this room repeats the defaults, so that an object stored
under an older CRD reads the same, and refuses fields it does not know, so that nothing declared is ever ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from kubeweft.model.errors import BadInput

DEFAULT_IGNORED = ("metadata.managedFields", "metadata.resourceVersion")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_DURATION = re.compile(r"([0-9]{1,5})(h|ms|m|s)")
_WHOLE_DURATION = re.compile(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class _Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Common to all parts: camelCase outside, immutable inside."""


class SecretRef(_Declared, frozen=True):
    """A Secret in the namespace of the operator, as a whole."""

    name: str


class KubeconfigRef(SecretRef, frozen=True):
    """One key of a Secret, which holds a kubeconfig."""

    key: str = "kubeconfig"


class TokenRef(SecretRef, frozen=True):
    """One key of a Secret, which holds a bearer token."""

    key: str = "token"


class AuthorityRef(SecretRef, frozen=True):
    """One key of a Secret, which holds certificates of authorities."""

    key: str = "ca.crt"


class Cluster(_Declared, frozen=True):
    """One cluster to trace; without a kubeconfig the one the operator runs in."""

    name: str
    kubeconfig_secret_ref: KubeconfigRef | None = None
    context: str = ""
    audit_token_secret_ref: TokenRef | None = None
    labels: dict[str, str] = {}


class Resources(_Declared, frozen=True):
    """Resource types, as a policy or a redaction names them."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]


class SelectorTerm(_Declared, frozen=True):
    """One expression of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(_Declared, frozen=True):
    """A label selector; both parts empty selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[SelectorTerm, ...] = ()


class MatchCondition(_Declared, frozen=True):
    """A named CEL expression."""

    name: str
    expression: str


class Match(_Declared, frozen=True):
    """Which objects a policy is about."""

    resources: tuple[Resources, ...] = ()
    exclude_resources: tuple[Resources, ...] = ()
    namespaces: frozenset[str] = frozenset()
    exclude_namespaces: frozenset[str] = frozenset()
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    match_conditions: tuple[MatchCondition, ...] = ()


class ObjectsSource(_Declared, frozen=True):
    """How much of an object is held for diffs."""

    mode: Literal["Disabled", "Metadata", "Full"] = "Full"


class AuditSource(_Declared, frozen=True):
    """Where audited requests come from, and which are left out."""

    mode: Literal["Disabled", "Webhook", "LogFile"] = "Webhook"
    omit_users: frozenset[str] = frozenset()
    omit_read_only: bool = True


class EventsSource(_Declared, frozen=True):
    """Whether Kubernetes Events are wanted."""

    mode: Literal["Disabled", "Enabled"] = "Enabled"


class Sources(_Declared, frozen=True):
    """Which facts are wanted."""

    objects: ObjectsSource = ObjectsSource()
    audit: AuditSource = AuditSource()
    events: EventsSource = EventsSource()


class Diff(_Declared, frozen=True):
    """What a diff leaves out, and where it is cut."""

    ignore_paths: tuple[str, ...] = DEFAULT_IGNORED
    max_bytes: int = 16384


class RedactedField(_Declared, frozen=True):
    """A field that never leaves."""

    name: str
    path: str
    resources: tuple[Resources, ...] = ()
    action: Literal["Omit", "Digest"] = "Omit"


class RedactedPattern(_Declared, frozen=True):
    """Values that never leave wherever they are found."""

    name: str
    regex: str


class Redaction(_Declared, frozen=True):
    """What is taken out, on top of the built-in rules."""

    secret_data: Literal["Omit", "Digest"] = "Omit"
    user_identity: Literal["Keep", "Digest", "Omit"] = "Keep"
    annotation_keys: frozenset[str] = frozenset({LAST_APPLIED})
    fields: tuple[RedactedField, ...] = ()
    patterns: tuple[RedactedPattern, ...] = ()


class Sampling(_Declared, frozen=True):
    """Which share of whole traces leaves to exporters, and how fast at most."""

    percent: int = 100
    keep_errors: bool = True
    max_spans_per_second: int | None = None


class Retention(_Declared, frozen=True):
    """How long spans stay in the embedded store, and how large it may grow; None: no limit by this policy."""

    max_age: str | None = None
    max_bytes: str | int | None = None


class Tls(_Declared, frozen=True):
    """How the connection to a receiver is secured."""

    mode: Literal["Disabled", "Enabled", "InsecureSkipVerify"] = "Enabled"
    ca_secret_ref: AuthorityRef | None = None
    cert_secret_ref: SecretRef | None = None


class Otlp(_Declared, frozen=True):
    """An OTLP receiver."""

    endpoint: str
    protocol: Literal["GRPC", "HTTPProtobuf"] = "GRPC"
    compression: Literal["None", "Gzip"] = "Gzip"
    timeout: str = "10s"
    headers_secret_ref: SecretRef | None = None
    tls: Tls = Tls()


class ExporterSpec(_Declared, frozen=True):
    """One receiver of spans."""

    name: str
    type: Literal["OTLP"] = "OTLP"
    otlp: Otlp | None = None


class PolicySpec(_Declared, frozen=True):
    """``TracingPolicy.spec``."""

    suspend: bool = False
    priority: int = 0
    clusters: tuple[Cluster, ...] = (Cluster(name="local"),)
    match: Match = Match()
    sources: Sources = Sources()
    diff: Diff = Diff()
    redaction: Redaction = Redaction()
    sampling: Sampling = Sampling()
    retention: Retention = Retention()
    exporters: tuple[ExporterSpec, ...] = ()


def read_policy(spec: Mapping[str, Any]) -> PolicySpec:
    """A spec as the API server gives it; raises ``BadInput`` that names the field."""
    try:
        return msgspec.convert(spec, PolicySpec)
    except msgspec.ValidationError as error:
        raise BadInput(_in_words(str(error))) from None


def seconds(duration: str) -> float:
    """A duration as in Gateway API (GEP-2257), such as ``1m30s``; raises ``BadInput``."""
    if not _WHOLE_DURATION.match(duration):
        raise BadInput("must be a duration such as 10s, 1m30s or 500ms")
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))


def _in_words(message: str) -> str:
    """msgspec says ``… - at `$.match.resources` ``; people know the path as ``spec.match.resources``."""
    if message.startswith("Object contains unknown field"):
        message += ", which this version of Kubeweft does not know"
    return message.replace("`$.", "`spec.").replace("`$`", "`spec`")
