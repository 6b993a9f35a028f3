"""Addresses that others may reach: who is asked who they are there, and how what they send is kept from being read.

Strangers get in nowhere by mistake: whoever wants that has to say so.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kubeweft.display.serving.http.server import is_loopback
from kubeweft.model.errors import UserError
from kubeweft.settings import parse_address


class CertificateFiles(NamedTuple):
    """The contents of a certificate's files, both PEM: its private key, and it with its chain."""

    key: bytes
    chain: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What keeps strangers out of some addresses, and the words for it.

    ``options`` is how the names of its options begin (``--otlp-``), ``ask`` the one by which callers are ``asked`` who they
    are; ``everybody`` is what all may do where nobody is asked (``without_auth``), ``secrets`` what callers send.
    """

    options: str
    ask: str
    everybody: str
    secrets: str
    asked: bool
    without_auth: bool = False
    without_tls: bool = False
    tls_cert: str = ""
    tls_key: str = ""

    def check(self, option: str, address: str) -> None:
        """Raise ``UserError`` where an address is none, or strangers could get in, or read secrets on their way."""
        try:
            host, _ = parse_address(address)
        except ValueError as error:
            raise UserError(f"{option} {address}: {error}") from None
        if is_loopback(host):
            return
        if not self.asked and not self.without_auth:
            raise UserError(
                f"{option} {address} can be reached from other machines, and nobody would be asked who they are: add "
                f"{self.ask}, or {self.options}insecure-no-auth if everybody there {self.everybody}"
            )
        if self.asked and not (self.tls_cert or self.without_tls):
            raise UserError(
                f"{option} {address} can be reached from other machines, and {self.secrets} would travel there for "
                f"everybody to read: add {self.options}tls-cert and {self.options}tls-key, or "
                f"{self.options}insecure-no-tls if a proxy or a mesh encrypts"
            )

    def certificate(self) -> CertificateFiles | None:
        """The certificate to be shown; None without TLS. Raises ``UserError`` where it is not whole, or cannot be read."""
        if not self.tls_cert and not self.tls_key:
            return None
        if not self.tls_cert or not self.tls_key:
            raise UserError(
                f"TLS needs both a certificate and its key: {self.options}tls-cert and {self.options}tls-key"
            )
        return CertificateFiles(key=_content(self.tls_key), chain=_content(self.tls_cert))

    def context(self) -> ssl.SSLContext | None:
        """The same for Python's own servers; raises ``UserError`` also where key and certificate do not fit together."""
        if self.certificate() is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key)
        except (ssl.SSLError, OSError) as error:
            raise UserError(
                f"{self.tls_cert} and {self.tls_key} are no certificate and its key: {error}"
            ) from None
        return context


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
