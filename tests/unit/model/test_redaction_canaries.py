"""Canaries in every place where a secret can be: none of them sings afterwards, in plain text or in base64."""

from __future__ import annotations

import base64
import copy
import json
import random
import string
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from kubeweft.model.plan import FieldRedaction, Redaction, ValuePattern
from kubeweft.model.redaction import Redactor
from kubeweft.model.selectors import ResourcePattern

JsonObject = dict[str, Any]
Found = tuple[str, str, JsonObject]
Place = Callable[[str], Found]

KEY = b"a key of an install, long enough"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CUSTOM = ("example.com", "apps")

POLICY = Redaction(
    annotation_keys=frozenset({"example.com/password"}),
    fields=(
        FieldRedaction(("spec", "users", "*", "password"), digest=False),
        FieldRedaction(("spec", "pin"), digest=True),
        FieldRedaction(("spec", "options"), digest=True),
        FieldRedaction(
            ("data", "*"),
            digest=False,
            resources=(_CONFIG := ResourcePattern(frozenset({""}), frozenset({"configmaps"})),),
        ),
    ),
    patterns=(ValuePattern(r"internal-[a-z0-9]+"),),
)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(canary: str) -> JsonObject:
    return {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {
            "name": "s",
            "namespace": "n",
            "annotations": {LAST_APPLIED: f'{{"data":"{encoded(canary)}"}}'},
        },
        "data": {"password": encoded(canary), "key": encoded(f"x{canary}")},
        "stringData": {"plain": canary},
        "type": "Opaque",
    }


def with_text(text: str) -> JsonObject:
    return {
        "kind": "App",
        "apiVersion": "example.com/v1",
        "spec": {"list": [{"text": f"before {text} after"}]},
    }


def pem(canary: str, kind: str = "RSA PRIVATE KEY") -> str:
    return f"-----BEGIN {kind}-----\n{encoded(canary)}\n{canary}\n-----END {kind}-----\n"


def token(canary: str) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"RS256"}').decode().rstrip("=")
    claims = base64.urlsafe_b64encode(json.dumps({"sub": canary}).encode()).decode().rstrip("=")
    return f"{header}.{claims}.{canary}"


def workload(annotations: JsonObject) -> JsonObject:
    metadata = {"annotations": annotations}
    pods = {
        "metadata": metadata,
        "spec": {"volumes": [{"ephemeral": {"volumeClaimTemplate": {"metadata": metadata}}}]},
    }
    job = {"metadata": metadata, "spec": {"template": pods}}
    return {"spec": {"template": pods, "jobTemplate": job, "volumeClaimTemplates": [{"metadata": metadata}]}}


def helm(canary: str, label: tuple[str, str]) -> JsonObject:
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "release.v1", "labels": {label[0]: label[1]}},
        "data": {"release": encoded(canary)},
        "binaryData": {"release": encoded(canary)},
    }


