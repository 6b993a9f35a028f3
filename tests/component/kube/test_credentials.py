"""Finding a cluster, and staying logged in: files, the pod's account, tokens, plug-ins, OIDC and certificates."""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from controlplane.certificates import Authority
from fake_apiserver import FakeApiServer, raw
from kubeweft.kube import credentials
from kubeweft.kube.clients import ClusterClient, cluster_uid, connect, connect_with, get_json
from kubeweft.kube.failures import Unavailable
from kubeweft.model.errors import UserError

NAMESPACE = "/api/v1/namespaces/kube-system"


def kubeconfig(url: str, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


async def host_of(**places: Any) -> str:
    async with await connect(**places) as client:
        return str(client.configuration.host)


async def test_the_order_of_places(home: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"pass --kubeconfig FILE, set KUBECONFIG, put the file at ~/.kube/config"
    ):
        await connect(environ={})
    (home / ".kube").mkdir()
    write(home / ".kube/config", kubeconfig("http://home", {}))
    named = str(write(tmp_path / "named", kubeconfig("http://named", {})))
    given = str(write(tmp_path / "given", kubeconfig("http://given", {})))
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert await host_of(environ={}) == "http://home"
    with pytest.raises(UserError, match="says that this is a pod, but its service account cannot be used"):
        await connect(environ=pod)
    assert await host_of(environ={**pod, "KUBECONFIG": named}) == "http://named"
    assert await host_of(kubeconfig=given, environ={"KUBECONFIG": named}) == "http://given"


async def test_several_files_and_contexts(home: Path, tmp_path: Path) -> None:
    one = write(tmp_path / "one", kubeconfig("http://one", {}))
    other = kubeconfig("http://other", {})
    for section in ("clusters", "users", "contexts"):
        other[section][0]["name"] = "other"
    other["contexts"][0]["context"] = {"cluster": "other", "user": "other"}
    two = write(tmp_path / "two", other)
    paths = os.pathsep.join([str(one), str(tmp_path / "missing"), str(two)])
    assert await host_of(context="other", environ={"KUBECONFIG": paths}) == "http://other"
    with pytest.raises(UserError, match="Expected object with name nowhere"):
        await connect(context="nowhere", environ={"KUBECONFIG": str(one)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be used"),
        ("{", "cannot be used"),
        ("- a\n", "cannot be used"),
        ("clusters: []\n", "cannot be used: Invalid kube-config file. Expected key current-context"),
    ],
)
async def test_broken_files_are_told(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "broken").write_text(content)
    with pytest.raises(UserError, match=message):
        await connect(kubeconfig=str(tmp_path / "broken"))
    with pytest.raises(UserError, match="there is no kubeconfig file"):
        await connect(kubeconfig=str(tmp_path / "missing"))


async def test_errors_never_quote_a_token(tmp_path: Path) -> None:
    config = kubeconfig("http://x", {"token": "s3cr3t", "auth-provider": {"name": "oidc"}})
    with pytest.raises(UserError) as caught:
        await connect(kubeconfig=str(write(tmp_path / "c", config)))
    assert "s3cr3t" not in str(caught.value)
    assert "s3cr3t" not in repr(caught.value.__cause__)
    assert caught.value.__suppress_context__


async def test_a_pod_uses_its_account_and_reads_its_token_again(
    server: FakeApiServer, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    (tmp_path / "ca.crt").write_bytes(authority.files.certificate.read_bytes())
    (tmp_path / "token").write_text("one\n")
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    access = await credentials.find_access(kubeconfig="", context="", environ=pod, account=tmp_path)
    assert access.configuration.host == "https://10.0.0.1:443"
    assert access.renew is not None
    assert access.configuration.api_key == {"BearerToken": "Bearer one"}
    (tmp_path / "token").write_text("two\n")
    await access.renew()
    assert access.configuration.api_key == {"BearerToken": "Bearer two"}
    (tmp_path / "token").unlink()
    with pytest.raises(UserError, match="Service token file does not exist"):
        await access.renew()
    assert access.configuration.api_key == {"BearerToken": "Bearer two"}


@pytest.mark.parametrize(
    ("user", "cluster", "field"),
    [
        ({"exec": {"command": "rm"}}, {}, "exec"),
        ({"auth-provider": {"name": "oidc"}}, {}, "auth-provider"),
        ({"tokenFile": "/etc/passwd"}, {}, "tokenFile"),
        ({"client-certificate": "/a", "client-key-data": "eA=="}, {}, "client-certificate"),
        ({"client-key": "/a"}, {}, "client-key"),
        ({}, {"certificate-authority": "/a"}, "certificate-authority"),
    ],
)
async def test_a_kubeconfig_from_outside_reaches_nothing_here(
    user: dict[str, Any], cluster: dict[str, Any], field: str
) -> None:
    text = yaml.safe_dump(kubeconfig("https://x", user, cluster)).encode()
    with pytest.raises(UserError, match=f"must not use '{field}'"):
        await connect_with(text)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"users: [1]\n", b"users: 7\n"])
async def test_a_broken_kubeconfig_from_outside_is_told(text: bytes) -> None:
    with pytest.raises(UserError, match="the kubeconfig"):
        await connect_with(text)


async def renewed(server: FakeApiServer, config: Path) -> ClusterClient:
    """A client that looks after its credentials before every request."""
    server.script("*", raw(b"{}"), times=99)
    return ClusterClient(await credentials.from_files(str(config), ""), renew_every=0.0)


