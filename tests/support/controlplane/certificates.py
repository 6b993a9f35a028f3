"""The control plane's own certificate authority: serving certificates, client certificates, the service-account key pair.

ECDSA P-256 throughout, because making it takes a millisecond. Keys are written with mode 0600 and live as long as their folder.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=365)
_TOLERATED_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Paths of a certificate and its private key, both PEM."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder; the same one again when the folder already holds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.files = KeyPair(folder / "ca.crt", folder / "ca.key")
        if not self.files.certificate.exists():
            self._create()
        self._certificate = x509.load_pem_x509_certificate(self.files.certificate.read_bytes())
        key = serialization.load_pem_private_key(self.files.key.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubeweft-test-control-plane")])
        builder = _builder(name, key).issuer_name(name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        signed = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
        _write_key(self.files.key, key)
        _write(self.files.certificate, signed.public_bytes(serialization.Encoding.PEM))

    def client(self, file_name: str, *, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A client certificate: Kubernetes reads the user from CN and the groups from O."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        return self._issue(file_name, subject, purpose=ExtendedKeyUsageOID.CLIENT_AUTH, alternatives=())

    def server(self, file_name: str, *, names: Sequence[str], addresses: Sequence[str]) -> KeyPair:
        """A serving certificate for DNS names and IP addresses."""
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file_name)])
        return self._issue(
            file_name, subject, purpose=ExtendedKeyUsageOID.SERVER_AUTH, alternatives=alternatives
        )

    def _issue(
        self,
        file_name: str,
        subject: x509.Name,
        *,
        purpose: x509.ObjectIdentifier,
        alternatives: Sequence[x509.GeneralName],
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, key).issuer_name(self._certificate.subject)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        files = KeyPair(self._folder / f"{file_name}.crt", self._folder / f"{file_name}.key")
        _write_key(files.key, key)
        _write(files.certificate, signed.public_bytes(serialization.Encoding.PEM))
        return files


def service_account_keys(folder: Path) -> KeyPair:
    """The pair that signs and checks service-account tokens; `certificate` is the bare public key."""
    files = KeyPair(folder / "service-accounts.pub", folder / "service-accounts.key")
    if not files.certificate.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(files.key, key)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        _write(files.certificate, key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return files


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    # Both key identifiers are demanded by the strict checking that is Python's default since 3.13.
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    return builder.not_valid_before(now - _TOLERATED_SKEW).not_valid_after(now + _LIFETIME)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = serialization.PrivateFormat.PKCS8
    _write(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
