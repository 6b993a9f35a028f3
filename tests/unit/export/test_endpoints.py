"""Addresses of receivers as people write them."""

import pytest

from kubeweft.export.endpoints import grpc_target, http_url, parse_endpoint
from kubeweft.export.sending import check_exporter
from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter


@pytest.mark.parametrize(
    ("text", "target", "plain"),
    [
        ("localhost:4317", "localhost:4317", True),
        ("grpc://otel.example:4317", "otel.example:4317", True),
        ("grpcs://otel.example:443/", "otel.example:443", False),
        ("GRPC://[::1]:4317", "[::1]:4317", True),
        ("10.0.0.1:14317", "10.0.0.1:14317", True),
        (" collector.monitoring.svc:4317 ", "collector.monitoring.svc:4317", True),
    ],
)
def test_grpc_addresses(text: str, target: str, plain: bool) -> None:
    exporter = parse_endpoint(text)
    assert exporter.protocol == "GRPC"
    assert grpc_target(exporter) == (target, plain)
    check_exporter(exporter)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("https://otlp.example/", "https://otlp.example/v1/traces"),
        ("https://otlp.example/otlp/v1/traces", "https://otlp.example/otlp/v1/traces"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ("HTTP://host:4318//", "http://host:4318/v1/traces"),
    ],
)
def test_http_addresses(text: str, url: str) -> None:
    exporter = parse_endpoint(text)
    assert exporter.protocol == "HTTPProtobuf"
    assert exporter.insecure is url.startswith("http:")
    assert http_url(exporter) == url
    check_exporter(exporter)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no host"),
        ("localhost", "port is missing"),
        ("grpc://localhost", "port is missing"),
        ("localhost:4318", "http://localhost:4318"),
        ("ftp://localhost:21", "scheme ftp:// is not known"),
        ("localhost:http", "grpc://host:4317"),
        ("localhost:99999", "grpc://host:4317"),
        ("http://", "names no host"),
        ("a:4317,b:4317", "host:4317"),
        ("http://a b:4318", "names no host"),
        ("grpc://localhost:4317/v1/traces", "gRPC has no path"),
        ("http://host:4318/?token=x", "into headers"),
        ("http://[::1:4318", "grpc://host:4317"),
    ],
)
def test_what_is_unclear_is_refused_with_what_to_write(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told.replace("?", r"\?")):
        parse_endpoint(text)


def test_a_password_in_the_address_is_refused_and_not_quoted() -> None:
    with pytest.raises(UserError, match="into headers") as caught:
        parse_endpoint("https://me:hunter2@otlp.example")
    assert "hunter2" not in str(caught.value)


def test_an_exporter_is_named_for_its_address_unless_named() -> None:
    assert parse_endpoint("localhost:4317").name == "localhost:4317"
    assert parse_endpoint("http://localhost:4318/").name == "http://localhost:4318"
    assert parse_endpoint("localhost:4317", name="jaeger").name == "jaeger"


@pytest.mark.parametrize(
    ("exporter", "told"),
    [
        (Exporter("e", "host:4318", protocol="HTTPProtobuf"), "HTTP wants a URL"),
        (Exporter("e", "grpc://h:4317", protocol="HTTPProtobuf"), "HTTP wants a URL"),
        (Exporter("e", "host"), "port is missing"),
        (Exporter("e", "unix:///socket"), "scheme unix:// is not known"),
        (Exporter("e", "host:4317", protocol="Thrift"), "GRPC or HTTPProtobuf"),
        (Exporter("e", "host:4317", timeout=0.0), "longer than 0"),
        (Exporter("e", "host:4317", headers=(("a b", "x"),)), "name of a header"),
        (Exporter("e", "host:4317", headers=(("x-bin", "x"),)), "name of a header"),
        (Exporter("e", "host:4317", headers=(("Content-Type", "x"),)), "name of a header"),
    ],
)
def test_an_exporter_that_cannot_work_is_refused(exporter: Exporter, told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_exporter(exporter)


def test_a_header_value_that_cannot_be_sent_is_refused_and_not_quoted() -> None:
    exporter = Exporter("e", "host:4317", headers=(("authorization", "Bearer s3cret\nX-Evil: 1"),))
    with pytest.raises(UserError, match="authorization") as caught:
        check_exporter(exporter)
    assert "s3cret" not in str(caught.value)


def test_a_scheme_decides_about_tls_and_without_one_the_setting_does() -> None:
    assert grpc_target(Exporter("e", "https://h:443", insecure=True)) == ("h:443", False)
    assert grpc_target(Exporter("e", "h:443", insecure=False)) == ("h:443", False)
    assert grpc_target(Exporter("e", "h:443", insecure=True)) == ("h:443", True)
