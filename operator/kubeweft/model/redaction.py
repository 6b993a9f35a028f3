"""Takes secrets out of what was observed, before any other room sees it.

Three layers, each on top of the other: fields that are secret by what they are (``secret_bodies``, never to be
switched off), whatever looks like a secret in any text (``secret_texts``), and what policies name. A redacted object
stays the same when it is redacted again. What an object is known by (its name, UID, times) is never touched; a custom
resource that keeps a password in a field of its own is safe only if a policy names that field.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import orjson

from kubeweft.model import secret_bodies, secret_texts
from kubeweft.model.digests import SHORTEST_KEY, Digests, is_concealed
from kubeweft.model.field_paths import FieldPath, find
from kubeweft.model.plan import Redaction
from kubeweft.model.secret_texts import HIDDEN, SHORTEST, hide_secrets, names_aws_secret
from kubeweft.model.secret_uris import hide_in_query

MOST_TYPES: Final = (
    10_000  # resource types come from outside: what is remembered about them has to be bounded
)

# Messages of older API servers that quote the body they could not read.
_QUOTED_BODY = re.compile(r"(error found in #\d+ byte of |cannot be handled as a \w+: ).*", re.DOTALL)
_BOOTSTRAP_TOKEN = re.compile(r"(?i:(token[\"'\s:=\\]{1,5}))[a-z0-9]{6}\.[a-z0-9]{16}(?![a-z0-9])")


class _Rules(NamedTuple):
    """What holds for one resource type. ``fields`` are paths with whether a digest is enough, omissions first."""

    is_secret: bool
    closed_kind: str | None
    hidden: tuple[FieldPath, ...]
    fields: tuple[tuple[FieldPath, bool], ...]


class Redactor:
    """What all policies together want redacted, ready to be applied to everything that comes in."""

    def __init__(self, redaction: Redaction, digest_key: bytes) -> None:
        """``digest_key`` is the secret of the installation: a digest without one is undone by trying.

        Raises ``ValueError`` if digests are asked for and the key has less than 16 bytes.
        """
        digests = redaction.digest_secrets or redaction.user_identity == "Digest"
        if (digests or any(field.digest for field in redaction.fields)) and len(digest_key) < SHORTEST_KEY:
            raise ValueError(f"digests need a key of at least {SHORTEST_KEY} bytes")
        self._redaction = redaction
        self._digests = Digests(digest_key)
        self._annotations = secret_bodies.MANIFEST_ANNOTATIONS | redaction.annotation_keys
        self._annotation_names = tuple(name.encode() for name in sorted(self._annotations))
        self._patterns = redaction.patterns
        self._rules: dict[tuple[str, str], _Rules] = {}

    def needs_scan(self, raw: bytes) -> bool:
        """Whether the texts in this JSON have to be looked into: False for nearly all that a cluster writes."""
        return bool(self._patterns) or secret_texts.may_hold_secrets(raw)

    def leaves_alone(self, group: str, resource: str, raw: bytes) -> bool:
        """Whether an object of a built-in type, as JSON, certainly holds nothing to redact: nearly all do not.

        Says yes only where :meth:`redact_object` would change nothing, so that the object need not be decoded.
        """
        rules = self._rules_of(group, resource)
        if rules.closed_kind is None or rules.is_secret or rules.hidden or rules.fields:
            return False
        if rules.closed_kind in secret_bodies.HIDDEN_BY_KIND or self._redaction.user_identity != "Keep":
            return False
        if rules.closed_kind == "ConfigMap" and b'"helm"' in raw:
            return False
        if b'"annotations"' in raw and any(name in raw for name in self._annotation_names):
            return False
        return not self.needs_scan(raw)

    def redact_object(
        self, group: str, resource: str, obj: dict[str, Any], *, raw: bytes | None = None
    ) -> None:
        """Take everything secret out of an object, or a list of objects, in place.

        ``group`` and ``resource`` say where it was found. ``raw`` is its JSON, or JSON that holds it, if at hand: it
        is searched at little cost, and only an object in which something may be found is walked through.
        """
        if raw is None:
            raw = _written(obj)
        scan = raw is None or self.needs_scan(raw)
        pending = [(group, resource, obj)]
        while pending:
            found_group, found_resource, found = pending.pop()
            self._redact_fields(self._rules_of(found_group, found_resource), found, raw)
            if scan:
                self._redact_texts(found)
            if "items" in found:
                pending += secret_bodies.items_of(found, group=found_group, resource=found_resource)

    def redact_text(self, text: str) -> str:
        """A message, a user agent or another text that stands for itself, without what looks like a secret."""
        text = hide_secrets(text)
        if " byte of " in text or "cannot be handled" in text:
            text = _QUOTED_BODY.sub(rf"\1{HIDDEN}", text)
        if "oken" in text or "OKEN" in text:
            text = _BOOTSTRAP_TOKEN.sub(rf"\1{HIDDEN}", text)
        return HIDDEN if self._patterns and self._matches(text) else text

    def redact_uri_query(self, path: str, query: str) -> str:
        """The query of a request: what is passed through to others is hidden, as are tokens and passwords."""
        return hide_in_query(path, query, self._matches) if query else query

    def identity(self, name: str) -> str:
        """The name of a user, a group or an address, as far as policies let it be seen."""
        mode = self._redaction.user_identity
        if mode == "Keep" or not name:
            return name
        return self._digests.of_identity(name) if mode == "Digest" else HIDDEN

    def _matches(self, text: str) -> bool:
        return any(pattern.search(text) for pattern in self._patterns)

    def _rules_of(self, group: str, resource: str) -> _Rules:
        known = self._rules.get((group, resource))
        if known is not None:
            return known
        fields = [
            (field.path, field.digest)
            for field in self._redaction.fields
            if any(pattern.matches(group, resource) for pattern in field.resources)
        ]
        rules = _Rules(
            is_secret=resource == "secrets",
            closed_kind=secret_bodies.CLOSED_KINDS.get((group, resource)),
            hidden=secret_bodies.HIDDEN_BY_RESOURCE.get(resource, ()),
            fields=tuple(sorted(fields, key=lambda field: field[1])),
        )
        if len(self._rules) >= MOST_TYPES:
            self._rules.clear()
        self._rules[group, resource] = rules
        return rules

    def _redact_fields(self, rules: _Rules, obj: dict[str, Any], raw: bytes | None) -> None:
        kind = obj.get("kind", rules.closed_kind)
        if type(kind) is not str:
            kind = ""
        if rules.is_secret or kind == "Secret":
            self._redact_secret(obj)
        elif kind == "ConfigMap":
            secret_bodies.hide_helm_release(obj)
        for path in (*rules.hidden, *secret_bodies.HIDDEN_BY_KIND.get(kind, ())):
            _hide(obj, path)
        if self._redaction.user_identity != "Keep":
            self._redact_identity(obj, kind)
        for found in secret_bodies.annotated(obj):
            self._redact_annotations(found)
        if kind != rules.closed_kind and (raw is None or secret_bodies.may_hold_manifests(obj, raw)):
            self._redact_inside(obj)
        for path, digest in rules.fields:
            if digest:
                self._digest(obj, path)
            else:
                _hide(obj, path)

    def _redact_inside(self, obj: dict[str, Any]) -> None:
        """Custom resources carry whole manifests of other objects, Secrets among them."""
        for node in secret_bodies.maps_in(obj):
            if node.get("kind") == "Secret":
                self._redact_secret(node)
            annotations = node.get("annotations")
            if type(annotations) is dict:
                self._redact_annotations(annotations)
            token = node.get("token")
            if type(token) is str and secret_bodies.BOOTSTRAP_TOKEN.fullmatch(token):
                node["token"] = HIDDEN

    def _redact_annotations(self, annotations: dict[str, Any]) -> None:
        for key in self._annotations.intersection(annotations):
            annotations[key] = HIDDEN

    def _redact_secret(self, obj: dict[str, Any]) -> None:
        for name, encoded in (("data", True), ("stringData", False)):
            values = obj.get(name)
            if type(values) is dict:
                for key, value in values.items():
                    keeps = self._redaction.digest_secrets and type(value) is str
                    values[key] = self._digests.of_secret(value, encoded=encoded) if keeps else HIDDEN
            elif values is not None:
                obj[name] = HIDDEN

    def _redact_identity(self, obj: dict[str, Any], kind: str) -> None:
        for path in secret_bodies.IDENTITY_BY_KIND.get(kind, ()):
            for holder, key in find(obj, path):
                value = holder[key]
                holder[key] = self.identity(value) if type(value) is str else HIDDEN

    def _digest(self, obj: dict[str, Any], path: FieldPath) -> None:
        for holder, key in find(obj, path):
            holder[key] = self._digests.of_field(holder[key])

    def _redact_texts(self, obj: dict[str, Any]) -> None:
        for holder, key, is_reference in secret_bodies.texts_in(obj):
            text = holder[key]
            if type(key) is str and _is_aws_secret(holder, key) and not is_concealed(text):
                holder[key] = HIDDEN
                continue
            hidden = hide_secrets(text) if len(text) >= SHORTEST else text
            if self._patterns and not is_reference and self._matches(hidden):
                hidden = HIDDEN
            if hidden is not text:
                holder[key] = hidden


def _written(obj: dict[str, Any]) -> bytes | None:
    try:
        return orjson.dumps(obj)
    except TypeError:  # what orjson cannot write it cannot clear either: numbers past 64 bits, 255 levels
        return None


def _hide(obj: dict[str, Any], path: FieldPath) -> None:
    for holder, key in find(obj, path):
        holder[key] = HIDDEN


def _is_aws_secret(holder: dict[str, Any], key: str) -> bool:
    """Whether a text is called an AWS secret key, by its own key or in an environment variable by the name beside."""
    if key != "value":
        return ("ccess" in key or "CCESS" in key) and names_aws_secret(key)
    name = holder.get("name")
    return type(name) is str and names_aws_secret(name)
