"""Addresses of stores: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeweft.model.errors import UserError
from kubeweft.model.windows import NANOSECONDS
from kubeweft.store.opening import is_remote, open_reader, parse_address
from kubeweft.store.remote.reader import RemoteReader
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.sqlite_reader import SqliteReader


def test_a_path_is_the_embedded_store(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "store.db").close()
    with open_reader(str(tmp_path / "store.db")) as reader:
        assert isinstance(reader, SqliteReader)
        assert reader.clusters() == []
    assert not is_remote("kubeweft.db")
    assert not is_remote("/var/lib/kubeweft/store:2.db")


@pytest.mark.parametrize(
    ("address", "protocol", "target", "tls"),
    [
        ("jaeger-storage://store:17271", "grpc", "store:17271", False),
        ("grpc://[::1]:17271", "grpc", "[::1]:17271", False),
        ("jaeger-storage+tls://store:443", "grpc", "store:443", True),
        ("GRPCS://store:443", "grpc", "store:443", True),
        ("jaeger-query+http://jaeger:16686", "http", "http://jaeger:16686", False),
        ("jaeger-query+https://jaeger/base/", "http", "https://jaeger/base", True),
        ("https://jaeger", "http", "https://jaeger", True),
    ],
)
def test_what_an_address_means(address: str, protocol: str, target: str, tls: bool) -> None:
    assert is_remote(address)
    place = parse_address(address)
    assert (place.protocol, place.target, place.options.tls) == (protocol, target, tls)
    with open_reader(address) as reader:  # nothing is connected to
        assert isinstance(reader, RemoteReader)


def test_options_stand_behind_the_address(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "ca.pem").write_text("PEM")
    options = parse_address(
        "grpcs://store:1?timeout=1m&depth=50&lookback=14d&window=10m&fresh=0&max-mib=3"
        f"&token-file={tmp_path / 'token'}&ca={tmp_path / 'ca.pem'}"
    ).options
    assert (options.timeout, options.depth, options.fresh) == (60, 50, 0)
    assert options.lookback == 14 * 86_400 * NANOSECONDS
    assert options.window_length == 600 * NANOSECONDS
    assert options.largest_answer == 3 * 1024 * 1024
    assert (options.token, options.ca) == ("secret", b"PEM")
    assert "secret" not in repr(options)
    apart = parse_address(
        "grpcs://store:1", token_file=str(tmp_path / "token"), ca_file=str(tmp_path / "ca.pem")
    ).options
    assert (apart.token, apart.ca) == ("secret", b"PEM")


def test_the_length_of_windows_is_that_of_the_installation_unless_the_address_says_otherwise() -> None:
    assert parse_address("grpc://s:1", window_seconds=300).options.window_length == 300 * NANOSECONDS
    assert parse_address("grpc://s:1?window=60", window_seconds=300).options.window_length == 60 * NANOSECONDS


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redis://store:1", "no store is known as redis://: write FILE"),
        ("jaeger-storage://store", "HOST:PORT"),
        ("grpc://store:1/path", "HOST:PORT"),
        ("grpc://:17271", "names no host"),
        ("grpc://store:port", "Port could not be cast"),
        ("https://me:secret@jaeger", "put a token into a file"),
        ("grpc://store:1?timeout=never", "timeout is a duration such as 30s"),
        ("grpc://store:1?depth=0", "depth is a whole number from 1 on"),
        ("grpc://store:1?deepness=5", "deepness is not known; there are timeout"),
        ("grpc://store:1?ca=/does/not/exist", "cannot read ca /does/not/exist"),
    ],
)
def test_an_address_that_means_nothing_is_told_what_would(address: str, said: str) -> None:
    with pytest.raises(UserError) as told:
        open_reader(address)
    assert said in str(told.value)
    assert "secret" not in str(told.value)


def test_a_token_does_not_travel_in_plain_text_except_within_this_machine(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    with pytest.raises(UserError, match="plain text: use TLS"):
        parse_address(f"grpc://store:1?token-file={tmp_path / 'token'}")
    assert parse_address(f"http://localhost:1?token-file={tmp_path / 'token'}").options.token == "secret"
    with pytest.raises(UserError, match="a CA needs TLS"):
        parse_address(f"grpc://store:1?ca={tmp_path / 'token'}")
