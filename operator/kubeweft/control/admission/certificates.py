"""The serving certificate of the webhook, made here and trusted only through the webhook configuration.

Each comes with an authority of its own that signs it and nothing else: its key is forgotten at once. The serving key
stays in memory; OpenSSL takes keys only from files, so it passes through one, encrypted and gone again at once.
"""

from __future__ import annotations

import datetime
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubeweft.model.windows import NANOSECONDS

TOLERATED_SKEW = datetime.timedelta(hours=1)
LONGEST_COMMON_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """``authority`` is what API servers have to trust (PEM); the times are nanoseconds since the epoch."""

    authority: bytes
    chain: bytes
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    made: int
    expires: int

    @property
    def renew_at(self) -> int:
        """When two thirds of its life are over."""
        return self.made + (self.expires - self.made) * 2 // 3

    def load_into(self, context: ssl.SSLContext) -> None:
        """Make it the one that new connections of this context are served with."""
        password = secrets.token_bytes(32).hex().encode()
        encrypted = self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)
        )
        with tempfile.TemporaryDirectory(prefix="kubeweft-") as folder:  # only its owner can look inside
            file = Path(folder) / "serving.pem"
            file.write_bytes(self.chain + encrypted)
            context.load_cert_chain(file, password=password)


def make_certificate(names: Sequence[str], *, lifetime: int, now: int) -> Certificate:
    """A new one for these DNS names and IPs, valid for ``lifetime`` nanoseconds from ``now``."""
    begins = datetime.datetime.fromtimestamp(now / NANOSECONDS, datetime.UTC)
    ends = begins + datetime.timedelta(seconds=lifetime / NANOSECONDS)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name(f"kubeweft-admission-{secrets.token_hex(8)}")  # two in one bundle must not look alike
    authority = _build(issuer, authority_key, begins=begins, ends=ends)
    authority = authority.issuer_name(issuer)
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    authority = authority.add_extension(_usage(signs_certificates=True), critical=True)
    serving = _build(_name(names[0]), key, begins=begins, ends=ends).issuer_name(issuer)
    serving = serving.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    serving = serving.add_extension(_usage(signs_certificates=False), critical=True)
    serving = serving.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    serving = serving.add_extension(
        x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False
    )
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    serving = serving.add_extension(signer, critical=False)
    return Certificate(
        authority=authority.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM),
        chain=serving.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM),
        key=key,
        made=now,
        expires=now + lifetime,
    )


def _build(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, begins: datetime.datetime, ends: datetime.datetime
) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(identifier, critical=False)
    return builder.not_valid_before(begins - TOLERATED_SKEW).not_valid_after(ends)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:LONGEST_COMMON_NAME])])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
