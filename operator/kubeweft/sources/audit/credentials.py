"""Who may send audit events, and how we prove who we are: a bearer token file and a certificate, both renewable.

Files are looked at again when they are used, so that a renewed Secret volume takes effect without a restart. A file
that is broken or gone meanwhile leaves what was read before in force.
"""

from __future__ import annotations

import hmac
import logging
import ssl
from pathlib import Path

from kubeweft.model.errors import UserError

logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class BearerToken:
    """The token that a file holds."""

    def __init__(self, file: Path) -> None:
        """Raises ``UserError`` if the file cannot be read or holds no token."""
        self._file = file
        self._stamp = _stamp_of(file)
        self._token = _read_token(file)

    def admits(self, authorization: str) -> bool:
        """Whether an ``Authorization`` header carries the token; takes the same time for every wrong one."""
        self._renew()
        scheme, _, given = authorization.partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        return same and scheme.lower() == "bearer"

    def _renew(self) -> None:
        try:
            stamp = _stamp_of(self._file)
            if stamp != self._stamp:
                self._token = _read_token(self._file)
                self._stamp = stamp
        except UserError as error:
            logger.warning("the renewed audit token cannot be read, keeping the old: reason=%s", error)


class ServingCertificate:
    """A certificate and its key for TLS 1.2 and newer, read again for each new connection if the files changed."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises ``UserError`` if the two cannot be used."""
        self._files = (certificate, key)
        self._stamps = self._stamp()
        self._current = self._load()
        self.context = self._load()
        self.context.sni_callback = self._choose

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        try:
            stamps = self._stamp()
            if stamps != self._stamps:
                self._current = self._load()
                self._stamps = stamps
        except UserError as error:
            logger.warning("the renewed certificate cannot be used, keeping the old: reason=%s", error)
        connection.context = self._current

    def _stamp(self) -> tuple[Stamp, ...]:
        return tuple(_stamp_of(file) for file in self._files)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        certificate, key = self._files
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"cannot use the certificate {certificate} with the key {key}: "
                f"{error.strerror or error}; both must be PEM files that belong together"
            ) from None
        return context


def _read_token(file: Path) -> bytes:
    try:
        token = file.read_bytes().strip()
    except OSError as error:
        raise UserError(f"cannot read the audit token file {file}: {error.strerror}") from error
    if not token:
        raise UserError(
            f"the audit token file {file} is empty: put a random token of 32 bytes or more into it"
        )
    return token


def _stamp_of(file: Path) -> Stamp:
    try:
        status = file.stat()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    return status.st_mtime_ns, status.st_size, status.st_ino
