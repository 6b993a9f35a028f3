"""What redaction keeps, how digests compare, and that its shortcuts never miss anything."""

from __future__ import annotations

import base64
import copy
import json
import random
import time
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubeweft.model.plan import FieldRedaction, Redaction, ValuePattern
from kubeweft.model.redaction import Redactor
from kubeweft.model.secret_texts import hide_secrets
from kubeweft.model.selectors import ResourcePattern

JsonObject = dict[str, Any]

KEY = b"0123456789abcdef"
PLAIN = Redactor(Redaction(), b"")
DIGESTS = Redactor(Redaction(digest_secrets=True), KEY)
SUSPICIOUS = b'"AKIAAAAAAAAAAAAAAAAA"'  # JSON that makes every text be looked into


def redacted(
    obj: JsonObject, redactor: Redactor = PLAIN, group: str = "", resource: str = "pods"
) -> JsonObject:
    result = copy.deepcopy(obj)
    redactor.redact_object(group, resource, result)
    return result


def test_a_secret_keeps_its_keys() -> None:
    secret = {
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"a": "b"}},
        "data": {"a": "eA==", "b": ""},
        "stringData": {"c": "x"},
        "type": "Opaque",
        "immutable": True,
    }
    assert redacted(secret, resource="secrets") == secret | {
        "data": {"a": "***", "b": "***"},
        "stringData": {"c": "***"},
    }


def test_digests_tell_whether_a_value_is_the_same() -> None:
    def digest(value: str, name: str = "data", redactor: Redactor = DIGESTS) -> str:
        text = redacted({"kind": "Secret", name: {"k": value}}, redactor)[name]["k"]
        assert isinstance(text, str)
        return text

    encoded = base64.b64encode(b"hunter2").decode()
    assert digest(encoded) == digest("hunter2", "stringData") == digest(encoded)
    assert digest(encoded) != digest(base64.b64encode(b"hunter3").decode())
    assert digest(encoded).startswith("hmac:")
    assert len(digest(encoded)) == len("hmac:") + 16
    assert digest(encoded) != digest(encoded, redactor=Redactor(Redaction(digest_secrets=True), KEY[::-1]))
    assert digest("not base64!") != digest("not base64?")
    assert digest(digest(encoded)) == digest(encoded)
    assert digest("***") == "***"


def test_one_value_has_different_digests_in_different_places() -> None:
    redactor = Redactor(
        Redaction(
            digest_secrets=True, user_identity="Digest", fields=(FieldRedaction(("spec", "a"), digest=True),)
        ),
        KEY,
    )
    found = redacted({"kind": "Secret", "stringData": {"k": "alice"}, "spec": {"a": "alice"}}, redactor)
    assert len({found["stringData"]["k"], found["spec"]["a"], redactor.identity("alice")}) == 3


@pytest.mark.parametrize(
    "redaction",
    [
        Redaction(digest_secrets=True),
        Redaction(user_identity="Digest"),
        Redaction(fields=(FieldRedaction(("spec",), digest=True),)),
    ],
)
def test_a_digest_needs_a_key(redaction: Redaction) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Redactor(redaction, b"short")
    Redactor(redaction, KEY)


def test_identity() -> None:
    assert PLAIN.identity("alice") == "alice"
    assert Redactor(Redaction(user_identity="Omit"), b"").identity("alice") == "***"
    digests = Redactor(Redaction(user_identity="Digest"), KEY)
    assert digests.identity("alice") == digests.identity("alice") != digests.identity("bob")
    assert digests.identity(digests.identity("alice")) == digests.identity("alice")
    assert digests.identity("") == ""


def test_identity_in_the_bodies_of_reviews() -> None:
    request = {
        "kind": "CertificateSigningRequest",
        "spec": {"request": "x", "username": "u", "groups": ["g"], "usages": ["a"]},
    }
    assert redacted(request)["spec"] == request["spec"] | {"request": "***"}  # type: ignore[operator]
    omitted = redacted(request, Redactor(Redaction(user_identity="Omit"), b""))
    assert omitted["spec"] == {"request": "***", "username": "***", "groups": "***", "usages": ["a"]}


