"""The links of rules as the store of a running operator holds them, in the words of people: ``$here/pods/web``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from ledger import StoredSpans

NAMED_BY_CONTROLLERS = ("pods", "replicasets")
SECOND = 1_000_000_000


class Link(NamedTuple):
    """One end of a link: what ``other`` is to ``object``, and whether this end bears the OpenTelemetry span link."""

    rule: str
    object: str
    role: str
    link_class: str
    other: str
    bears: bool


class StoredLinks:
    """All links in a store, by rule and window; each span is read once."""

    def __init__(
        self, store: Path, *, cluster: str, namespaces: Mapping[str, str], window_seconds: int
    ) -> None:
        """Objects of ``cluster`` are told without it, ``namespaces`` by the words that stand for them."""
        self._spans = StoredSpans(store)
        self._read = 0
        self._cluster = cluster
        self._namespaces = namespaces
        self._length = window_seconds * SECOND
        self._links: defaultdict[str, set[tuple[int, Link]]] = defaultdict(set)

    def of(self, rule: str, *, since: float = 0) -> set[Link]:
        """The links of a rule in windows that begin at ``since`` (seconds) or later."""
        spans = self._spans.now()
        for span in spans[self._read :]:
            if span.source == "link":
                self._links[str(span.attributes[v.LINK_RULE])].add((span.start, self._link(span)))
        self._read = len(spans)
        return {link for window, link in self._links[rule] if window >= since * SECOND}

    def changed(self, *, since: float) -> set[str]:
        """The objects that were changed since then (seconds)."""
        changes = [s for s in self._spans.now() if s.source == "change" and s.start >= since * SECOND]
        return {self._named(change.key) for change in changes}

    def _link(self, span: Span) -> Link:
        text = {name: str(value) for name, value in span.attributes.items()}
        other = ObjectKey(
            text[v.LINK_CLUSTER],
            text[v.LINK_GROUP],
            text[v.LINK_RESOURCE],
            text[v.LINK_NAMESPACE],
            text[v.LINK_NAME],
        )
        if span.links:
            trace = identity.trace_id(other, span.start, self._length)
            leads = [(link.trace_id, link.span_id) for link in span.links]
            assert leads == [(trace, identity.object_span_id(trace))], f"{span.name} leads elsewhere"
        return Link(
            text[v.LINK_RULE],
            self._named(span.key),
            text[v.LINK_ROLE],
            text[v.LINK_CLASS],
            self._named(other),
            bool(span.links),
        )

    def _named(self, key: ObjectKey) -> str:
        """What controllers add to a name is left out."""
        name = key.name.partition("-")[0] if key.resource in NAMED_BY_CONTROLLERS else key.name
        place = [self._namespaces.get(key.namespace, key.namespace)] if key.namespace else []
        text = "/".join([*place, key.resource, name])
        return text if key.cluster == self._cluster else f"{key.cluster}:{text}"
