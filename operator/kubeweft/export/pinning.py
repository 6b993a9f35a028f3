"""Connecting by gRPC without verifying who answers, for ``verify: false`` only.

gRPC cannot skip verification as HTTP clients can, so the certificate that the server shows is taken as the only one
to trust, and its own name as the expected one. That protects against nobody, which is what was asked for. An expired
certificate is refused even so.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kubeweft.export.client_certificates import present_client_certificate
from kubeweft.model.plan import Exporter
from kubeweft.runtime.tls_endings import wait_for_no_farewell


@dataclass(frozen=True, slots=True)
class Pin:
    """A server's certificate (PEM) and a name that it is valid for."""

    certificate: str
    name: str


async def pin_certificate(target: str, exporter: Exporter) -> Pin:
    """What the server at ``host:port`` shows now; OSError if it does not answer, ValueError if it names nobody."""
    anybody = _context(exporter)
    anybody.verify_mode = ssl.CERT_NONE
    certificate = ssl.DER_cert_to_PEM_cert(await _shown(target, anybody, binary_form=True))
    trusting = _context(exporter)  # Python takes a certificate apart only if it has been verified
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cadata=certificate)
    return Pin(certificate, _name_in(await _shown(target, trusting, binary_form=False)))


def _context(exporter: Exporter) -> ssl.SSLContext:
    """Shows the exporter's own certificate, if it has one: servers with TLS 1.2 say nothing without it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    present_client_certificate(context, exporter)
    wait_for_no_farewell(context)
    return context


async def _shown(target: str, context: ssl.SSLContext, *, binary_form: bool) -> Any:
    address = urlsplit(f"//{target}")
    _, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context)
    try:
        return writer.get_extra_info("ssl_object").getpeercert(binary_form=binary_form)
    finally:
        writer.close()


def _name_in(certificate: dict[str, Any]) -> str:
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    subject = [
        value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"
    ]
    for name in (*names, *subject):
        return str(name).replace("*", "any", 1)
    raise ValueError("the certificate of the server holds no name")
