"""The CRDs as files: bounded everywhere, defaults that hold, the same defaults as our own reading, examples that fit.

What only an API server can judge (CEL rules, structural schemas) is in the end-to-end tests.
"""

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kubeweft.control.compiling.policies import Installation, compile_policies
from kubeweft.control.declared.objects import POLICIES, DeclaredObject
from kubeweft.control.declared.schema import PolicySpec, read_policy

ROOT = Path(__file__).parents[4]
FILES = {"tracingpolicies": "TracingPolicy", "linkrules": "LinkRule"}
EXAMPLES = sorted((ROOT / "examples/policies").glob("*.yaml"))

Schema = dict[str, Any]


@functools.cache
def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def crd(plural: str) -> dict[str, Any]:
    return load(ROOT / f"crds/{plural}.yaml")


def schema_of(plural: str) -> Schema:
    schema: Schema = crd(plural)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def parts(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema within a schema, with its path."""
    yield path, schema
    for name, inner in (schema.get("properties") or {}).items():
        yield from parts(inner, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from parts(schema[name], f"{path}[]")


def strict(schema: Schema) -> Schema:
    """As JSON Schema, refusing fields that the API server would prune."""
    schema = copy.deepcopy(schema)
    for path, part in parts(schema):
        if part.get("properties") and path:
            part["additionalProperties"] = False
    return schema


def with_defaults(schema: Schema, value: Any) -> Any:
    """What the API server makes of a value: missing fields with a default get it, all the way down."""
    if isinstance(value, list):
        return [with_defaults(schema["items"], item) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    filled = dict(value)
    for name, inner in schema["properties"].items():
        if name not in filled and "default" in inner:
            filled[name] = copy.deepcopy(inner["default"])
        if name in filled:
            filled[name] = with_defaults(inner, filled[name])
    return filled


@pytest.mark.parametrize("plural", FILES)
def test_names_and_versions(plural: str) -> None:
    spec = crd(plural)["spec"]
    assert crd(plural)["metadata"]["name"] == f"{plural}.kubeweft.io"
    assert spec["group"] == "kubeweft.io"
    assert spec["scope"] == "Cluster"
    assert spec["names"]["kind"] == FILES[plural]
    assert spec["names"]["categories"] == ["kubeweft"]
    (version,) = spec["versions"]
    assert version["name"] == "v1alpha1"
    assert version["subresources"] == {"status": {}}


@pytest.mark.parametrize("plural", FILES)
def test_everything_is_bounded(plural: str) -> None:
    """Else CEL rules become too expensive, and a single object could be of any size."""
    for path, part in parts(schema_of(plural)):
        if part.get("x-kubernetes-int-or-string"):
            assert {"maxLength", "pattern", "minimum", "maximum"} <= part.keys(), path
            continue
        kind = part["type"]
        if path.startswith(".metadata") or path in (".apiVersion", ".kind"):
            continue
        if kind == "string" and "enum" not in part and part.get("format") != "date-time":
            assert "maxLength" in part, path
        if kind == "array":
            assert "maxItems" in part, path
            assert "x-kubernetes-list-type" in part, path
        if kind == "integer":
            assert {"minimum", "maximum"} <= part.keys(), path
            assert part["maximum"] <= 2**53, path
        if kind == "object" and "additionalProperties" in part:
            assert "maxProperties" in part, path


@pytest.mark.parametrize("plural", FILES)
def test_defaults_are_spelled_out_and_valid(plural: str) -> None:
    """A CEL rule runs on a default as it is written, without the defaults within it."""
    for path, part in parts(schema_of(plural)):
        if "default" in part:
            jsonschema.validate(part["default"], strict(part))
            if part.get("x-kubernetes-validations"):
                assert with_defaults(part, part["default"]) == part["default"], path


def test_our_reading_has_the_defaults_of_the_schema() -> None:
    schema = schema_of("tracingpolicies")["properties"]["spec"]
    assert with_defaults(schema, {}) == schema["default"]
    assert read_policy(schema["default"]) == read_policy({}) == PolicySpec()


def test_nested_defaults_are_the_same_too() -> None:
    schema = schema_of("tracingpolicies")["properties"]["spec"]
    spec = {
        "clusters": [
            {"name": "local"},
            {"name": "eu", "kubeconfigSecretRef": {"name": "k"}, "auditTokenSecretRef": {"name": "t"}},
        ],
        "exporters": [
            {"name": "x", "otlp": {"endpoint": "h:1"}},
            {"name": "y", "otlp": {"endpoint": "h:1", "tls": {"caSecretRef": {"name": "c"}}}},
        ],
        "retention": {},
        "sources": {"audit": {}, "objects": {}, "events": {}},
        "redaction": {"fields": [{"name": "n", "path": "data"}]},
        "sampling": {},
        "diff": {},
    }
    assert read_policy(with_defaults(schema, spec)) == read_policy(spec)


@pytest.mark.parametrize("size", ["10Gi", "500M", "1.5Ti", "1048576", 1048576, "2k"])
def test_sizes_that_kubernetes_writes_fit_the_schema(size: str | int) -> None:
    schema = schema_of("tracingpolicies")["properties"]["spec"]["properties"]["retention"]
    jsonschema.validate({"maxBytes": size}, strict(schema))


def test_a_policy_needs_nothing_and_knows_no_window() -> None:
    assert "required" not in schema_of("tracingpolicies")
    schema = schema_of("tracingpolicies")["properties"]["spec"]
    assert "required" not in schema
    assert "window" not in schema["properties"]
    exporters = schema["properties"]["exporters"]
    assert exporters["default"] == []
    assert "minItems" not in exporters


def test_the_columns_that_people_see() -> None:
    columns = crd("tracingpolicies")["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == ["Ready", "Reason", "Clusters", "Age"]
    clusters = next(c for c in columns if c["name"] == "Clusters")
    status = schema_of("tracingpolicies")["properties"]["status"]["properties"]
    assert clusters["jsonPath"] == ".status.clustersSummary"  # a path with [*] would show the first only
    assert status["clustersSummary"]["type"] == clusters["type"] == "string"


@pytest.mark.parametrize("plural", FILES)
def test_a_new_object_is_pending_and_not_ready(plural: str) -> None:
    """kstatus takes an object without conditions for ready."""
    status = schema_of(plural)["properties"]["status"]
    (condition,) = status["default"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "Unknown", "Pending")
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_fit_the_schema_and_are_accepted(path: Path) -> None:
    document = load(path)
    assert (document["apiVersion"], document["kind"]) == ("kubeweft.io/v1alpha1", "TracingPolicy")
    jsonschema.validate(document, strict(schema_of("tracingpolicies")))
    spec = with_defaults(schema_of("tracingpolicies"), document)["spec"]
    name = document["metadata"]["name"]
    declared = DeclaredObject(resource=POLICIES, name=name, spec=spec)
    verdict = compile_policies([declared], Installation()).verdicts[name]
    assert verdict.accepted, verdict.message


@pytest.mark.parametrize(
    "spec",
    [
        {"unknown": 1},
        {"sampling": {"percent": 101}},
        {"match": {"resources": [{"apiGroups": []}]}},
        {"exporters": [{"name": "UPPER", "otlp": {"endpoint": "h:1"}}]},
        {"diff": {"ignorePaths": [".spec"]}},
        {"redaction": {"secretData": "Keep"}},
        {"retention": {"maxAge": "30d"}},
        {"retention": {"maxBytes": "10Xi"}},
        {"retention": {"maxBytes": "-1Gi"}},
        {"retention": {"maxBytes": 1000}},
        {"retention": {"history": "1h"}},
        {"match": {"resources": [{"apiGroups": [""], "resources": ["pods/status"]}]}},
        {"match": {"resources": [{"apiGroups": ["*.io"], "resources": ["*"]}]}},
        {
            "exporters": [
                {"name": "x", "otlp": {"endpoint": "h:1", "headersSecretRef": {"name": "s", "key": "k"}}}
            ]
        },
        {"clusters": [{"name": "eu", "kubeconfigSecretRef": {"name": "s", "namespace": "n"}}]},
    ],
)
def test_the_schema_refuses(spec: dict[str, Any]) -> None:
    document = {"apiVersion": "kubeweft.io/v1alpha1", "kind": "TracingPolicy", "metadata": {}, "spec": spec}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, strict(schema_of("tracingpolicies")))
