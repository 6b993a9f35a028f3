"""Discovery without a server: formats, preferred versions, stale APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubeweft.kube.discovery import Discovered, merge
from kubeweft.kube.discovery_formats import Served, read_legacy_version, read_root
from kubeweft.kube.failures import Unavailable
from kubeweft.model.references import ResourceType

PODS = ResourceType("", "v1", "pods", "Pod", True)
OLD = ResourceType("g", "v1beta1", "things", "Thing", True)
NEW = ResourceType("g", "v1", "things", "Thing", True)
NODES = ResourceType("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", False)


def aggregated(*versions: dict[str, Any]) -> bytes:
    item = {"metadata": {"name": "g", "creationTimestamp": None}, "versions": list(versions)}
    return json.dumps({"kind": "APIGroupDiscoveryList", "items": [item]}).encode()


def test_aggregated_discovery_as_the_server_sends_it() -> None:
    kind = {"group": "g", "version": "v1", "kind": "Thing"}
    things = {
        "resource": "things",
        "responseKind": kind,
        "scope": "Namespaced",
        "singularResource": "thing",
        "verbs": ["get", "list", "watch"],
        "shortNames": ["th"],
        "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}],
    }
    only_subresources: dict[str, Any] = {
        "resource": "ghosts",
        "responseKind": {"kind": ""},
        "verbs": None,
        "subresources": [],
    }
    no_kind = {"resource": "phantoms", "verbs": []}
    served, ask = read_root(
        aggregated(
            {
                "version": "v1",
                "resources": [things, only_subresources, no_kind],
                "freshness": "Current",
            },
            {"version": "v1beta1", "freshness": "Stale"},
        )
    )
    assert ask == []
    assert served == [Served("g", "v1", {NEW: True}), Served("g", "v1beta1", None)]


def test_legacy_discovery_names_what_to_ask() -> None:
    assert read_root(b'{"kind":"APIVersions","versions":["v1"]}') == ([], [("", "v1")])
    versions = [
        {"groupVersion": "g/v1beta1", "version": "v1beta1"},
        {"groupVersion": "g/v1", "version": "v1"},
    ]
    groups = [{"name": "g", "versions": versions, "preferredVersion": versions[1]}]
    body = json.dumps({"kind": "APIGroupList", "groups": groups}).encode()
    assert read_root(body) == ([], [("g", "v1"), ("g", "v1beta1")])


def test_legacy_resources() -> None:
    body = json.dumps(
        {
            "resources": [
                {"name": "things", "kind": "Thing", "namespaced": True, "verbs": ["list", "watch"]},
                {"name": "things/status", "kind": "Thing", "namespaced": True, "verbs": ["get"]},
                {"name": "reviews", "kind": "Review", "namespaced": False, "verbs": ["create"]},
            ]
        }
    ).encode()
    reviews = ResourceType("g", "v1", "reviews", "Review", False)
    assert read_legacy_version("g", "v1", body) == Served("g", "v1", {NEW: True, reviews: False})
    assert read_legacy_version("g", "v1", b'{"resources":null}') == Served("g", "v1", {})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"kind":"Status"}', b'{"kind":"APIGroupList","groups":7}']
)
def test_what_is_no_discovery(body: bytes) -> None:
    with pytest.raises(Unavailable):
        read_root(body)


def test_the_preferred_version_wins_if_it_can_be_watched() -> None:
    both = [Served("g", "v1", {NEW: True}), Served("g", "v1beta1", {OLD: True})]
    assert merge(both, previous=Discovered()).types == (NEW,)
    only_old = [Served("g", "v1", {NEW: False}), Served("g", "v1beta1", {OLD: True})]
    found = merge(only_old, previous=Discovered())
    assert (found.types, found.all_types) == ((OLD,), (OLD,))
    neither = [Served("g", "v1", {NEW: False}), Served("g", "v1beta1", {OLD: False})]
    found = merge(neither, previous=Discovered())
    assert (found.types, found.all_types) == ((), (NEW,))


def test_a_stale_version_keeps_its_place() -> None:
    previous = Discovered(types=(PODS, NEW, NODES), all_types=(PODS, NEW, NODES))
    served = [
        Served("", "v1", {PODS: True}),
        Served("g", "v1", None),
        Served("g", "v1beta1", {OLD: True}),
        Served("metrics.k8s.io", "v1beta1", None),
    ]
    found = merge(served, previous=previous)
    assert found.types == (PODS, NEW, NODES)
    assert found.stale == ("g/v1", "metrics.k8s.io/v1beta1")


def test_what_could_not_be_watched_before_is_not_watched_because_it_is_stale() -> None:
    previous = Discovered(types=(), all_types=(NODES,))
    found = merge([Served("metrics.k8s.io", "v1beta1", None)], previous=previous)
    assert (found.types, found.all_types) == ((), (NODES,))
