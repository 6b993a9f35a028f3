"""From the words of a policy to OTLP receivers that get what the policy selects. Nothing is connected to here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kubeweft.control.compiling.referring import References
from kubeweft.control.compiling.verdicts import PartOf, Problem, Unresolved
from kubeweft.control.declared.schema import ExporterSpec, Otlp, seconds
from kubeweft.control.declared.secrets import Known
from kubeweft.export.endpoints import grpc_target, http_url
from kubeweft.export.headers import checked_headers
from kubeweft.model.errors import BadInput, UserError
from kubeweft.model.plan import Exporter, Sampling, Scope

SHORTEST_TIMEOUT = 0.1
LONGEST_TIMEOUT = 300.0
_ENCRYPTED = ("https://", "grpcs://")
_PLAIN = ("http://", "grpc://")


@dataclass(frozen=True, slots=True)
class Exporters:
    """The receivers of one policy that nothing is missing for, what is missing for the others, and all Secrets named.

    ``waiting`` are the others, by their names in the plan.
    """

    made: tuple[Exporter, ...]
    waiting: tuple[str, ...]
    unresolved: tuple[Unresolved, ...]
    secrets: frozenset[str]


def compile_exporters(
    exporters: Iterable[ExporterSpec],
    scope: Scope,
    problems: list[Problem],
    *,
    sampling: Sampling,
    secrets: Known,
    namespace: str,
) -> Exporters:
    """The receivers of one policy. In the plan each is called ``policy/name``, because names are a policy's own."""
    made: list[Exporter] = []
    waiting: list[str] = []
    unresolved: list[Unresolved] = []
    names: set[str] = set()
    for entry in exporters:
        field = f"spec.exporters[{entry.name}].otlp"
        if entry.otlp is None:
            problems.append(Problem("InvalidSpec", field, "must be set when 'type' is OTLP"))
            continue
        exporter = _compile(f"{scope.policy}/{entry.name}", entry.otlp, scope, sampling)
        exporter = replace(exporter, timeout=_timeout(f"{field}.timeout", entry.otlp.timeout, problems))
        problems.extend(_check_address(field, exporter, entry.otlp))
        references = References(PartOf("exporter", entry.name), secrets, namespace=namespace)
        exporter = _with_secrets(exporter, entry.otlp, references)
        unresolved += references.unresolved
        names |= references.names
        if references.all_there:
            made.append(exporter)
        else:
            waiting.append(exporter.name)
    return Exporters(tuple(made), tuple(waiting), tuple(unresolved), frozenset(names))


def _compile(name: str, otlp: Otlp, scope: Scope, sampling: Sampling) -> Exporter:
    return Exporter(
        name=name,
        endpoint=otlp.endpoint,
        protocol=otlp.protocol,
        gzip=otlp.compression == "Gzip",
        insecure=otlp.tls.mode == "Disabled",
        verify=otlp.tls.mode != "InsecureSkipVerify",
        scopes=(scope,),
        sampling=sampling,
    )


def _with_secrets(exporter: Exporter, otlp: Otlp, references: References) -> Exporter:
    headers, tls = otlp.headers_secret_ref, otlp.tls
    if headers is not None:
        content = references.content(headers.name)
        if not content and references.all_there:
            references.refuse(headers.name, "it is empty: each of its keys would become a header")
        exporter = replace(exporter, headers=_headers(content))
        try:
            checked_headers(exporter)
        except UserError as error:
            references.refuse(headers.name, str(error).removeprefix(f"exporter {exporter.name}: "))
    if tls.ca_secret_ref is not None:
        ca = references.authority(tls.ca_secret_ref.name, tls.ca_secret_ref.key)
        exporter = replace(exporter, ca=ca)
    if tls.cert_secret_ref is not None:
        certificate, key = references.certificate(tls.cert_secret_ref.name)
        exporter = replace(exporter, client_certificate=certificate, client_key=key)
    return exporter


def _headers(content: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    """Every key is a header; a line break at the end of a value comes from the file that the Secret was made of."""
    return tuple((name, value.decode("utf-8", "replace").strip()) for name, value in sorted(content.items()))


def _check_address(field: str, exporter: Exporter, otlp: Otlp) -> Iterable[Problem]:
    try:
        if exporter.protocol == "GRPC":
            grpc_target(exporter)
        else:
            http_url(exporter)
    except UserError as error:
        yield Problem("InvalidSpec", f"{field}.endpoint", str(error))
        return
    address = otlp.endpoint.lower()
    if otlp.tls.mode == "Disabled" and address.startswith(_ENCRYPTED):
        message = "the endpoint's scheme asks for TLS and tls.mode is Disabled: change one of them"
        yield Problem("InvalidSpec", f"{field}.tls.mode", message)
    if otlp.tls.mode == "Disabled" or address.startswith(_PLAIN):
        for name, given in (
            ("caSecretRef", otlp.tls.ca_secret_ref),
            ("certSecretRef", otlp.tls.cert_secret_ref),
        ):
            if given is not None:
                message = "certificates are for TLS, which the endpoint's scheme or tls.mode switches off"
                yield Problem("InvalidSpec", f"{field}.tls.{name}", message)


def _timeout(field: str, text: str, problems: list[Problem]) -> float:
    try:
        timeout = seconds(text)
    except BadInput as error:
        problems.append(Problem("InvalidSpec", field, str(error)))
        return LONGEST_TIMEOUT
    if not SHORTEST_TIMEOUT <= timeout <= LONGEST_TIMEOUT:
        problems.append(Problem("InvalidSpec", field, "must be from 100ms to 5m"))
    return timeout
