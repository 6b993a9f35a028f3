"""Objects that carry the marks of other operators, and what of them nobody but their owner may change.

The marks are those that Kopf uses where nobody tells it otherwise, so a careless operator would take them for its own.
"""

from __future__ import annotations

import copy
from typing import Any

from cluster_requests import CRDS, POLICIES, Json, policy

GUARDS = "example.org/guard"
FINALIZERS = ["kopf.zalando.org/KopfFinalizerMarker", GUARDS, "kubeweft.io/unused"]
ANNOTATIONS = {
    "kopf.zalando.org/last-handled-configuration": '{"spec":{"by":"another operator"}}\n',
    "kopf.zalando.org/create_fn": '{"started":"2020-01-01T00:00:00","retries":1,"success":false,"failure":false}',
    "kopf.zalando.org/touch-dummy": "2020-01-01T00:00:00",
    "kubeweft.io/last-handled-configuration": '{"spec":{}}\n',
    "example.org/note": "not yours",
}
GROUP = "foreign.example.org"
RULES = "/apis/kubeweft.io/v1alpha1/linkrules"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
OF_THE_SERVER = frozenset({"resourceVersion", "managedFields", "generation"})


def marked(document: Json, **metadata: Any) -> Json:
    """The same with all marks."""
    marks = {"finalizers": list(FINALIZERS), "annotations": dict(ANNOTATIONS)}
    return {**document, "metadata": {**document["metadata"], **marks, **metadata}}


def definition(plural: str, *, group: str, namespaced: bool = True) -> Json:
    """A CustomResourceDefinition for objects that may say anything, with a status of their own."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    singular = plural.removesuffix("s")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "plural": plural,
                "singular": singular,
                "kind": singular.capitalize(),
                "listKind": f"{singular.capitalize()}List",
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": schema,
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def dead_api(group: str) -> Json:
    """An aggregated API with nothing behind it."""
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1.{group}"},
        "spec": {
            "group": group,
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "nobody", "namespace": "default"},
        },
    }


def custom(plural: str, name: str, *, group: str, **spec: Any) -> Json:
    """An object of such a definition."""
    kind = plural.removesuffix("s").capitalize()
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def foreign_objects(namespace: str) -> list[tuple[str, Json]]:
    """One of each type that matters, with the collection it belongs to: those that Kopf watches for us are among them.

    The aggregated API is dead: nothing is behind it.
    """
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "foreign"},
        "data": {"round": "0"},
    }
    rule = {
        "apiVersion": "kubeweft.io/v1alpha1",
        "kind": "LinkRule",
        "metadata": {"name": "foreign"},
        "spec": {
            "source": {"resources": [{"apiGroups": [""], "resources": ["configmaps"]}]},
            "targets": [
                {
                    "name": "guard",
                    "type": "Label",
                    "resource": {"group": GROUP, "resource": "guards"},
                    "label": {"key": "guard"},
                }
            ],
        },
    }
    return [
        (CRDS, definition("guards", group=GROUP)),
        (f"/api/v1/namespaces/{namespace}/configmaps", config),
        (
            f"/apis/{GROUP}/v1/namespaces/{namespace}/guards",
            custom("guards", "foreign", group=GROUP, round="0"),
        ),
        (POLICIES, policy("foreign")),
        (RULES, rule),
        (API_SERVICES, dead_api("dead.example.net")),
    ]


def owned_by_others(obj: Json) -> Json:
    """An object without what the API server counts, and without the status of types whose status others write."""
    kept = copy.deepcopy(obj)
    for field in OF_THE_SERVER:
        kept["metadata"].pop(field, None)
    kept.pop("status", None)
    return kept
