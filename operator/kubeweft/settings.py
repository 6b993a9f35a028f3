"""What the installation decides: flags, environment (``KUBEWEFT_*``) and a TOML file, in this order of strength.

All fields are checked at once and all errors are told together. What a policy decides is not here: see
``kubeweft.control``.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kubeweft.export.endpoints import parse_endpoint
from kubeweft.model.errors import UserError
from kubeweft.model.windows import DEFAULT_WINDOW_SECONDS

CLUSTER_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
GIBIBYTE = 1024**3
ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
INSTALLED_INTO = "kubeweft-system"


class Settings(BaseSettings):
    """All settings of ``kubeweft run``; the other commands use ``store`` and ``cluster`` only."""

    model_config = SettingsConfigDict(env_prefix="KUBEWEFT_", extra="forbid", frozen=True)

    kubeconfig: str = Field("", description="kubeconfig file; empty: KUBECONFIG, in-cluster, ~/.kube/config")
    context: str = Field("", description="kubeconfig context; empty: the current one")
    cluster: str = Field(
        "local", pattern=CLUSTER_NAME, max_length=63, description="name of the local cluster"
    )
    namespace: str = Field(
        default_factory=lambda: own_namespace(),  # noqa: PLW0108
        min_length=1,
        description="namespace with the Secrets that policies name; default: the pod's own, else kubeweft-system",
    )
    store: str = Field("kubeweft.db", min_length=1, description="file of the embedded store")
    store_max_bytes: int = Field(
        20 * GIBIBYTE, ge=1024**2, description="size of the store at which writing stops"
    )
    max_pending_spans: int = Field(
        5_000_000, ge=1000, description="spans that may wait for an exporter before writing stops"
    )
    window_seconds: int = Field(
        DEFAULT_WINDOW_SECONDS,
        ge=60,
        le=86_400,
        description="length of a trace window: part of every trace ID",
    )
    audit_listen: str = Field("", description="HOST:PORT of the audit webhook; empty: none")
    audit_token_file: str = Field("", description="file with the bearer token that the audit webhook demands")
    audit_tls_cert: str = Field("", description="certificate file of the audit webhook; empty: plain HTTP")
    audit_tls_key: str = Field("", description="key file that belongs to audit_tls_cert")
    audit_client_ca: str = Field(
        "",
        description="CA file: API servers may prove by a certificate it signed, with the cluster's name as CN, who they are",
    )
    audit_log: str = Field(
        "", description="audit log file of the local cluster's API server, followed as it grows; empty: none"
    )
    admission_listen: str = Field(
        "", description="HOST:PORT of the webhook that checks policies and rules at admission; empty: none"
    )
    admission_host: str = Field(
        "", description="name or IP by which the API server reaches admission_listen; empty: its host"
    )
    admission_service: str = Field(
        "",
        pattern=r"^([^/\s]+/[^/\s]+)?$",
        description="NAMESPACE/NAME of the Service in front of admission_listen, instead of admission_host",
    )
    status_listen: str = Field("", description="HOST:PORT of /metrics, /healthz and /readyz; empty: none")
    otlp: str = Field(
        "", description="OTLP receiver that gets every span: http://host:4318 or grpc://host:4317"
    )
    otlp_listen: str = Field(
        "",
        description="HOST:PORT where spans of other components are taken by OTLP/gRPC, to be shown with the requests and Pods"
        " they belong to; empty: none",
    )
    otlp_listen_http: str = Field(
        "", description="HOST:PORT of the same by OTLP/HTTP (/v1/traces); empty: none"
    )
    otlp_token_file: str = Field(
        "", description="file with the bearer token that senders of spans have to show; kube-apiserver cannot"
    )
    otlp_insecure_no_auth: bool = Field(
        False,
        description="take spans at addresses that other machines reach without asking who is there, because a NetworkPolicy"
        " keeps others out",
    )
    otlp_tls_cert: str = Field(
        "", description="certificate file of the addresses where spans are taken; empty: no TLS"
    )
    otlp_tls_key: str = Field("", description="key file that belongs to otlp_tls_cert")
    otlp_insecure_no_tls: bool = Field(
        False,
        description="take the token of senders without TLS at addresses that other machines reach, because a proxy or a mesh"
        " encrypts it",
    )
    without_policy: Literal["everything", "nothing"] = Field(
        "everything", description="what to trace while there is no TracingPolicy"
    )
    serve_grpc: str = Field(
        "", description="HOST:PORT of Jaeger's storage API, by which Jaeger shows what is stored; empty: none"
    )
    serve_http: str = Field(
        "", description="HOST:PORT of the query API for Grafana and browsers; empty: none"
    )
    serve_auth: Literal["none", "kubernetes"] = Field(
        "none",
        description="who may ask there: everybody, or whom a bearer token says, about what Kubernetes lets that one read",
    )
    serve_insecure_no_auth: bool = Field(
        False, description="serve at addresses that other machines reach without asking who is there"
    )
    serve_ui: str = Field(
        "", description="folder with a built Jaeger UI, served with the query API; empty: none"
    )
    serve_allow_host: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="names by which serve_http may be asked, beside its IP addresses and localhost; several with commas"
        " between",
    )
    serve_allow_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="pages of other servers that may read the query API, https://grafana.example or * for all; several"
        " with commas between",
    )
    serve_base_path: str = Field(
        "", description="what stands before every path of serve_http, for example /kubeweft; empty: nothing"
    )
    serve_trace_page: str = Field(
        "",
        description="where /redirect leads to, with {trace_id} in it: the page of a Jaeger that reads serve_grpc; empty:"
        " the page here",
    )
    serve_tls_cert: str = Field(
        "", description="certificate file of what is served to viewers; empty: no TLS"
    )
    serve_tls_key: str = Field("", description="key file that belongs to serve_tls_cert")
    serve_insecure_no_tls: bool = Field(
        False,
        description="take the tokens of people without TLS at addresses that other machines reach, because a proxy or a mesh"
        " encrypts them",
    )
    serve_shared_identities: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="joined clusters in which users and groups are the same people as in the local one: serve_auth asks them"
        " about those by name; of other joined clusters nothing is shown; several with commas between",
    )
    views: str | dict[str, Any] = Field(
        "", description="YAML file with views of your own; in the --config file also a table of them"
    )
    extensions: str | dict[str, Any] = Field(
        "",
        description="YAML file that names other trace stores (Jaeger, Tempo) to fetch spans from; in the --config file also"
        " a table",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much to log")
    log_format: Literal["text", "json"] = Field("text", description="log lines for people or for machines")

    @field_validator(
        "audit_listen",
        "status_listen",
        "admission_listen",
        "serve_grpc",
        "serve_http",
        "otlp_listen",
        "otlp_listen_http",
    )
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value:
            parse_address(value)
        return value

    @field_validator("serve_allow_host", "serve_allow_origin", "serve_shared_identities", mode="before")
    @classmethod
    def _in_words(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("otlp")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        try:
            if value:
                parse_endpoint(value)
        except UserError as error:
            raise ValueError(str(error)) from None
        return value


def load(*, flags: dict[str, Any], file: Path | None) -> Settings:
    """Settings from all sources; raises ``UserError`` that lists every problem."""
    from_file = _read_file(file) if file else {}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        from_environment = _environment_names()
        below = {k: value for k, value in from_file.items() if k not in from_environment}
        return Settings(**{**below, **given})
    except ValidationError as error:
        raise UserError("\n".join(["the settings are not right:", *_problems(error)])) from None


def own_namespace(account: Path = ACCOUNT_FOLDER) -> str:
    """The namespace of the pod we run in, from its service account; elsewhere the one Kubeweft is installed into."""
    try:
        return (account / "namespace").read_text(encoding="utf-8").strip() or INSTALLED_INTO
    except (OSError, UnicodeDecodeError):
        return INSTALLED_INTO


def parse_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, ``:PORT`` (all addresses) or ``[IPv6]:PORT``; port 0 takes a free one."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:9443")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  ":PORT" asks for it


def _read_file(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as content:
            return tomllib.load(content)
    except OSError as error:
        raise UserError(f"cannot read the settings file {file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"the settings file {file} is no valid TOML: {error}") from error


def _environment_names() -> set[str]:
    prefix = "KUBEWEFT_"
    return {name[len(prefix) :].lower() for name in os.environ if name.upper().startswith(prefix)}


def _problems(error: ValidationError) -> list[str]:
    return [
        f"  {'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
