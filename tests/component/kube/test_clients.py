"""Requests outside of watches: what they send, and what each kind of failure becomes."""

from __future__ import annotations

import asyncio
import json
import tempfile
from base64 import b64encode
from pathlib import Path

import pytest
from aiohttp import web

from controlplane.certificates import Authority
from controlplane.ports import free_ports
from fake_apiserver import NODES, PODS, FakeApiServer, answer, raw
from kubeweft.kube import failures
from kubeweft.kube.clients import (
    ClusterClient,
    cluster_uid,
    connect_with,
    get_bytes,
    get_json,
    patch_status,
    read_secret,
    whoami,
)
from kubeweft.model.errors import UserError
from kubeweft.model.references import ResourceType

NAMESPACE = "/api/v1/namespaces/kube-system"
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
POLICIES = ResourceType("kubeweft.io", "v1alpha1", "tracingpolicies", "TracingPolicy", False)


async def test_json_and_bytes(server: FakeApiServer, client: ClusterClient) -> None:
    server.create(PODS, "a")
    body = await get_json(client, "/api/v1/pods", query=[("limit", "5")])
    assert [item["metadata"]["name"] for item in body["items"]] == ["a"]
    assert json.loads(await get_bytes(client, "/api/v1/pods")) == {
        **body,
        "metadata": {"resourceVersion": "1001"},
    }
    assert server.asked[0].query == {"limit": "5"}


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (400, failures.Refused),
        (401, failures.Unauthorized),
        (403, failures.Forbidden),
        (404, failures.NotServed),
        (405, failures.NotServed),
        (406, failures.Refused),
        (409, failures.Refused),
        (410, failures.Gone),
        (422, failures.Refused),
        (429, failures.Unavailable),
        (500, failures.Unavailable),
        (503, failures.Unavailable),
    ],
)
async def test_each_status_is_its_own_failure(
    server: FakeApiServer, client: ClusterClient, code: int, failure: type[failures.ApiFailure]
) -> None:
    server.script("*", answer(code, "because", {"Retry-After": "7"}))
    with pytest.raises(failure) as caught:
        await get_json(client, "/api/v1/pods")
    assert type(caught.value) is failure
    assert str(caught.value) == f"because (HTTP {code})"
    assert (caught.value.status, caught.value.retry_after) == (code, 7.0)


async def test_a_slow_server_meets_the_deadline(server: FakeApiServer, client: ClusterClient) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await asyncio.sleep(60)
        return response

    for handler in (never, half):
        server.script("*", handler)
        with pytest.raises(failures.Unavailable, match="no answer in time"):
            await get_json(client, "/api/v1/pods", deadline=0.1)


async def test_nobody_there_and_no_json(server: FakeApiServer, client: ClusterClient) -> None:
    server.script("*", raw(b"<html>"))
    with pytest.raises(failures.Unavailable, match="no valid JSON"):
        await get_json(client, "/api/v1/pods")
    client.configuration.host = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(failures.Unavailable, match="ClientConnectorError"):
        await get_json(client, "/api/v1/pods")


async def test_the_status_of_our_own_objects_is_merged(server: FakeApiServer, client: ClusterClient) -> None:
    server.script("*", raw(b"{}"))
    await patch_status(client, POLICIES, name="default", status={"observedGeneration": 3, "old": None})
    [asked] = server.asked
    assert (asked.method, asked.path) == (
        "PATCH",
        "/apis/kubeweft.io/v1alpha1/tracingpolicies/default/status",
    )
    assert asked.content_type == "application/merge-patch+json"
    assert json.loads(asked.body) == {"status": {"observedGeneration": 3, "old": None}}


async def test_nothing_foreign_is_ever_written(server: FakeApiServer, client: ClusterClient) -> None:
    with pytest.raises(ValueError, match="is not ours"):
        await patch_status(client, NODES, name="n", status={})
    assert server.asked == []


async def test_a_conflicting_status_is_told(server: FakeApiServer, client: ClusterClient) -> None:
    server.script("*", answer(409, "the object has been modified"))
    with pytest.raises(failures.Refused, match="has been modified"):
        await patch_status(client, POLICIES, name="default", status={})


async def test_who_we_are(server: FakeApiServer, client: ClusterClient) -> None:
    review = {"status": {"userInfo": {"username": "system:serviceaccount:kubeweft:kubeweft"}}}
    server.script(REVIEW, raw(json.dumps(review).encode()))
    assert await whoami(client) == "system:serviceaccount:kubeweft:kubeweft"
    assert server.asked[0].method == "POST"
    for handler in (answer(403), answer(404), raw(b"{}"), raw(b'{"status":[]}')):
        server.script(REVIEW, handler)
        assert await whoami(client) is None


async def test_which_cluster_it_is(server: FakeApiServer, client: ClusterClient) -> None:
    server.script(NAMESPACE, raw(b'{"metadata":{"uid":"0c0ffee0"}}'))
    assert await cluster_uid(client) == "0c0ffee0"
    server.script(NAMESPACE, answer(403))
    assert await cluster_uid(client) is None
    server.script(NAMESPACE, answer(503))
    with pytest.raises(failures.Unavailable):
        await cluster_uid(client)


