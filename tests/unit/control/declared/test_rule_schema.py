"""The LinkRule CRD as a file: our reading has its defaults, its counters are ours, and the shipped rules fit.

What only an API server can judge (CEL in the schema) is in the end-to-end tests; the expressions are run here too,
by the CEL we have.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.declared.objects import LINK_RULES, DeclaredObject
from kubeweft.control.declared.rule_schema import LinkRuleSpec, read_rule
from kubeweft.control.judging.rules import rule_counters

ROOT = Path(__file__).parents[4]
LIBRARY = sorted(f for f in (ROOT / "config/link-rules").glob("*.yaml") if f.stem != "kustomization")
SCHEMA: dict[str, Any] = yaml.safe_load((ROOT / "crds/linkrules.yaml").read_text())["spec"]["versions"][0][
    "schema"
]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]
Schema = dict[str, Any]
PODS = {"resources": [{"apiGroups": [""], "resources": ["pods"]}]}


def parts(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema within a schema, with its path."""
    yield path, schema
    for name, inner in (schema.get("properties") or {}).items():
        yield from parts(inner, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from parts(schema["items"], f"{path}[]")


def strict(schema: Schema) -> Schema:
    """As JSON Schema, refusing fields that the API server would prune."""
    schema = copy.deepcopy(schema)
    for _, part in parts(schema):
        if part.get("properties") and "metadata" not in part["properties"]:
            part["additionalProperties"] = False
    return schema


def with_defaults(schema: Schema, value: Any) -> Any:
    """What the API server makes of a value."""
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


EVERY_TARGET = [
    {"name": "a", "type": "FieldPath", "resource": {"resource": "nodes"}, "fieldPath": {"name": "a"}},
    {"name": "b", "type": "CEL", "cel": {"expression": "'x'"}},
    {"name": "c", "type": "Annotation", "resource": {"resource": "nodes"}, "annotation": {"key": "a"}},
    {"name": "d", "type": "Label", "resource": {"resource": "nodes"}, "label": {"key": "a"}},
    {"name": "e", "type": "Selector", "resource": {"resource": "nodes"}, "selector": {"path": "a"}},
    {"name": "f", "type": "Owner", "owner": {}},
    {"name": "g", "type": "HelmRelease", "helmRelease": {}},
]


def test_our_reading_has_the_defaults_of_the_schema() -> None:
    spec = {"source": PODS, "targets": EVERY_TARGET, "cluster": {}, "link": {}}
    jsonschema.validate(with_defaults(SPEC, spec), strict(SPEC))
    assert read_rule(with_defaults(SPEC, spec)) == read_rule(spec)
    bare = {"source": PODS, "targets": EVERY_TARGET}
    assert read_rule(with_defaults(SPEC, bare)) == read_rule(bare)


def test_the_schema_knows_every_field_that_we_read() -> None:
    assert set(SPEC["properties"]) == set(LinkRuleSpec.__struct_encode_fields__)
    status = set(SCHEMA["properties"]["status"]["properties"])
    assert status == {"observedGeneration", "conditions", *rule_counters(None)}


def test_everything_is_described() -> None:
    named = [path for path, part in parts(SPEC) if "properties" in part or part["type"] == "array"]
    undescribed = [
        path
        for path, part in parts(SPEC)
        if path in named
        and "description" not in part
        and not path.endswith(("[]", "matchExpressions", "values"))
        and path
    ]
    assert undescribed == []


def test_there_is_a_library() -> None:
    assert len(LIBRARY) >= 26
    kustomization = yaml.safe_load((ROOT / "config/link-rules/kustomization.yaml").read_text())
    assert kustomization["resources"] == [file.name for file in LIBRARY]


@pytest.mark.parametrize("file", LIBRARY, ids=lambda file: file.stem)
def test_each_rule_of_the_library_fits_the_schema_and_is_accepted(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# "), "a comment says what it is for"
    document = yaml.safe_load(text)
    assert (document["apiVersion"], document["kind"]) == ("kubeweft.io/v1alpha1", "LinkRule")
    assert document["metadata"]["name"] == file.stem
    assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "kubeweft"
    jsonschema.validate(document, strict(SCHEMA))
    spec = with_defaults(SPEC, document["spec"])
    verdict = compile_rule(DeclaredObject(resource=LINK_RULES, name=file.stem, spec=spec))
    assert verdict.rule is not None, verdict.message


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"priority": 1001},
        {"source": {"resources": [{"apiGroups": [], "resources": ["pods"]}]}},
        {"source": {"resources": [{"apiGroups": [""], "resources": ["pods/status"]}]}},
        {"source": {"resources": [{"apiGroups": [""], "resources": ["Pods"]}]}},
        {"targets": []},
        {"targets": [{**EVERY_TARGET[0], "resource": {"resource": "pods/status"}}]},
        {"targets": [{**EVERY_TARGET[0], "fieldPath": {"name": ".spec"}}]},
        {"targets": [{**EVERY_TARGET[3], "label": {"key": "a b"}}]},
        {"targets": [{**EVERY_TARGET[5], "maxTargets": 1001}]},
        {"link": {"class": "runs"}},
        {"cluster": {"mode": "Other"}},
    ],
)
def test_the_schema_refuses(change: dict[str, Any]) -> None:
    spec = {"source": PODS, "targets": EVERY_TARGET, **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spec, strict(SPEC))


def test_what_the_schema_takes_for_a_path_or_key_is_what_we_take() -> None:
    """Else a rule would be applied and then refused, or the other way round."""
    patterns = {path: part["pattern"] for path, part in parts(SPEC) if "pattern" in part}
    for key in ("app", "example.com/app", "a_b.c", "-a", "a/b/c", "a b", "A.b/c"):
        taken = re.search(patterns[".targets[].label.key"], key) is not None
        spec = {"source": PODS, "targets": [{**EVERY_TARGET[3], "label": {"key": key}}]}
        verdict = compile_rule(DeclaredObject(resource=LINK_RULES, name="r", spec=spec))
        assert verdict.accepted is taken, key
    assert patterns[".targets[].label.key"] == patterns[".cluster.labelKey"]
