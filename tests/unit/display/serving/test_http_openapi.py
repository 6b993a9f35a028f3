"""The description of the API: valid by itself, and of everything that is served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from kubeweft.display.serving.http.application import ROUTES, build_application, everybody
from kubeweft.display.serving.http.openapi import describe
from query_api import FixedAnswers

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture
def application() -> Any:
    return build_application(everybody(FixedAnswers()))


@pytest.fixture
def document(application: Any) -> Any:
    return describe(application[ROUTES], version="1.2.3")


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, item in document["paths"].items():
        assert set(item) <= METHODS
        for operation in item.values():
            yield path, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def schemas(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if "schema" in value:
            yield value["schema"]
        for inner in value.values():
            yield from schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas(inner)


def test_it_has_what_openapi_demands(document: Any) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"] == "1.2.3"
    assert set(document) <= {"openapi", "info", "servers", "paths", "components", "tags", "security"}
    assert all(path.startswith("/") for path in document["paths"])
    for _, operation in operations(document):
        assert operation["summary"]
        assert operation["responses"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d", status)
            assert response["description"]


def test_every_operation_has_a_name_of_its_own(document: Any) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names)) > 10


def test_parameters_are_whole_and_those_in_paths_are_there(document: Any) -> None:
    for path, operation in operations(document):
        places = [(one["name"], one["in"]) for one in operation["parameters"]]
        assert len(places) == len(set(places))
        in_path = {name for name, place in places if place == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        for parameter in operation["parameters"]:
            assert parameter["description"]
            assert parameter["schema"]
            assert parameter["required"] or parameter["in"] == "query"


def test_every_reference_leads_somewhere_and_no_schema_is_unused(document: Any) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) == known


def test_every_schema_is_one(document: Any) -> None:
    for schema in [*schemas(document["paths"]), *document["components"]["schemas"].values()]:
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_route_that_is_served_is_described_and_no_other(application: Any, document: Any) -> None:
    served = {resource.canonical for resource in application.router.resources()}
    assert served - {"/{path}"} == set(document["paths"])


def test_every_parameter_that_is_read_is_described(application: Any, document: Any) -> None:
    described = {
        path: {parameter["name"] for parameter in operation["parameters"]}
        for path, operation in operations(document)
    }
    for route in application[ROUTES]:
        read = {name for parameter in route.parameters for name in (parameter.name, *parameter.aliases)}
        assert described[route.path] == read


def test_how_a_request_may_be_refused_is_told(document: Any) -> None:
    open_to_all = {"/openapi.json", "/healthz", "/readyz"}
    for path, operation in operations(document):
        told_by_probes = {"503"} if path == "/readyz" else set()
        refused = {"403"} | told_by_probes if path in open_to_all else {"401", "403", "500", "503", "504"}
        told = {status for status in operation["responses"] if status not in ("200", "302", "400", "404")}
        assert told == refused
        assert ("security" in operation) == (path not in open_to_all)
