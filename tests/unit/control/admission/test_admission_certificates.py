"""The webhook's certificates: what they say, and that at every moment those who ask trust the one that is served."""

import base64
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubeweft.control.admission.addresses import reached_at
from kubeweft.control.admission.certificates import make_certificate
from kubeweft.control.admission.configuration import manifest
from kubeweft.control.admission.rotation import LONGEST_OVERLAP, Rotation
from kubeweft.model.errors import UserError
from kubeweft.model.windows import NANOSECONDS

PATH = "/hidden"
NOW = 1_800_000_000 * NANOSECONDS
ANYWHERE = "0.0.0.0"  # noqa: S104
DAY = 86_400 * NANOSECONDS


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> int:
        return self.time


def at(time: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time / NANOSECONDS, datetime.UTC)


def served_by(context: ssl.SSLContext, name: str) -> x509.Certificate:
    """What a new connection is shown, by a handshake in memory."""
    asking = ssl.create_default_context()
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def is_trusted(certificate: x509.Certificate, bundle: str, *, name: str, time: int) -> bool:
    authorities = x509.load_pem_x509_certificates(base64.b64decode(bundle))
    builder = verification.PolicyBuilder().store(verification.Store(authorities)).time(at(time))
    try:
        builder.build_server_verifier(x509.DNSName(name)).verify(certificate, [])
    except verification.VerificationError:
        return False
    return True


def test_a_certificate_bears_all_names_and_serves_only() -> None:
    made = make_certificate(["a.b.svc", "10.0.0.1", "::1"], lifetime=DAY, now=NOW)
    serving = x509.load_pem_x509_certificate(made.chain)
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.b.svc"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1", "::1"]
    usage = serving.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert serving.not_valid_after_utc == at(NOW + DAY)
    assert serving.not_valid_before_utc < at(NOW)
    assert made.renew_at == NOW + DAY * 2 // 3


def test_its_authority_may_sign_nothing_below_another_authority() -> None:
    made = make_certificate(["a"], lifetime=DAY, now=NOW)
    authority = x509.load_pem_x509_certificate(made.authority)
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.ca
    assert constraints.path_length == 0
    assert x509.load_pem_x509_certificate(made.chain).issuer == authority.subject


def test_it_is_trusted_by_its_own_authority_and_no_other() -> None:
    one, other = (make_certificate(["a.b.svc"], lifetime=DAY, now=NOW) for _ in range(2))
    serving = x509.load_pem_x509_certificate(one.chain)
    for made, trusted in ((one, True), (other, False)):
        bundle = base64.b64encode(made.authority).decode()
        assert is_trusted(serving, bundle, name="a.b.svc", time=NOW) is trusted
    assert not is_trusted(serving, base64.b64encode(one.authority).decode(), name="else", time=NOW)


def test_no_key_stays_in_a_file_or_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = make_certificate(["a"], lifetime=DAY, now=NOW)
    made.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert list(tmp_path.iterdir()) == []
    assert "key" not in repr(made)
    assert b"PRIVATE" not in made.chain + made.authority


def test_whoever_knows_any_bundle_of_this_time_trusts_what_is_served() -> None:
    """The old bundle while the new one is not confirmed, the new one before and after the change."""
    clock = Clock()
    rotation = Rotation(["a.svc"], lifetime=DAY, now=clock)

    def serves_for(*bundles: str) -> bool:
        shown = served_by(rotation.context, "a.svc")
        return all(is_trusted(shown, bundle, name="a.svc", time=clock.time) for bundle in bundles)

    first = rotation.authorities
    assert serves_for(first)
    clock.time += DAY // 2
    assert not rotation.advance()
    clock.time += DAY // 4
    assert rotation.advance()
    both = rotation.authorities
    clock.time += LONGEST_OVERLAP * 2
    assert not rotation.advance()  # the API server has not confirmed that it knows the new one
    assert serves_for(first, both)
    rotation.published()
    assert not rotation.advance()
    assert serves_for(first, both)
    clock.time += LONGEST_OVERLAP
    assert rotation.advance()
    last = rotation.authorities
    assert serves_for(both, last)
    assert not serves_for(first)
    assert len({first, both, last}) == 3


def test_it_says_when_there_is_something_to_do() -> None:
    clock = Clock()
    rotation = Rotation(["a"], lifetime=DAY, now=clock)
    assert rotation.due_in() == DAY * 2 // 3 / NANOSECONDS
    clock.time += DAY
    assert rotation.due_in() == 0
    rotation.advance()
    assert rotation.due_in() == float("inf")
    rotation.published()
    assert rotation.due_in() == LONGEST_OVERLAP / NANOSECONDS


def test_after_a_long_silence_it_begins_again() -> None:
    """Nothing could be published for a whole life of a certificate."""
    clock = Clock()
    rotation = Rotation(["a"], lifetime=DAY, now=clock)
    clock.time += 3 * DAY
    assert rotation.advance()
    clock.time += 3 * DAY
    rotation.published()
    clock.time += LONGEST_OVERLAP
    assert rotation.advance()
    assert rotation.advance()


@pytest.mark.parametrize(
    ("given", "place", "names"),
    [
        ({"listen": ("127.0.0.1", 9444)}, {"url": f"https://127.0.0.1:9444{PATH}"}, ("127.0.0.1",)),
        ({"listen": ("::1", 1)}, {"url": f"https://[::1]:1{PATH}"}, ("::1",)),
        ({"listen": (ANYWHERE, 1), "host": "me.lan"}, {"url": f"https://me.lan:1{PATH}"}, ("me.lan",)),
        ({"listen": ("::", 1), "host": "[fd00::1]"}, {"url": f"https://[fd00::1]:1{PATH}"}, ("fd00::1",)),
        (
            {"listen": (ANYWHERE, 9), "service": "ns/svc"},
            {"service": {"namespace": "ns", "name": "svc", "port": 9, "path": PATH}},
            ("svc.ns.svc", "svc.ns"),
        ),
    ],
)
def test_how_api_servers_reach_it(given: Any, place: dict[str, Any], names: tuple[str, ...]) -> None:
    address = reached_at(**given)
    assert address.client_config("bundle", path=PATH) == {**place, "caBundle": "bundle"}
    assert address.names == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"listen": (ANYWHERE, 1)}, "--admission-host"),
        ({"listen": ("::", 1)}, "--admission-host"),
        ({"listen": ("127.0.0.1", 0)}, "port"),
        ({"listen": ("127.0.0.1", 1), "service": "alone"}, "NAMESPACE/NAME"),
        ({"listen": ("127.0.0.1", 1), "service": "a/b/c"}, "NAMESPACE/NAME"),
    ],
)
def test_what_nobody_could_reach_is_refused(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        reached_at(**given)


def test_the_configuration_is_about_our_types_only_and_never_blocks() -> None:
    made = manifest({"url": "https://me", "caBundle": "bundle"}, holder="me")
    (webhook,) = made["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"
    assert webhook["sideEffects"] == "None"
    (rule,) = webhook["rules"]
    assert rule["apiGroups"] == ["kubeweft.io"]
    assert rule["resources"] == ["tracingpolicies", "linkrules"]
    assert "DELETE" not in rule["operations"]