def test_omission_is_stricter_than_a_digest() -> None:
    both = Redaction(
        fields=(FieldRedaction(("spec", "a"), digest=True), FieldRedaction(("spec", "*"), digest=False))
    )
    assert redacted({"spec": {"a": "x", "b": 1}}, Redactor(both, KEY)) == {"spec": {"a": "***", "b": "***"}}


def test_fields_of_some_types_only() -> None:
    pods = ResourcePattern(frozenset({""}), frozenset({"pods"}))
    redactor = Redactor(
        Redaction(fields=(FieldRedaction(("spec", "a"), digest=False, resources=(pods,)),)), b""
    )
    assert redacted({"spec": {"a": "x"}}, redactor) == {"spec": {"a": "***"}}
    assert redacted({"spec": {"a": "x"}}, redactor, group="other") == {"spec": {"a": "x"}}


def test_a_digest_of_an_object_does_not_depend_on_the_order_of_its_keys() -> None:
    redactor = Redactor(Redaction(fields=(FieldRedaction(("spec",), digest=True),)), KEY)
    one, other = (
        redacted({"spec": {"a": 1, "b": 2}}, redactor),
        redacted({"spec": {"b": 2, "a": 1}}, redactor),
    )
    assert one == other
    assert one != redacted({"spec": {"a": 1, "b": 2.0}}, redactor)


def test_a_pattern_hides_the_whole_value_but_not_what_the_object_is_known_by() -> None:
    redactor = Redactor(Redaction(patterns=(ValuePattern("[0-9]"),)), b"")
    obj = {
        "apiVersion": "v1",
        "kind": "Pod2",
        "metadata": {
            "name": "n1",
            "namespace": "n2",
            "uid": "1",
            "resourceVersion": "2",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"a": "1", "b": "x"},
            "ownerReferences": [{"name": "o1", "uid": "3"}],
            "managedFields": [{"manager": "m1", "time": "2026-01-01T00:00:00Z"}],
        },
        "spec": {"name": "n1", "replicas": 1},
    }
    expected = copy.deepcopy(obj)
    expected["metadata"]["labels"]["a"] = "***"  # type: ignore[index]
    expected["spec"]["name"] = "***"  # type: ignore[index]
    assert redacted(obj, redactor) == expected