BUILT_IN: dict[str, Place] = {
    "secret": lambda c: ("", "secrets", secret(c)),
    "secret without kind": lambda c: ("", "secrets", {k: v for k, v in secret(c).items() if k != "kind"}),
    "secret under a wrong resource": lambda c: ("", "pods", secret(c)),
    "secret whose values are no map": lambda c: ("", "secrets", {"kind": "Secret", "data": c, "stringData": [c]}),
    "secret with values of odd types": lambda c: ("", "secrets", {"kind": "Secret", "data": {"a": [c], "b": {"c": c}}}),
    "helm release": lambda c: ("", "secrets", secret(c) | {"type": "helm.sh/release.v1"}),
    "bootstrap token": lambda c: ("", "secrets", secret(c) | {"type": "bootstrap.kubernetes.io/token"}),
    "secret list": lambda c: ("", "secrets", {"kind": "SecretList", "apiVersion": "v1", "items": [{"data": {"a": encoded(c)}}]}),
    "secret list under a wrong resource": lambda c: ("", "", {"kind": "SecretList", "apiVersion": "v1", "items": [{"data": {"a": encoded(c)}}]}),
    "bare list": lambda c: ("", "pods", {"kind": "List", "apiVersion": "v1", "items": [{"kind": "Pod"}, secret(c)]}),
    "list in a list": lambda c: ("", "x", {"kind": "List", "items": [{"kind": "List", "items": [secret(c)]}]}),
    "watch event": lambda c: ("", "secrets", {"kind": "WatchEvent", "type": "ADDED", "object": secret(c)}),
    "table": lambda c: ("", "secrets", {"kind": "Table", "rows": [{"cells": [c], "object": {"metadata": {}}}]}),
    "embedded secret": lambda c: (*CUSTOM, {"kind": "Work", "spec": {"manifests": [{"raw": secret(c)}]}}),
    "embedded in a revision": lambda c: ("apps", "controllerrevisions", {"kind": "ControllerRevision", "data": {"a": secret(c)}}),
    "last applied": lambda c: ("apps", "deployments", {"kind": "Deployment", "metadata": {"annotations": {LAST_APPLIED: c}}}),
    "last applied in templates": lambda c: ("batch", "cronjobs", {"kind": "CronJob", **workload({LAST_APPLIED: c})}),
    "last applied in a pod template": lambda c: ("", "podtemplates", {"kind": "PodTemplate", "template": {"metadata": {"annotations": {LAST_APPLIED: c}}}}),
    "last applied somewhere": lambda c: (*CUSTOM, {"kind": "App", "a": [{"b": {"annotations": {LAST_APPLIED: c}}}]}),
    "kapp": lambda c: ("", "configmaps", {"kind": "ConfigMap", "metadata": {"annotations": {"kapp.k14s.io/original": c}}}),
    "token request": lambda c: ("", "serviceaccounts", {"kind": "TokenRequest", "status": {"token": c}}),
    "token request without kind": lambda c: ("", "serviceaccounts", {"status": {"token": c}}),
    "token review": lambda c: ("authentication.k8s.io", "tokenreviews", {"kind": "TokenReview", "spec": {"token": c}}),
    "signing request": lambda c: ("certificates.k8s.io", "certificatesigningrequests", {"kind": "CertificateSigningRequest", "spec": {"request": encoded(c)}}),
    "self review": lambda c: ("authentication.k8s.io", "selfsubjectreviews", {"kind": "SelfSubjectReview", "status": {"userInfo": {"extra": {"k": [c]}}}}),
    "helm config map": lambda c: ("", "configmaps", helm(c, ("owner", "helm"))),
    "tiller config map": lambda c: ("", "configmaps", helm(c, ("OWNER", "TILLER"))),
    "bootstrap token in a custom resource": lambda c: (*CUSTOM, {"kind": "KubeadmConfig", "spec": {"discovery": {"token": f"{c[:6]}.{c[:16]}"}}}),
    "password in a URL": lambda c: (*CUSTOM, with_text(f"postgres://user:{c}@db.example.com:5432/app?sslmode=off")),
    "password with odd letters in a URL": lambda c: (*CUSTOM, with_text(f"amqp://u:{c[:9]}/{c}?x#@host/v")),
    "token as user in a URL": lambda c: (*CUSTOM, with_text(f"https://{c}@git.example.com/a.git")),
    "second URL": lambda c: (*CUSTOM, with_text(f"https://a.b/c,https://u:{c}@d/e,redis://:{c}@f")),
    "private key": lambda c: (*CUSTOM, with_text(pem(c))),
    "PKCS 8 key": lambda c: (*CUSTOM, with_text(pem(c, "PRIVATE KEY"))),
    "PGP key": lambda c: (*CUSTOM, with_text(pem(c, "PGP PRIVATE KEY BLOCK"))),
    "key cut off": lambda c: (*CUSTOM, with_text(pem(c)[:-20])),
    "key as one line": lambda c: ("", "configmaps", {"kind": "ConfigMap", "data": {"k": json.dumps({"k": pem(c)})}}),
    "key in base64": lambda c: (*CUSTOM, with_text(encoded(pem(c)))),
    "certificate and key in base64": lambda c: (*CUSTOM, with_text(encoded(pem("x", "CERTIFICATE") + pem(c)))),
    "key in wrapped base64": lambda c: (*CUSTOM, with_text("\n   ".join(encoded(pem(c))[i : i + 64] for i in range(0, 999, 64)))),
    "web token": lambda c: (*CUSTOM, with_text(f"Bearer {token(c)}")),
    "web token in a header": lambda c: ("", "pods", {"kind": "Pod", "spec": {"args": [f'--header="X:{token(c)}"']}}),
    "encrypted web token": lambda c: (*CUSTOM, with_text(f"eyJhbGciOiJkaXIifQ..{c}.{c}.{c}")),
    "AWS key": lambda c: (*CUSTOM, with_text(f"key=AKIA{c[:16].upper()};")),
    "AWS temporary key": lambda c: (*CUSTOM, with_text(f"ASIA{c[:16].upper()}")),
    "AWS secret in a file": lambda c: (*CUSTOM, with_text(f"aws_secret_access_key = {c}{c}")),
    "AWS secret in JSON": lambda c: (*CUSTOM, with_text(json.dumps({"secretAccessKey": c + c}))),
    "AWS secret in the environment": lambda c: ("", "pods", {"kind": "Pod", "spec": {"containers": [{"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": c}]}]}}),
    "AWS secret in a field": lambda c: (*CUSTOM, {"kind": "App", "spec": {"s3": {"secretAccessKey": c}}}),
    "text of an annotation": lambda c: ("", "pods", {"kind": "Pod", "metadata": {"annotations": {"a": f"https://u:{c}@h"}}}),
    "text of a managed field": lambda c: ("", "pods", {"kind": "Pod", "metadata": {"managedFields": [{"manager": token(c)}]}}),
    "text of metadata that is none": lambda c: ("", "pods", {"kind": "Pod", "metadata": [token(c)]}),
    "items of something else": lambda c: (*CUSTOM, {"kind": "Menu", "items": [token(c), {"t": token(c)}]}),
    "scalar items of a list": lambda c: (*CUSTOM, {"kind": "AppList", "items": [token(c), [token(c)], {"t": token(c)}]}),
}  # fmt: skip

