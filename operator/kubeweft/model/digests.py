"""Digests that stand for secret values: the same for the same value, and silent about it without the install's key.

A plain hash of a short password is undone by trying them all; so it is an HMAC, of which 64 bits are kept. Each domain
(secret, field, identity) has digests of its own: that a user name equals a password must not show.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from typing import Any, Final

from kubeweft.model.secret_texts import HIDDEN

PREFIX: Final = "hmac:"
SHORTEST_KEY: Final = 16

_DIGEST = re.compile(r"hmac:[0-9a-f]{16}")


class Digests:
    """Digests under one key. What is a digest already, or hidden, stays what it is."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_secret(self, value: str, *, encoded: bool) -> str:
        """The value of a Secret; ``encoded`` if it is base64, as in ``data``: then it equals its ``stringData``."""
        if is_concealed(value):
            return value
        content = _decoded(value) if encoded else None
        return self._of(b"secret", _bytes(value) if content is None else content)

    def of_field(self, value: Any) -> str:
        """The value of any field; objects by their content, whatever the order of their keys."""
        if type(value) is not str:
            return self._of(b"field", _bytes(json.dumps(value, sort_keys=True)))
        return value if is_concealed(value) else self._of(b"field", _bytes(value))

    def of_identity(self, name: str) -> str:
        """The name of a user, group or address."""
        return name if is_concealed(name) else self._of(b"identity", _bytes(name))

    def _of(self, domain: bytes, content: bytes) -> str:
        return PREFIX + hmac.digest(self._key, domain + b"\0" + content, "sha256")[:8].hex()


def is_concealed(value: str) -> bool:
    """Whether the value has been replaced already, by stars or by a digest."""
    return value == HIDDEN or (value.startswith(PREFIX) and _DIGEST.fullmatch(value) is not None)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(value: str) -> bytes | None:
    """None for what is no base64: the API server would not have taken it, and it is compared as it is."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
