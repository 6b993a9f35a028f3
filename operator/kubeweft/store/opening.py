"""Where to read from, in one line: a file of ours, a Jaeger storage, or a Jaeger that runs already.

Nothing is connected to here; what is wrong with an address is told with the forms that work.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from kubeweft.model.errors import UserError
from kubeweft.model.windows import NANOSECONDS
from kubeweft.store.interfaces import SpanReader
from kubeweft.store.remote.query import QuerySource
from kubeweft.store.remote.reader import RemoteReader
from kubeweft.store.remote.sources import MEBIBYTE, RemoteOptions
from kubeweft.store.remote.storage import StorageSource
from kubeweft.store.sqlite_reader import SqliteReader

FORMS: Final = (
    "FILE, jaeger-storage://HOST:17271 or grpc://… (jaeger.storage.v2; with TLS jaeger-storage+tls:// or grpcs://), or"
    " jaeger-query+http://HOST:16686 or http://… (the query API of a Jaeger; with TLS jaeger-query+https:// or https://)"
)
OPTIONS: Final = "timeout, depth, lookback, window, fresh, max-mib, ca, token-file"
_SCHEME: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_SCHEMES: Final = {  # scheme → the protocol, and whether it is TLS
    "jaeger-storage": ("grpc", False),
    "jaeger-storage+tls": ("grpc", True),
    "grpc": ("grpc", False),
    "grpcs": ("grpc", True),
    "jaeger-query+http": ("http", False),
    "jaeger-query+https": ("http", True),
    "http": ("http", False),
    "https": ("http", True),
}
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Place(NamedTuple):
    """A remote store: how it is spoken to, where, and with which options."""

    protocol: str
    target: str
    options: RemoteOptions


class OpenedReader(SpanReader, Protocol):
    """A reader that is closed after use, and knows which resource types it holds."""

    def known_resources(self) -> list[tuple[str, str, str]]:
        """All (group, resource, kind) that have spans; the kind is empty where it is not told."""

    def close(self) -> None:
        """Let the store go."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def is_remote(address: str) -> bool:
    """Whether an address names something else than a file."""
    return _SCHEME.match(address) is not None


def open_reader(
    address: str, *, window_seconds: int | None = None, token_file: str = "", ca_file: str = ""
) -> OpenedReader:
    """The store at an address; UserError says what to write instead. ``window_seconds`` is the installation's setting.

    The files may be named here instead of in the address: a bearer token, and the CA that signed the certificate.
    """
    if not is_remote(address):
        return SqliteReader(address)
    place = parse_address(address, window_seconds=window_seconds, token_file=token_file, ca_file=ca_file)
    source = StorageSource if place.protocol == "grpc" else QuerySource
    return RemoteReader(source(place.target, place.options), place.options)


def parse_address(
    address: str, *, window_seconds: int | None = None, token_file: str = "", ca_file: str = ""
) -> Place:
    """What the address of a remote store means; UserError if it means nothing."""
    found = _SCHEME.match(address)
    scheme = found[1].lower() if found else ""
    if scheme not in _SCHEMES:
        raise UserError(f"no store is known as {scheme}://: write {FORMS}")
    protocol, tls = _SCHEMES[scheme]
    parts = _split(address)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    token = _file(given.pop("token-file", token_file), "token-file").decode("utf-8", "replace").strip()
    ca = _file(given.pop("ca", ca_file), "ca")
    options = dataclasses.replace(_options(given, window_seconds), tls=tls, token=token, ca=ca)
    _check_secrets(options, parts.hostname)
    if protocol == "http":
        path = parts.path.rstrip("/")
        return Place(protocol, f"http{'s' if tls else ''}://{parts.netloc}{path}", options)
    if parts.port is None or parts.path.strip("/"):
        raise UserError(f"a Jaeger storage is HOST:PORT: write {FORMS}")
    return Place(protocol, parts.netloc, options)


def _split(address: str) -> SplitResult:
    """The parts of an address. Messages never quote it: it may hold a password."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"the address of the store: {error}; write {FORMS}") from None
    if parts.username is not None:
        raise UserError("the address of the store: put a token into a file, and name it with ?token-file=")
    if not host:
        raise UserError(f"the address of the store names no host: write {FORMS}")
    return parts


def _options(given: dict[str, str], window_seconds: int | None) -> RemoteOptions:
    default = RemoteOptions()
    window = _seconds(given, "window", window_seconds)
    made = RemoteOptions(
        window_length=default.window_length if window is None else window * NANOSECONDS,
        timeout=_seconds(given, "timeout", 0) or default.timeout,
        depth=_number(given, "depth", default.depth),
        fresh=_number(given, "fresh", int(default.fresh), least=0),
        lookback=(_seconds(given, "lookback", 0) or 0) * NANOSECONDS,
        largest_answer=_number(given, "max-mib", default.largest_answer // MEBIBYTE) * MEBIBYTE,
    )
    if given:
        raise UserError(
            f"the address of the store: {', '.join(sorted(given))} is not known; there are {OPTIONS}"
        )
    return made


def _check_secrets(options: RemoteOptions, host: str | None) -> None:
    if options.ca and not options.tls:
        raise UserError("the address of the store: a CA needs TLS: write grpcs:// or https://")
    if options.token and not options.tls and host not in _LOOPBACK:
        raise UserError("the address of the store: a token would travel in plain text: use TLS")


def _file(path: str, name: str) -> bytes:
    if not path:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"the address of the store: cannot read {name} {path}: {error.strerror}") from None


def _number(given: dict[str, str], name: str, default: int, *, least: int = 1) -> int:
    text = given.pop(name, str(default))
    if not text.isdecimal() or not least <= int(text) <= 1_000_000:
        raise UserError(f"the address of the store: {name} is a whole number from {least} on, not {text!r}")
    return int(text)


def _seconds(given: dict[str, str], name: str, default: int | None) -> int | None:
    text = given.pop(name, "")
    if not text:
        return default
    number, unit = (text[:-1], text[-1]) if text[-1] in _UNITS else (text, "s")
    if not number.isdecimal() or not 0 < int(number) <= 10_000_000:
        raise UserError(
            f"the address of the store: {name} is a duration such as 30s, 10m or 14d, not {text!r}"
        )
    return int(number) * _UNITS[unit]
