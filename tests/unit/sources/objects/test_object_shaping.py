"""What of an object may be kept: secrets and ignored fields go, what it is known by stays."""

from __future__ import annotations

import orjson
import pytest

from kubeweft.model.errors import BadInput
from kubeweft.model.plan import Plan
from kubeweft.sources.objects.facts import owners_in, read_object
from kubeweft.sources.objects.shaping import shape_body
from watched_objects import DEPLOYMENTS, SECRETS, WIDGETS, Json, nested, owner, rules_of, tree, watched

CANARY = "canary-2f6b1c"


def shaped(obj: Json, *paths: tuple[str, ...]) -> Json:
    body = read_object(orjson.dumps(obj), DEPLOYMENTS)[1]
    found: Json = orjson.loads(
        shape_body(body, "apps", "deployments", rules_of(Plan(ignore_paths=frozenset(paths))))
    )
    return found


def test_a_clean_object_stays_the_bytes_it_was() -> None:
    body = read_object(watched(1), DEPLOYMENTS)[1]
    assert shape_body(body, "apps", "deployments", rules_of()) is body


def test_values_of_secrets_go() -> None:
    secret = tree(1, resource=SECRETS, data={"password": CANARY}, stringData={"token": CANARY})
    body = shape_body(read_object(orjson.dumps(secret), SECRETS)[1], "", "secrets", rules_of())
    assert CANARY.encode() not in body
    assert set(orjson.loads(body)["data"]) == {"password"}


def test_manifests_in_annotations_go() -> None:
    last_applied = {"kubectl.kubernetes.io/last-applied-configuration": CANARY}
    assert CANARY not in str(shaped(tree(1, metadata={"annotations": last_applied})))


def test_ignored_fields_go_and_others_stay() -> None:
    obj = tree(1, spec={"replicas": 2, "paused": True}, status={"replicas": 1})
    found = shaped(obj, ("spec", "paused"), ("status",))
    assert found["spec"] == {"replicas": 2}
    assert "status" not in found


@pytest.mark.parametrize(
    "path",
    [
        ("metadata",),
        ("metadata", "*"),
        ("*",),
        ("metadata", "name"),
        ("metadata", "ownerReferences"),
        ("kind",),
    ],
)
def test_no_policy_can_make_an_object_nameless(path: tuple[str, ...]) -> None:
    obj = tree(1, metadata={"ownerReferences": [owner("ReplicaSet", "rs")], "labels": {"a": "b"}})
    found = shaped(obj, path)
    assert owners_in(orjson.dumps(found)) == owners_in(read_object(orjson.dumps(obj), DEPLOYMENTS)[1])
    assert (found["kind"], found["apiVersion"]) == ("Deployment", "apps/v1")


@pytest.mark.parametrize("body", [b"", b"{", b'{"metadata":{"uid":"u"}} x'])
def test_what_is_no_json_is_bad_input(body: bytes) -> None:
    with pytest.raises(BadInput):
        shape_body(body, "example.com", "widgets", rules_of())


@pytest.mark.parametrize("depth", [254, 300, 900])
def test_what_is_nested_too_deeply_is_bad_input_and_no_crash(depth: int) -> None:
    """Whoever may write custom resources can nest them as deep as the API server takes them."""
    body = read_object(nested(watched(1, resource=WIDGETS), depth), WIDGETS)[1]
    with pytest.raises(BadInput, match="nested"):
        shape_body(body, "example.com", "widgets", rules_of())


def test_the_deepest_object_that_can_be_written_is_kept() -> None:
    body = read_object(nested(watched(1, resource=WIDGETS), 253), WIDGETS)[1]
    assert orjson.loads(shape_body(body, "example.com", "widgets", rules_of())) == orjson.loads(body)
