"""Which names a server on the loopback answers to, and what compressed answers are asked for."""

from __future__ import annotations

import pytest

from kubeweft.display.serving.http.guarding import is_known_host
from kubeweft.display.serving.http.server import is_loopback
from kubeweft.display.serving.http.writing import accepts


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:16686",
        "127.0.0.1",
        "[::1]:16686",
        "[::1]",
        "::1",
        "192.168.1.5:80",
        "localhost",
        "LOCALHOST:16686",
        "localhost.:80",
        "kubeweft.localhost:80",
        "traces.example:443",
        "Traces.Example",
    ],
)
def test_addresses_localhost_and_configured_names_are_known(host: str) -> None:
    assert is_known_host(host, ("traces.example",))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:16686",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "notlocalhost",
        "",
        "[::1].evil.example]",
        "evil.example:127.0.0.1",
        "traces.example.evil.example",
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not is_known_host(host, ("traces.example",))


def test_what_only_this_machine_reaches_is_loopback() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "", "10.0.0.1", "example.com"))  # noqa: S104


def test_gzip_is_taken_from_those_who_take_it() -> None:
    assert all(accepts(header, "gzip") for header in ("gzip", "deflate, GZIP;q=0.5", "br , gzip;q=1.0"))
    assert not any(
        accepts(header, "gzip") for header in ("", "gzip;q=0", "gzip; q=0.000", "deflate", "x-gzip")
    )
