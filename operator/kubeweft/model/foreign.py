"""Spans of other tracing systems, as far as the display has to know them to put them where they belong.

kube-apiserver, kubelet and any component that speaks OTLP tell of the same work from their side. What joins their
spans with an object are attributes: ``audit-id`` names a request, ``k8s.pod.uid`` a Pod.
"""

from __future__ import annotations

import msgspec

from kubeweft.model.spans import Attributes


class ForeignSpan(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One span as its own system told it; times are nanoseconds since the epoch.

    ``service`` is the resource's ``service.name``, ``resource`` its other attributes. ``error`` is empty unless the
    span failed. ``kind`` is OTLP's number of the span kind.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    service: str
    name: str
    start: int
    end: int
    kind: int = 0
    attributes: Attributes = {}
    resource: Attributes = {}
    error: str = ""
