"""From the words of a policy to OTLP receivers that get what the policy selects. Nothing is connected to here."""

from __future__ import annotations

from collections.abc import Iterable

from kubeweft.control.schema import ExporterSpec, Otlp, seconds
from kubeweft.control.verdicts import Problem
from kubeweft.export.endpoints import grpc_target, http_url
from kubeweft.model.errors import BadInput, UserError
from kubeweft.model.plan import Exporter, Scope

SHORTEST_TIMEOUT = 0.1
LONGEST_TIMEOUT = 300.0
_ENCRYPTED = ("https://", "grpcs://")


def compile_exporters(
    exporters: Iterable[ExporterSpec], scope: Scope, problems: list[Problem]
) -> tuple[Exporter, ...]:
    """The receivers of one policy. In the plan each is called ``policy/name``, because names are a policy's own."""
    made = []
    for entry in exporters:
        field = f"spec.exporters[{entry.name}].otlp"
        if entry.otlp is None:
            problems.append(Problem("InvalidSpec", field, "must be set when 'type' is OTLP"))
            continue
        timeout = _timeout(f"{field}.timeout", entry.otlp.timeout, problems)
        exporter = _compile(f"{scope.policy}/{entry.name}", entry.otlp, scope, timeout=timeout)
        problems.extend(_check_address(field, exporter, entry.otlp))
        made.append(exporter)
    return tuple(made)


def _compile(name: str, otlp: Otlp, scope: Scope, *, timeout: float) -> Exporter:
    return Exporter(
        name=name,
        endpoint=otlp.endpoint,
        protocol=otlp.protocol,
        gzip=otlp.compression == "Gzip",
        timeout=timeout,
        insecure=otlp.tls.mode == "Disabled",
        verify=otlp.tls.mode != "InsecureSkipVerify",
        scopes=(scope,),
    )


def _check_address(field: str, exporter: Exporter, otlp: Otlp) -> Iterable[Problem]:
    try:
        if exporter.protocol == "GRPC":
            grpc_target(exporter)
        else:
            http_url(exporter)
    except UserError as error:
        yield Problem("InvalidSpec", f"{field}.endpoint", str(error))
        return
    if otlp.tls.mode == "Disabled" and otlp.endpoint.lower().startswith(_ENCRYPTED):
        message = "the endpoint's scheme asks for TLS and tls.mode is Disabled: change one of them"
        yield Problem("InvalidSpec", f"{field}.tls.mode", message)


def _timeout(field: str, text: str, problems: list[Problem]) -> float:
    try:
        timeout = seconds(text)
    except BadInput as error:
        problems.append(Problem("InvalidSpec", field, str(error)))
        return LONGEST_TIMEOUT
    if not SHORTEST_TIMEOUT <= timeout <= LONGEST_TIMEOUT:
        problems.append(Problem("InvalidSpec", field, "must be from 100ms to 5m"))
    return timeout