async def test_a_joined_cluster_is_reached_with_its_token(server: FakeApiServer) -> None:
    server.script(NAMESPACE, raw(b'{"metadata":{"uid":"u"}}'))
    text = f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{server.url}/"}}}}]
users: [{{name: u, user: {{token: "tok"}}}}]
contexts: [{{name: a, context: {{cluster: c}}}}, {{name: b, context: {{cluster: c, user: u}}}}]
current-context: a
"""
    async with await connect_with(text.encode(), context="b") as client:
        assert await cluster_uid(client) == "u"
    assert server.asked[0].authorization == "Bearer tok"


SECRET = "/api/v1/namespaces/kubeweft-system/secrets/kubeconfig"


async def test_a_secret_is_read_by_its_name(server: FakeApiServer, client: ClusterClient) -> None:
    server.script(SECRET, raw(b'{"kind":"Secret","data":{"kubeconfig":"a2V5","empty":"","bytes":"/wA="}}'))
    content = await read_secret(client, "kubeweft-system", "kubeconfig")
    assert content == {"kubeconfig": b"key", "empty": b"", "bytes": b"\xff\x00"}
    assert (server.asked[0].method, server.asked[0].path) == ("GET", SECRET)
    for body in (b'{"kind":"Secret"}', b'{"kind":"Secret","data":null}'):
        server.script(SECRET, raw(body))
        assert await read_secret(client, "kubeweft-system", "kubeconfig") == {}


@pytest.mark.parametrize(("code", "failure"), [(404, failures.NotServed), (403, failures.Forbidden)])
async def test_a_secret_that_is_not_there_and_one_that_may_not_be_read_are_told_apart(
    server: FakeApiServer, client: ClusterClient, code: int, failure: type[failures.ApiFailure]
) -> None:
    server.script(SECRET, answer(code))
    with pytest.raises(failure):
        await read_secret(client, "kubeweft-system", "kubeconfig")


@pytest.mark.parametrize("data", ['"text"', '{"a":"*"}', '{"a":1}', '{"a":"a2V5a"}', '{"a":"é"}'])
async def test_the_content_of_a_broken_secret_is_not_quoted(
    server: FakeApiServer, client: ClusterClient, data: str
) -> None:
    server.script(SECRET, raw(f'{{"kind":"Secret","data":{data}}}'.encode()))
    with pytest.raises(failures.Unavailable, match="kubeweft-system/kubeconfig cannot be read") as caught:
        await read_secret(client, "kubeweft-system", "kubeconfig")
    assert "a2V5a" not in str(caught.value)


async def test_the_name_of_a_secret_leads_nowhere_else(server: FakeApiServer, client: ClusterClient) -> None:
    with pytest.raises(failures.NotServed):
        await read_secret(client, "kubeweft-system", "../configmaps/x?y=z")
    assert server.asked[0].path == "/api/v1/namespaces/kubeweft-system/secrets/../configmaps/x?y=z"
    assert server.asked[0].query == {}


def kubeconfig_of(*, authority: bytes = b"", certificate: bytes = b"", key: bytes = b"") -> bytes:
    """A kubeconfig that holds all of it itself."""
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": b64encode(authority).decode()}
    user = {
        "client-certificate-data": b64encode(certificate).decode(),
        "client-key-data": b64encode(key).decode(),
    }
    content = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return json.dumps(content).encode()


def credentials_in(folder: Path) -> dict[str, bytes]:
    """An authority, and a certificate of it with its key."""
    authority = Authority(folder / "authority")
    pair = authority.client("west", user="west")
    return {
        "authority": authority.files.certificate.read_bytes(),
        "certificate": pair.certificate.read_bytes(),
        "key": pair.key.read_bytes(),
    }


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


async def test_keys_of_joined_clusters_stay_in_no_file(tmp_path: Path, temporary: Path) -> None:
    content = kubeconfig_of(**credentials_in(tmp_path))
    for _ in range(2):
        async with await connect_with(content) as client:
            assert str(client.configuration.key_file).startswith(str(temporary))  # it was there for OpenSSL
            assert list(temporary.iterdir()) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("broken", ["authority", "certificate", "key"])
async def test_broken_certificates_and_keys_of_joined_clusters_are_told(
    tmp_path: Path, temporary: Path, broken: str
) -> None:
    with pytest.raises(UserError, match="cannot be used") as caught:
        await connect_with(kubeconfig_of(**credentials_in(tmp_path) | {broken: b"canary"}))
    assert "canary" not in str(caught.value)
    assert list(temporary.iterdir()) == []


async def test_what_is_not_base64_is_told(tmp_path: Path, temporary: Path) -> None:
    content = kubeconfig_of(**credentials_in(tmp_path)).replace(b'key-data": "', b'key-data": "a')
    with pytest.raises(UserError, match="cannot be used"):
        await connect_with(content)
    assert list(temporary.iterdir()) == []
