"""What the references of policies lead to: the content of Secrets, or a reason why not. Pure.

Values are checked as far as they can be without using them, because the author of the policy reads about a broken
certificate in the status, and not in a log. No message quotes a value.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kubeweft.control.compiling.verdicts import PartOf, RefReason, Unresolved
from kubeweft.control.declared.secrets import NOT_YET, Known

LONGEST_TOKEN = 4096
_REASONS: dict[str, RefReason] = {
    "Missing": "SecretNotFound",
    "Forbidden": "SecretNotFound",
    "NotYet": "Pending",
}


class References:
    """Follows the references of one part of a policy; what leads nowhere is in ``unresolved``."""

    def __init__(self, part: PartOf, known: Known, *, namespace: str) -> None:
        """``namespace`` is where all Secrets are, for messages."""
        self._part = part
        self._known = known
        self._namespace = namespace
        self.unresolved: list[Unresolved] = []
        self.names: set[str] = set()

    @property
    def all_there(self) -> bool:
        """Whether the part can work."""
        return not any(u.left_out for u in self.unresolved)

    def content(self, name: str, *, needed: bool = True) -> Mapping[str, bytes]:
        """All keys of a Secret; empty if it is not there. Without what is not ``needed`` the part still works."""
        self.names.add(name)
        secret = self._known.get(name, NOT_YET)
        if secret.state != "Read":
            self._miss(_REASONS[secret.state], name, secret.detail, needed=needed or secret.state == "NotYet")
        return secret.content

    def value(self, name: str, key: str, *, needed: bool = True) -> bytes:
        """The value of one key, which must not be empty; empty if it is not there."""
        value = self.content(name, needed=needed).get(key, b"")
        if value.strip():
            return value
        if self._known.get(name, NOT_YET).state == "Read":
            self._miss("SecretNotFound", name, f"it has no key {key!r}, or an empty one", needed=needed)
        return b""

    def authority(self, name: str, key: str) -> bytes:
        """Certificates of authorities in PEM."""
        value = self.value(name, key)
        if value and not _certificates(value):
            self.refuse(name, f"its key {key!r} holds no certificate in PEM")
        return value

    def certificate(self, name: str) -> tuple[bytes, bytes]:
        """Certificate and private key of a Secret of type ``kubernetes.io/tls``."""
        certificate, key = self.value(name, "tls.crt"), self.value(name, "tls.key")
        if certificate and key:
            problem = _problem_with(certificate, key)
            if problem:
                self.refuse(name, problem)
        return certificate, key

    def token(self, name: str, key: str) -> str:
        """A bearer token; empty if it is not there. Without it the part still works."""
        value = self.value(name, key, needed=False).strip()
        if not value.isascii() or len(value.split()) > 1 or len(value) > LONGEST_TOKEN:
            self.refuse(name, f"its key {key!r} holds no token: one printable word is needed", needed=False)
            return ""
        return value.decode("ascii")

    def refuse(self, name: str, message: str, *, needed: bool = True) -> None:
        """What a Secret holds cannot be used."""
        self._miss("InvalidSecret", name, message, needed=needed)

    def _miss(self, reason: RefReason, name: str, detail: str, *, needed: bool) -> None:
        message = f"Secret {self._namespace}/{name}: {detail}"
        missing = Unresolved(self._part, reason, message, left_out=needed)
        if missing not in self.unresolved:
            self.unresolved.append(missing)


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, UnsupportedAlgorithm):
        return []


def _problem_with(certificate: bytes, key: bytes) -> str:
    """What is wrong with a certificate and its key, or nothing."""
    chain = _certificates(certificate)
    if not chain:
        return "its key 'tls.crt' holds no certificate in PEM"
    try:
        private = serialization.load_pem_private_key(key, password=None)
        wanted = chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "its key 'tls.key' holds no private key in PEM without a password"
    if private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != wanted:
        return "its private key does not belong to its certificate"
    return ""
