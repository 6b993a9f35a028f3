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

    def __init__(self, certificate: Path, key: Path, *, client_ca: Path | None = None) -> None:
        """Raises ``UserError`` if the files cannot be used. With ``client_ca``, clients may show a certificate of it."""
        self._files = (certificate, key)
        self._client_ca = client_ca
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
        authority = (self._client_ca,) if self._client_ca is not None else ()
        return tuple(_stamp_of(file) for file in (*self._files, *authority))

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
        if self._client_ca is not None:
            self._demand_if_shown(context, self._client_ca)
        return context

    def _demand_if_shown(self, context: ssl.SSLContext, authority: Path) -> None:
        """Whoever shows a certificate must have it from ``authority``. No sessions: they would outlive the file."""
        context.verify_mode = ssl.CERT_OPTIONAL
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"cannot use {authority} to check the certificates of audit senders: {error.strerror or error}; "
                "it must be a PEM file with the certificate of an authority"
            ) from None


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