async def test_a_token_file_is_read_again(server: FakeApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    config = write(tmp_path / "config", kubeconfig(server.url, {"tokenFile": "token"}))
    async with await renewed(server, config) as client:
        await get_json(client, "/x")
        token.write_text("two\n")
        await get_json(client, "/x")
    assert [asked.authorization for asked in server.asked] == ["Bearer one", "Bearer two"]


async def test_a_plug_in_is_asked_again_and_its_failure_keeps_the_old_token(
    server: FakeApiServer, tmp_path: Path
) -> None:
    plug_in, answer_file = tmp_path / "login.py", tmp_path / "answer"
    plug_in.write_text(f"print(open({str(answer_file)!r}).read())")
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(plug_in)],
        }
    }

    def tell(token: str) -> None:
        status = {"token": token}
        credential = {"kind": "ExecCredential", "apiVersion": user["exec"]["apiVersion"], "status": status}
        answer_file.write_text(json.dumps(credential))

    tell("one")
    config = write(tmp_path / "config", kubeconfig(server.url, user))
    async with await renewed(server, config) as client:
        await get_json(client, "/x")
        tell("two")
        await get_json(client, "/x")
        answer_file.unlink()
        await get_json(client, "/x")
    assert [a.authorization for a in server.asked] == ["Bearer one", "Bearer two", "Bearer two"]


async def test_credentials_are_left_alone_while_they_are_fresh(server: FakeApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    config = write(tmp_path / "config", kubeconfig(server.url, {"tokenFile": "token"}))
    server.script("*", raw(b"{}"), times=2)
    async with await connect(kubeconfig=str(config)) as client:
        await get_json(client, "/x")
        token.write_text("two")
        await get_json(client, "/x")
    assert {asked.authorization for asked in server.asked} == {"Bearer one"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the library's own OIDC code
async def test_an_expired_oidc_token_is_refreshed_and_kept(server: FakeApiServer, tmp_path: Path) -> None:
    def token(expires: float) -> str:
        parts = [b'{"alg":"none"}', json.dumps({"exp": int(expires)}).encode(), b"signature"]
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

    fresh = token(time.time() + 3600)
    server.script("/.well-known/*", raw(json.dumps({"token_endpoint": f"{server.url}/token"}).encode()))
    server.script("/token", raw(json.dumps({"id_token": fresh, "refresh_token": "r2"}).encode()))
    settings = {
        "idp-issuer-url": server.url,
        "client-id": "id",
        "client-secret": "secret",
        "id-token": token(time.time() - 10),
        "refresh-token": "r1",
    }
    user = {"auth-provider": {"name": "oidc", "config": settings}}
    config = write(tmp_path / "config", kubeconfig(server.url, user))
    async with await renewed(server, config) as client:
        await get_json(client, "/x")
    assert server.asked[-1].authorization == f"Bearer {fresh}"
    assert "r2" in config.read_text()


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[tuple[str, Authority, list[str]]]:
    """An HTTPS server that wants client certificates: its address, their authority, and the users that came."""
    authority = Authority(tmp_path / "ca")
    pair = authority.server("server", names=["localhost"], addresses=["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.files.certificate))
    context.load_cert_chain(pair.certificate, pair.key)
    context.verify_mode = ssl.CERT_REQUIRED
    users: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        subject = request.transport.get_extra_info("peercert")["subject"]
        users.append(dict(pair[0] for pair in subject)["commonName"])
        return web.json_response({"metadata": {"uid": "u"}})

    app = web.Application()
    app.router.add_get(NAMESPACE, answer)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}", authority, users
    await runner.cleanup()


async def test_renewed_certificates_are_used_for_new_connections(
    tls_server: tuple[str, Authority, list[str]], tmp_path: Path
) -> None:
    url, authority, users = tls_server
    old, new = authority.client("old", user="old"), authority.client("new", user="new")
    mine, key = tmp_path / "mine.crt", tmp_path / "mine.key"
    mine.write_bytes(old.certificate.read_bytes())
    key.write_bytes(old.key.read_bytes())
    user = {"client-certificate": str(mine), "client-key": str(key)}
    cluster = {"certificate-authority": str(authority.files.certificate)}
    access = await credentials.from_files(str(write(tmp_path / "config", kubeconfig(url, user, cluster))), "")
    async with ClusterClient(access, renew_every=0.0) as client:
        assert await cluster_uid(client) == "u"
        mine.write_bytes(new.certificate.read_bytes())  # halfway: certificate and key do not fit
        os.utime(mine, ns=(1, 1))
        assert await cluster_uid(client) == "u"
        modified = key.stat().st_mtime_ns
        key.write_bytes(new.key.read_bytes())
        os.utime(key, ns=(modified, modified))  # nothing but the failure before says that it has changed
        assert await cluster_uid(client) == "u"
        assert await cluster_uid(client) == "u"
    assert users == ["old", "old", "new", "new"]


async def test_embedded_certificates_work(
    tls_server: tuple[str, Authority, list[str]], tmp_path: Path
) -> None:
    url, authority, users = tls_server
    pair = authority.client("joined", user="joined")

    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    user = {"client-certificate-data": data(pair.certificate), "client-key-data": data(pair.key)}
    cluster = {"certificate-authority-data": data(authority.files.certificate)}
    async with await connect_with(yaml.safe_dump(kubeconfig(url, user, cluster)).encode()) as client:
        assert await cluster_uid(client) == "u"
    assert users == ["joined"]
    stranger = Authority(tmp_path / "other-ca")
    cluster = {"certificate-authority-data": data(stranger.files.certificate)}
    async with await connect_with(yaml.safe_dump(kubeconfig(url, user, cluster)).encode()) as client:
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await cluster_uid(client)
