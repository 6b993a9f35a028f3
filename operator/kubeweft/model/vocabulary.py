"""Every attribute name that Kubeweft writes or reads, in one place.

OpenTelemetry's own names are used where they exist and fit (``k8s.*``, ``user.name``, ``user_agent.original``,
``http.*``, ``url.path``); the rest is ``kubeweft.*``. ``docs/vocabulary.md`` lists them and a test compares the two.
"""

from __future__ import annotations

from typing import Final

# Which object a span is about (on every span; strings, short, so that every trace store can search them).
CLUSTER: Final = "k8s.cluster.name"
GROUP: Final = "kubeweft.object.group"
RESOURCE: Final = "kubeweft.object.resource"
NAMESPACE: Final = "k8s.namespace.name"
NAME: Final = "kubeweft.object.name"
SOURCE: Final = "kubeweft.source"  # object, request, change, event, link or gap

# What a body or a reference told about the object.
KIND: Final = "kubeweft.object.kind"
API_VERSION: Final = "kubeweft.object.api_version"
UID: Final = "kubeweft.object.uid"
GENERATION: Final = "kubeweft.object.generation"
RESOURCE_VERSION: Final = "kubeweft.object.resource_version"
WINDOW_SECONDS: Final = "kubeweft.window.seconds"

# Requests (audit log).
AUDIT_ID: Final = "audit-id"  # kube-apiserver's own spans carry it under this name
AUDIT_LEVEL: Final = "kubeweft.audit.level"
AUDIT_STAGE: Final = "kubeweft.audit.stage"
VERB: Final = "kubeweft.request.verb"
SUBRESOURCE: Final = "kubeweft.request.subresource"
CODE: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
URL_QUERY: Final = "url.query"
USER: Final = "user.name"
IMPERSONATED_USER: Final = "kubeweft.request.impersonated_user"
USER_AGENT: Final = "user_agent.original"
CLIENT_ADDRESS: Final = "client.address"
FAILURE_REASON: Final = "kubeweft.request.reason"
FAILURE_MESSAGE: Final = "kubeweft.request.message"
DRY_RUN: Final = "kubeweft.request.dry_run"
REQUEST_BASE_VERSION: Final = "kubeweft.request.base_version"  # the resourceVersion the client had in hand
BODY_TRUNCATED: Final = "kubeweft.request.body_truncated"

# Changes (watch, or consecutive audit bodies).
CHANGE_TYPE: Final = "kubeweft.change.type"  # Added, Modified, Deleted or Sighting
OLD_VERSION: Final = "kubeweft.change.old_version"
PATCH: Final = "kubeweft.change.patch"  # RFC 6902, JSON text
WORDS: Final = "kubeweft.change.words"  # one line each: spec.replicas 2 → 4
PATCH_TRUNCATED: Final = "kubeweft.change.patch_truncated"
FIELD_MANAGER: Final = "kubeweft.change.field_manager"
FIELD_MANAGER_OPERATION: Final = "kubeweft.change.operation"
FIELD_MANAGER_SUBRESOURCE: Final = "kubeweft.change.subresource"
TIME_SOURCE: Final = (
    "kubeweft.time.source"  # object, request (audit log), or receipt where neither tells a time
)
CLOCK_SKEW_SECONDS: Final = "kubeweft.time.skew_seconds"
SNAPSHOT: Final = "kubeweft.object.snapshot"  # the body, where a span leaves for an OTLP receiver
SNAPSHOT_BYTES: Final = "kubeweft.object.snapshot_bytes"  # its size instead, where it is too large to send

# Kubernetes Events.
EVENT_UID: Final = "k8s.event.uid"
EVENT_NAME: Final = "k8s.event.name"
EVENT_REASON: Final = "k8s.event.reason"
EVENT_ACTION: Final = "k8s.event.action"
EVENT_COUNT: Final = "k8s.event.count"
EVENT_TYPE: Final = "kubeweft.event.type"
EVENT_MESSAGE: Final = "kubeweft.event.message"
EVENT_REPORTER: Final = "kubeweft.event.reporter"
EVENT_FIELD_PATH: Final = "kubeweft.event.field_path"
EVENT_FIRST: Final = "kubeweft.event.first"  # RFC 3339
EVENT_SERIES: Final = "kubeweft.event.series"

# Links.
LINK_ROLE: Final = "kubeweft.link.role"  # what the target is to this object: Parent, Child or Peer
LINK_CLASS: Final = "kubeweft.link.class"
LINK_RULE: Final = "kubeweft.link.rule"  # the LinkRule that made it; "owner" for owner references
LINK_GROUPING: Final = (
    "kubeweft.link.grouping"  # SameTrace, where the child goes into the trace of its parent
)
LINK_ANNOTATION: Final = "kubeweft.link.annotation"  # which annotation named a span of another tracing system
LINK_CLUSTER: Final = "kubeweft.link.target.cluster"
LINK_GROUP: Final = "kubeweft.link.target.group"
LINK_RESOURCE: Final = "kubeweft.link.target.resource"
LINK_NAMESPACE: Final = "kubeweft.link.target.namespace"
LINK_NAME: Final = "kubeweft.link.target.name"

# Gaps.
GAP_REASON: Final = "kubeweft.gap.reason"
GAP_MESSAGE: Final = "kubeweft.gap.message"
GAP_COUNT: Final = "kubeweft.gap.count"
GAP_OBSERVER: Final = "kubeweft.gap.observer"

# Only at an OTLP receiver: how a trace viewer names and colours a span, and OpenTelemetry's own name of an object.
SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
# A Namespace has none here: its k8s.namespace.name would read as the namespace that the object lives in.
NAMES_OF_KINDS: Final = {
    ("", "nodes"): "k8s.node.name",
    ("", "persistentvolumeclaims"): "k8s.persistentvolumeclaim.name",
    ("", "persistentvolumes"): "k8s.persistentvolume.name",
    ("", "pods"): "k8s.pod.name",
    ("", "replicationcontrollers"): "k8s.replicationcontroller.name",
    ("", "resourcequotas"): "k8s.resourcequota.name",
    ("", "services"): "k8s.service.name",
    ("apps", "daemonsets"): "k8s.daemonset.name",
    ("apps", "deployments"): "k8s.deployment.name",
    ("apps", "replicasets"): "k8s.replicaset.name",
    ("apps", "statefulsets"): "k8s.statefulset.name",
    ("autoscaling", "horizontalpodautoscalers"): "k8s.hpa.name",
    ("batch", "cronjobs"): "k8s.cronjob.name",
    ("batch", "jobs"): "k8s.job.name",
    ("storage.k8s.io", "storageclasses"): "k8s.storageclass.name",
}
