"""The certificate by which an exporter shows a receiver who it is (mutual TLS): checked before it is used.

The key never reaches a disk: OpenSSL reads certificates from files only, so it is given one that lives in memory. An
encrypted key is refused, because nobody is there to type a password.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter

_PLAIN: Final = ("http://", "grpc://")
_ENCRYPTED: Final = ("https://", "grpcs://")


def check_client_certificate(exporter: Exporter) -> None:
    """UserError if the exporter's client certificate cannot be used as it is declared; fine if it has none."""
    if not exporter.client_certificate and not exporter.client_key:
        return
    if not exporter.client_certificate or not exporter.client_key:
        missing = "key" if exporter.client_certificate else "certificate"
        raise UserError(f"exporter {exporter.name}: the client {missing} is missing: give both or none")
    if _is_plain(exporter):
        raise UserError(
            f"exporter {exporter.name}: a client certificate needs TLS: turn TLS on or leave it out"
        )
    try:
        present_client_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), exporter)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or "not PEM, or the key is encrypted"
        raise UserError(
            f"exporter {exporter.name}: the client certificate and its key cannot be used together: {reason}"
        ) from None


def present_client_certificate(context: ssl.SSLContext, exporter: Exporter) -> None:
    """Let connections of this context show the exporter's certificate, if it has one; OSError if it is none."""
    if not exporter.client_certificate:
        return
    with _in_memory(exporter.client_certificate + b"\n" + exporter.client_key) as path:
        context.load_cert_chain(path, password=lambda: b"")  # else OpenSSL would ask at the terminal


def _is_plain(exporter: Exporter) -> bool:
    """A scheme, where one is given, decides."""
    address = exporter.endpoint.lower()
    if address.startswith(_ENCRYPTED):
        return False
    return address.startswith(_PLAIN) or exporter.insecure


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("client-certificate"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:  # not Linux: a file that only we may read, for the moment of reading
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
