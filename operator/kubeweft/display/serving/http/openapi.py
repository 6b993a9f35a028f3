"""The description of the API (OpenAPI 3.1), made from the very table that is served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kubeweft.display.serving.http.describing import Answer, Parameter, Route
from kubeweft.display.serving.http.failing import Dialect
from kubeweft.display.serving.http.schemas import SCHEMAS, reference

ABOUT: Final = """\
What happened to the objects of Kubernetes clusters, as traces. A *service* is a view, alone or with a selection of \
objects around the one asked for (`tree`, `tree ancestors`); an *operation* is a cluster; *tags* select objects.

The old dialect is that of Jaeger's UI up to 2.19 and of Grafana's Jaeger data source, v3 that of newer ones.
"""
GUARD: Final[list[dict[str, list[str]]]] = [{}, {"bearer": []}]
SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "A Kubernetes token, where the server asks for one.",
}


def describe(routes: Iterable[Route], *, version: str, base_path: str = "") -> dict[str, Any]:
    """The document for these routes."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kubeweft", "version": version, "description": ABOUT},
        "servers": [{"url": base_path or "/"}],
        "paths": {route.path: {"get": _operation(route)} for route in routes},
        "components": {"schemas": dict(SCHEMAS), "securitySchemes": {"bearer": SCHEME}},
    }


def refusals(dialect: Dialect, *, guarded: bool) -> tuple[Answer, ...]:
    """How every route answers where it does not do what it is for."""
    means = {403: "The request names another host than this one."}
    if guarded:
        means = {
            401: "Nobody knows who asks.",
            403: "Whoever asks may not, or names another host than this one.",
            500: "The server failed; its log says why.",
            503: "Too many questions at a time, or the store is busy: come again (`Retry-After`).",
            504: "It took too long: ask for less.",
        }
    shape = {"old": "StructuredError", "v3": "GatewayError", "plain": "PlainError"}[dialect]
    return tuple(
        [Answer(status=status, means=text, schema=reference(shape)) for status, text in means.items()]
    )


def _operation(route: Route) -> dict[str, Any]:
    answers = (*route.answers, *refusals(route.dialect, guarded=route.guarded))
    described: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.title,
        "tags": [route.group],
        "parameters": [described for parameter in route.parameters for described in _with_aliases(parameter)],
        "responses": {str(answer.status): _answer(answer) for answer in answers},
    }
    if route.about:
        described["description"] = route.about
    if route.guarded:
        described["security"] = GUARD
    return described


def _with_aliases(parameter: Parameter) -> Iterable[dict[str, Any]]:
    yield _parameter(parameter)
    for alias in parameter.aliases:
        also = _parameter(parameter)
        yield {
            **also,
            "name": alias,
            "deprecated": True,
            "description": f"The same as `{parameter.name}`, which counts where both are given.",
        }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: Mapping[str, Any] = parameter.schema
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.means,
        "required": parameter.required,
        "schema": {"type": "array", "items": schema} if parameter.repeated else schema,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.means}
    if answer.media:
        described["content"] = {answer.media: {"schema": answer.schema} if answer.schema else {}}
    return described