BY_POLICY: dict[str, Place] = {
    "annotation": lambda c: ("", "pods", {"kind": "Pod", "metadata": {"annotations": {"example.com/password": c}}}),
    "annotation of templates": lambda c: ("batch", "cronjobs", {"kind": "CronJob", **workload({"example.com/password": c})}),
    "annotation deep inside": lambda c: (*CUSTOM, {"kind": "App", "spec": {"a": [{"annotations": {"example.com/password": c}}]}}),
    "field": lambda c: (*CUSTOM, {"kind": "App", "spec": {"users": [{"password": c}, {"password": {"deep": [c]}}]}}),
    "digested field": lambda c: (*CUSTOM, {"kind": "App", "spec": {"pin": c, "options": {"a": [c]}}}),
    "field of one type": lambda c: ("", "configmaps", {"kind": "ConfigMap", "data": {"a": c, "b": c}}),
    "field of items": lambda c: ("", "configmaps", {"kind": "ConfigMapList", "apiVersion": "v1", "items": [{"data": {"a": c}}]}),
    "field of anything's items": lambda c: ("", "x", {"kind": "List", "items": [{"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": c}}]}),
    "pattern": lambda c: ("", "pods", {"kind": "Pod", "spec": {"args": ["x", f"--to=internal-{c} and {c}"]}}),
}  # fmt: skip


def sings(text: str, canary: str) -> bool:
    """Whether the canary is in the text, in whatever case, or at any of three offsets in base64."""
    if canary.lower() in text.lower() or canary[:16].lower() in text.lower():
        return True
    shifted = [encoded("x" * shift + canary)[4:-4] for shift in range(3)]
    return any(piece in text or piece.replace("+", "-").replace("/", "_") in text for piece in shifted)


@pytest.mark.parametrize("raw_given", [True, False])
@pytest.mark.parametrize("name", [*BUILT_IN, *BY_POLICY])
def test_no_canary_is_left(name: str, raw_given: bool) -> None:
    place = BUILT_IN.get(name) or BY_POLICY[name]
    redactions = [POLICY, POLICY_DIGESTS] if name in BY_POLICY else [Redaction(), POLICY, POLICY_DIGESTS]
    for seed in range(4):
        rng = random.Random(f"{name} {seed}")
        canary = "".join(rng.choices(string.ascii_lowercase + string.digits, k=24))
        for redaction in redactions:
            group, resource, obj = place(canary)
            assert sings(json.dumps(obj), canary), "the test itself hides it"
            redactor = Redactor(redaction, KEY)
            redactor.redact_object(group, resource, obj, raw=orjson.dumps(obj) if raw_given else None)
            assert not sings(json.dumps(obj), canary), obj
            again = copy.deepcopy(obj)
            redactor.redact_object(group, resource, again)
            assert again == obj


POLICY_DIGESTS = Redaction(
    digest_secrets=True,
    user_identity="Digest",
    annotation_keys=POLICY.annotation_keys,
    fields=POLICY.fields,
    patterns=POLICY.patterns,
)


@pytest.mark.parametrize("canary", ["k8shunter2hunter2hunter2", "0123456789abcdef01234567"])
def test_texts_that_stand_alone(canary: str) -> None:
    redactor = Redactor(POLICY, KEY)
    for text in (
        f"failed to pull https://u:{canary}@registry/x: denied",
        f"token {token(canary)} is expired",
        pem(canary),
        f"join with --token {canary[:6]}.{canary[:16]} now",
        f'Secret in version "v1" cannot be handled as a Secret: illegal base64 {canary}',
        f"illegal base64 data, error found in #10 byte of ...|word:{canary}|..., bigger context {canary}",
        f"connect to internal-{canary}",
    ):
        assert not sings(redactor.redact_text(text), canary), text
        assert redactor.redact_text(redactor.redact_text(text)) == redactor.redact_text(text)
