"""Headers, authorities and client certificates from Secrets: used as they are, or their exporter alone is left out."""

import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubeweft.control.compiling.policies import Compiled, Installation, compile_policies
from kubeweft.control.declared.objects import POLICIES, DeclaredObject
from kubeweft.control.declared.secrets import FORBIDDEN, MISSING, Secret
from kubeweft.model.plan import Sampling


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def pem_of(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        protection = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


KEY, OTHER_KEY = make_key(), make_key()
CERTIFICATE, PRIVATE = certificate_of(KEY), pem_of(KEY)


def compiled(otlp: Mapping[str, Any], secrets: Mapping[str, Secret], **spec: Any) -> Compiled:
    exporters = [
        {"name": "x", "otlp": {"endpoint": "h:4317", **otlp}},
        {"name": "plain", "otlp": {"endpoint": "h:4317"}},
    ]
    declared = DeclaredObject(resource=POLICIES, name="p", spec={"exporters": exporters, **spec})
    result = compile_policies([declared], Installation(), secrets)
    assert result.verdicts["p"].accepted, result.verdicts["p"].message
    assert "canary" not in repr(result)
    return result


def test_every_key_of_a_secret_is_a_header() -> None:
    content = {"authorization": b"Bearer canary\n", "X-Scope-OrgID": b"canary-2"}
    result = compiled({"headersSecretRef": {"name": "h"}}, {"h": Secret("Read", content)})
    assert result.plan.exporters[0].headers == (
        ("X-Scope-OrgID", "canary-2"),
        ("authorization", "Bearer canary"),
    )
    assert result.secrets == {"h"}


def test_authority_and_client_certificate() -> None:
    result = compiled(
        {"tls": {"caSecretRef": {"name": "ca"}, "certSecretRef": {"name": "mine"}}},
        {
            "ca": Secret("Read", {"ca.crt": CERTIFICATE + CERTIFICATE}),
            "mine": Secret("Read", {"tls.crt": CERTIFICATE, "tls.key": PRIVATE}),
        },
    )
    exporter = result.plan.exporters[0]
    assert exporter.ca == CERTIFICATE + CERTIFICATE
    assert (exporter.client_certificate, exporter.client_key) == (CERTIFICATE, PRIVATE)
    assert "PRIVATE" not in repr(exporter)


def test_another_key_may_hold_the_authority() -> None:
    tls = {"tls": {"caSecretRef": {"name": "ca", "key": "root.pem"}}}
    result = compiled(tls, {"ca": Secret("Read", {"root.pem": CERTIFICATE})})
    assert result.plan.exporters[0].ca == CERTIFICATE


HEADERS = {"headersSecretRef": {"name": "s"}}
AUTHORITY = {"tls": {"caSecretRef": {"name": "s"}}}
CLIENT = {"tls": {"certSecretRef": {"name": "s"}}}

USELESS: list[tuple[str, dict[str, Any], Secret | None, str, str]] = [
    ("missing", HEADERS, MISSING, "SecretNotFound", "there is no such Secret"),
    ("forbidden", HEADERS, FORBIDDEN, "SecretNotFound", "RBAC does not allow to get it"),
    ("not read yet", HEADERS, None, "Pending", "has not been read yet"),
    ("empty", HEADERS, Secret("Read", {}), "InvalidSecret", "it is empty"),
    (
        "not ours to set",
        HEADERS,
        Secret("Read", {"Host": b"canary"}),
        "InvalidSecret",
        "'Host' cannot be used",
    ),
    (
        "two lines",
        HEADERS,
        Secret("Read", {"a": b"can\nary: canary"}),
        "InvalidSecret",
        "not printable ASCII",
    ),
    (
        "no authority",
        AUTHORITY,
        Secret("Read", {"tls.crt": CERTIFICATE}),
        "SecretNotFound",
        "no key 'ca.crt'",
    ),
    ("no PEM", AUTHORITY, Secret("Read", {"ca.crt": b"canary"}), "InvalidSecret", "no certificate in PEM"),
    ("no key", CLIENT, Secret("Read", {"tls.crt": CERTIFICATE}), "SecretNotFound", "no key 'tls.key'"),
    (
        "no certificate",
        CLIENT,
        Secret("Read", {"tls.crt": b"canary", "tls.key": PRIVATE}),
        "InvalidSecret",
        "'tls.crt' holds no certificate",
    ),
    (
        "no private key",
        CLIENT,
        Secret("Read", {"tls.crt": CERTIFICATE, "tls.key": b"canary"}),
        "InvalidSecret",
        "'tls.key' holds no private key",
    ),
    (
        "password",
        CLIENT,
        Secret("Read", {"tls.crt": CERTIFICATE, "tls.key": pem_of(KEY, b"canary")}),
        "InvalidSecret",
        "without a password",
    ),
    (
        "key of another",
        CLIENT,
        Secret("Read", {"tls.crt": CERTIFICATE, "tls.key": pem_of(OTHER_KEY)}),
        "InvalidSecret",
        "does not belong to its certificate",
    ),
    ("all gone", CLIENT, MISSING, "SecretNotFound", "there is no such Secret"),
]


@pytest.mark.parametrize(
    ("otlp", "secret", "reason", "said"), [case[1:] for case in USELESS], ids=[case[0] for case in USELESS]
)
def test_an_exporter_without_its_secret_is_left_out_alone(
    otlp: dict[str, Any], secret: Secret | None, reason: str, said: str
) -> None:
    result = compiled(otlp, {"s": secret} if secret else {})
    assert [e.name for e in result.plan.exporters] == ["p/plain"]
    (missing,) = result.verdicts["p"].unresolved
    assert (missing.part, missing.reason, missing.left_out) == (("exporter", "x"), reason, True)
    assert missing.message.startswith("Secret kubeweft-system/s: ")
    assert said in missing.message
    assert result.secrets == {"s"}
    assert result.verdicts["p"].exporter_names == ("x", "plain")


def test_a_rotated_secret_makes_another_plan() -> None:
    before = compiled(HEADERS, {"s": Secret("Read", {"a": b"1"})})
    after = compiled(HEADERS, {"s": Secret("Read", {"a": b"2"})})
    assert before.plan != after.plan
    assert before.plan == compiled(HEADERS, {"s": Secret("Read", {"a": b"1"})}).plan


def test_sampling_is_that_of_the_policy() -> None:
    sampling = {"percent": 10, "keepErrors": False, "maxSpansPerSecond": 50}
    plan = compiled({}, {}, sampling=sampling).plan
    assert {e.sampling for e in plan.exporters} == {
        Sampling(percent=10, keep_errors=False, spans_per_second=50)
    }
    assert compiled({}, {}).plan.exporters[0].sampling == Sampling()


@pytest.mark.parametrize("secrets", [{}, {"s": MISSING}, {"s": FORBIDDEN}, {"s": Secret("Read", {})}])
def test_who_cannot_be_made_now_is_waited_for_by_name(secrets: dict[str, Secret]) -> None:
    plan = compiled(HEADERS, secrets).plan
    assert plan.waiting_exporters == ("p/x",)
    assert [e.name for e in plan.exporters] == ["p/plain"]


def test_nobody_waits_for_an_exporter_that_is_made_or_whose_policy_is_not_in_force() -> None:
    assert compiled(HEADERS, {"s": Secret("Read", {"a": b"b"})}).plan.waiting_exporters == ()
    assert compiled(HEADERS, {}, suspend=True).plan.waiting_exporters == ()