@pytest.mark.parametrize(
    "text",
    [
        "docker.io/library/nginx@sha256:6af79ae5de407283dcea8b00d5c37ace95441fd58a8b1d2aa1ed93f5511bb18c",
        "docker-pullable://nginx@sha256:6af79ae5de407283dcea8b00d5c37ace95441fd58a8b1d2aa1ed93f5511bb18c",
        "docker-pullable://registry:5000/nginx@sha256:6af79ae5de407283dcea8b00d5c37ace95441fd58a8b1d2aa1ed93f5511bb18c",
        "containerd://0123456789abcdef",
        "ssh://git@example.com/a.git",
        "git+ssh://git@example.com/a.git",
        "http://[::1]:8080/path@x",
        "http://example.com:8080/a@b.c",
        "mail me: a@b.c, see https://example.com/x",
        "https://example.com?user=a@b.c",
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTAwMH0",
        "webapp.17d3a4f2e1b4c5a6",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n").decode(),
        "the private key of AKIA",
        "ASIA-PACIFIC",
        "XAKIAIOSFODNN7EXAMPLEX",
        "the token is missing",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert hide_secrets(text) == text
    assert PLAIN.redact_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see https://u:p@host/x?y, ok", "see https://***@host/x?y, ok"),
        ("https://u:p@ss@host/x", "https://***@host/x"),
        ("https://u:pa/ss@host/x", "https://***@host/x"),
        ("a://b:c@d e://f:g@h", "a://***@d e://***@h"),
        ("https://token@host", "https://***@host"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key ***."),
        ("Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "Authorization: Bearer ***"),
        ("a\n-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----\nb", "a\n***\nb"),
    ],
)
def test_only_the_secret_part_of_a_text_goes(text: str, left: str) -> None:
    assert hide_secrets(text) == left


DEPLOYMENTS = "/apis/apps/v1/namespaces/n/deployments"


@pytest.mark.parametrize(
    ("path", "query", "left"),
    [
        (DEPLOYMENTS, "", ""),
        (DEPLOYMENTS, "fieldManager=kubectl&limit=500", "fieldManager=kubectl&limit=500"),
        (DEPLOYMENTS, "fieldSelector=metadata.name%3Dx&watch=true", "fieldSelector=metadata.name%3Dx&watch=true"),
        (DEPLOYMENTS, "limit=1&access_token=abc&x=y", "limit=1&access_token=***&x=y"),
        (DEPLOYMENTS, "to%6ben=abc", "to%6ben=***"),
        (DEPLOYMENTS, "key=abc&monkey=banana", "key=***&monkey=banana"),
        (DEPLOYMENTS, "labelSelector=u%3A%2F%2Fa%3Ab%40c", "labelSelector=***"),
        (DEPLOYMENTS, "x=eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "x=***"),
        ("/api/v1/namespaces/n/pods/p/exec", "command=cat&command=%2Fx&container=c&stdin=true", "command=***&container=c&stdin=true"),
        ("/api/v1/namespaces/n/pods/p/ex%65c", "command=rm&tty=true", "command=***&tty=true"),
        ("/api/v1/namespaces/n/pods/p/attach", "container=c&odd=1", "container=c&***"),
        ("/api/v1/namespaces/n/pods/p/portforward", "ports=80", "ports=80"),
        ("/api/v1/namespaces/n/services/s/proxy/a/b", "q=1", "***"),
        ("/api/v1/nodes/n/proxy/run", "cmd=x", "***"),
    ],
)  # fmt: skip
def test_queries(path: str, query: str, left: str) -> None:
    assert PLAIN.redact_uri_query(path, query) == left
    assert PLAIN.redact_uri_query(path, left) == left


def test_queries_under_a_pattern() -> None:
    redactor = Redactor(Redaction(patterns=(ValuePattern("corp"),)), b"")
    assert redactor.redact_uri_query(DEPLOYMENTS, "a=corp-x&b=1") == "a=***&b=1"
    assert redactor.redact_uri_query(DEPLOYMENTS, "corp=1") == "***"
    assert redactor.redact_text("in corp") == "***"


FRAGMENTS = st.one_of(
    st.sampled_from(
        [
            "://", "@", ":", "/", "http://u:p@h", "80", "eyJ", ".", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "AKIAIOSFODNN7EXAMPLE",
            "ASIA", "X" * 16, "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "LS0tLS1CRUdJTi", "***", '"', "\\",
            base64.b64encode(b"-----BEGIN PRIVATE KEY-----\n").decode(), "secretAccessKey", "aws_secret_access_key=", "x" * 40,
            "sha256:", "<", ">", "&", " ", "\n", "\x0b", "é", "#", "?", "[",
        ]
    ),
    st.text(max_size=3),
)  # fmt: skip
TEXTS = st.lists(FRAGMENTS, max_size=9).map("".join)


def written(value: Any, rng: random.Random) -> str:
    """JSON in which any letter may be an escape."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.5:
        return text.replace("/", "\\/") if rng.random() < 0.3 else text
    spot = rng.randrange(len(text))
    if text[spot] in '"\\{}[]:,' or not text[spot].isascii() or (spot and text[spot - 1] == "\\"):
        return text
    escaped = f"{text[:spot]}\\u{ord(text[spot]):04x}{text[spot + 1 :]}"
    try:
        return escaped if json.loads(escaped) == value else text
    except ValueError:
        return text


@given(
    st.dictionaries(
        st.one_of(st.sampled_from(["name", "value", "secretAccessKey"]), TEXTS), TEXTS, max_size=3
    ),
    st.randoms(use_true_random=False),
)
@example({"t": "http://a:80\\@h"}, random.Random(1))
@example({"t": "http://a:80,b:c@h"}, random.Random(1))
@settings(max_examples=600)
def test_the_quick_look_misses_nothing(spec: dict[str, str], rng: random.Random) -> None:
    obj = {"kind": "App", "spec": {"env": [spec]}}
    raw = written(obj, rng).encode("utf-8", "surrogatepass")
    assert json.loads(raw) == obj
    quick, thorough = copy.deepcopy(obj), copy.deepcopy(obj)
    PLAIN.redact_object("example.com", "apps", quick, raw=raw)
    PLAIN.redact_object("example.com", "apps", thorough, raw=SUSPICIOUS)
    assert quick == thorough


@given(TEXTS)
@settings(max_examples=400)
def test_hiding_twice_is_hiding_once(text: str) -> None:
    once = hide_secrets(text)
    assert hide_secrets(once) == once
    assert PLAIN.redact_text(PLAIN.redact_text(text)) == PLAIN.redact_text(text)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["kind", "items", "metadata", "data", "stringData", "annotations", "spec", "token", "status"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
POLICIES = [
    PLAIN,
    DIGESTS,
    Redactor(
        Redaction(
            digest_secrets=True,
            user_identity="Digest",
            annotation_keys=frozenset({"spec"}),
            fields=(
                FieldRedaction(("spec", "*"), digest=True),
                FieldRedaction(("spec", "data"), digest=False),
                FieldRedaction(("metadata", "annotations", "0"), digest=True),
            ),
            patterns=(ValuePattern("[0-9]"),),
        ),
        KEY,
    ),
]


@given(
    st.dictionaries(st.sampled_from(["kind", "items", "metadata", "data", "spec", "status"]), ANYTHING),
    st.sampled_from(POLICIES),
    st.sampled_from(["secrets", "pods", "configmaps", "apps", "serviceaccounts"]),
    st.sampled_from(["Secret", "List", "PodList", "Table", "Pod", None]),
)
@settings(max_examples=400)
def test_redacting_twice_is_redacting_once(
    obj: JsonObject, redactor: Redactor, resource: str, kind: str | None
) -> None:
    if kind is not None:
        obj["kind"] = kind
    once = redacted(obj, redactor, resource=resource)
    assert redacted(once, redactor, resource=resource) == once


@pytest.mark.parametrize("kind", [None, 1, ["Secret"], {"a": "b"}])
def test_a_kind_that_is_none_stops_nothing(kind: Any) -> None:
    assert redacted({"kind": kind, "data": {"a": "b"}}, resource="secrets")["data"] == {"a": "***"}


def test_deep_nesting_hides_nothing() -> None:
    value: Any = {"kind": "Secret", "data": {"a": "canary"}, "text": "https://u:canary@h"}
    for _ in range(5000):
        value = {"d": [value]}
    PLAIN.redact_object("example.com", "apps", value)
    while "d" in value:
        value = value["d"][0]
    assert value == {"kind": "Secret", "data": {"a": "***"}, "text": "https://***@h"}


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ",
        "eyJ.",
        "://",
        "://a:x/",
        "@",
        "://@",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN ",
        "LS0tLS1CRUdJTi",
        "AKIA",
        "a.",
        "token ",
        "A",
        "secretAccessKey=",
        "\\u00",
    ],
)
def test_hostile_texts_take_linear_time(piece: str) -> None:
    text = piece * (400_000 // len(piece)) + "@"
    start = time.process_time()
    hide_secrets(text)
    PLAIN.redact_text(text)
    PLAIN.needs_scan(orjson.dumps({"t": text}))
    assert time.process_time() - start < 2, "a quadratic search would take minutes"
