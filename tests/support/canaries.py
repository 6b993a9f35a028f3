"""Secrets that can be told from anything else, and a search for them in whatever form they may leave.

A canary is looked for as it is, in base64 (in every alignment, as a part of something larger) and in base64 of base64.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

SHORTEST = 24
_KEPT_FROM = (0, 2, 3)  # characters that depend on the bytes before, by alignment


@dataclass
class Canaries:
    """All canaries, each with the place where it was put."""

    planted: dict[str, str] = field(default_factory=dict)

    def new(self, place: str, *, length: int = 28) -> str:
        """A canary of so many letters and digits."""
        canary = ("c4n" + secrets.token_hex(length))[:length]
        return self.take(place, canary)

    def take(self, place: str, secret: str) -> str:
        """Somebody else's secret, such as a token that an API server has made."""
        assert len(secret) >= SHORTEST, f"{place} is too short to be told from chance"
        self.planted[secret] = place
        return secret

    def encoded(self, place: str) -> str:
        """A canary in base64, as the ``data`` of a Secret has it."""
        return in_base64(self.new(place))

    def token(self, place: str) -> str:
        """A JSON Web Token with a canary in its claims and one as its signature."""
        claims = json.dumps({"sub": self.new(f"{place}, claims")})
        header = json.dumps({"alg": "HS256", "typ": "JWT"})
        return f"{_url_safe(header)}.{_url_safe(claims)}.{self.new(f'{place}, signature')}"

    def private_key(self, place: str) -> str:
        """Something that looks like a private key."""
        body = "\n".join([self.new(place, length=64), "AAAA"])
        return f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"

    def hits(self, content: bytes) -> list[str]:
        """The places of all canaries that are in there in any form."""
        return [
            place for canary, place in self.planted.items() if any(n in content for n in forms_of(canary))
        ]


def forms_of(canary: str) -> Iterator[bytes]:
    """All byte strings that give it away; each long enough not to be found by chance."""
    plain = canary.encode()
    yield plain
    for form in (*_inside_base64(plain), *_inside_base64(base64.b64encode(plain))):
        yield form
        yield form.replace(b"+", b"-").replace(b"/", b"_")


def _inside_base64(plain: bytes) -> Iterator[bytes]:
    for alignment, kept_from in enumerate(_KEPT_FROM):
        yield base64.b64encode(bytes(alignment) + plain)[kept_from:-4]


def in_base64(text: str) -> str:
    """As in the ``data`` of a Secret."""
    return base64.b64encode(text.encode()).decode()


def _url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
