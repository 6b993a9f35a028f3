"""What is served beside the work, and views of an installation's own: as flags, in the environment, in the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeweft.app.joining import ConnectedClients
from kubeweft.app.serving import ServeOptions, check_exposure, serve_options, views_of
from kubeweft.display.serving.http.server import is_loopback
from kubeweft.model.errors import UserError
from kubeweft.settings import Settings, load, parse_address

CONFIG = Path(__file__).parents[3] / "config" / "jaeger"
QUERY_API = CONFIG.parent / "query-api"


def test_nothing_is_served_unless_told() -> None:
    options = serve_options(load(flags={}, file=None))
    assert (options.grpc, options.http, options.auth) == ("", "", "none")


def test_views_are_a_section_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "kubeweft.toml"
    file.write_text(
        'serve_grpc = "127.0.0.1:17271"\n'
        '[[views.views]]\nname = "mine"\nnumber = 20\nfrom = "tree"\n'
        'steps = [{hide-sources = {sources = ["gap"]}}]\n'
        '[[views.selections]]\nname = "near"\nnumber = 7\ndown = 1\n'
    )
    options = serve_options(load(flags={}, file=file))
    known = views_of(options.views)
    assert known.view("mine").number == 20
    assert known.selection("near").down == 1
    assert "tree" in known.views


def test_views_are_a_file_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "views.yaml"
    file.write_text("views: [{name: mine, number: 20, from: timeline}]")
    monkeypatch.setenv("KUBEWEFT_VIEWS", str(file))
    assert "mine" in views_of(load(flags={}, file=None).views).views


def test_a_wrong_section_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "kubeweft.toml"
    file.write_text('[[views.views]]\nname = "mine"\nnumber = 99\n')
    with pytest.raises(UserError, match="settings: views"):
        views_of(load(flags={}, file=file).views)


def test_an_address_that_is_none_is_told_with_the_other_mistakes() -> None:
    with pytest.raises(UserError, match="serve_http: must be HOST:PORT"):
        load(flags={"serve_http": "16686"}, file=None)


def test_names_and_pages_are_lists_in_the_file_and_have_commas_between_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kubeweft.toml"
    file.write_text(
        'serve_allow_host = ["a.example", "b.example"]\nserve_base_path = "/kubeweft"\n'
        'serve_trace_page = "https://jaeger.example/trace/{trace_id}"\n'
    )
    monkeypatch.setenv("KUBEWEFT_SERVE_ALLOW_ORIGIN", "https://grafana.example, http://localhost:3000")
    options = serve_options(load(flags={}, file=file))
    assert options.allow_hosts == ("a.example", "b.example")
    assert options.allow_origins == ("https://grafana.example", "http://localhost:3000")
    assert (options.base_path, options.trace_page) == (
        "/kubeweft",
        "https://jaeger.example/trace/{trace_id}",
    )
    flags = {"serve_allow_host": "c.example"}
    assert serve_options(load(flags=flags, file=file)).allow_hosts == ("c.example",)
    assert serve_options(load(flags={}, file=None)).allow_hosts == ()


def test_clusters_share_identities_only_where_that_is_said() -> None:
    assert serve_options(load(flags={}, file=None)).shared_identities == ()
    flags = {"serve_shared_identities": "east, west"}
    assert serve_options(load(flags=flags, file=None)).shared_identities == ("east", "west")


def test_addresses_that_others_reach_need_to_know_who_asks() -> None:
    flags = {"serve_http": "0.0.0.0:16686"}
    with pytest.raises(UserError, match="add --serve-auth kubernetes, or --serve-insecure-no-auth"):
        check_exposure(serve_options(load(flags=flags, file=None)))
    flags_of_one = {**flags, "serve_auth": "kubernetes"}
    with pytest.raises(UserError, match="--serve-tls-cert and --serve-tls-key, or --serve-insecure-no-tls"):
        check_exposure(serve_options(load(flags=flags_of_one, file=None)))
    for more in ({"serve_insecure_no_tls": "true"}, {"serve_tls_cert": "c", "serve_tls_key": "k"}):
        check_exposure(serve_options(load(flags={**flags_of_one, **more}, file=None)))
    check_exposure(serve_options(load(flags={**flags_of_one, "serve_http": "127.0.0.1:0"}, file=None)))
    check_exposure(serve_options(load(flags={**flags, "serve_insecure_no_auth": "true"}, file=None)))


def test_what_is_told_to_serve_names_options_that_run_takes() -> None:
    taken = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    for flags in ({}, {"serve_auth": "kubernetes"}):
        with pytest.raises(UserError) as told:
            check_exposure(serve_options(load(flags={"serve_http": "0.0.0.0:1", **flags}, file=None)))
        assert set(re.findall(r"--[a-z-]+", str(told.value))) <= taken


def test_clusters_that_are_not_watched_now_are_asked_nothing() -> None:
    class Member:
        client: Any = None

    near, far = Member(), Member()
    clients = ConnectedClients(lambda: {"near": near, "far": far})
    assert list(clients) == []
    near.client = "near"
    assert [*clients.items()] == [("near", near.client)]
    assert clients.get("far") is None
    near.client, far.client = None, "far"
    assert list(clients) == ["far"]


def served_with(env: list[dict[str, str]]) -> ServeOptions:
    """What a container with these variables serves; raises where strangers could get in."""
    flags = {one["name"].removeprefix("KUBEWEFT_").lower(): one["value"] for one in env}
    options = serve_options(load(flags=flags, file=None))
    check_exposure(options)
    return options


def test_the_query_api_in_a_cluster_asks_who_is_there_and_speaks_tls() -> None:
    pod = yaml.safe_load((QUERY_API / "serving.yaml").read_text())["spec"]["template"]["spec"]
    ours, volume = pod["containers"][0], pod["volumes"][0]
    options = served_with(ours["env"])
    assert (options.auth, options.without_tls, options.grpc) == ("kubernetes", False, "")
    (mounted,) = ours["volumeMounts"]
    assert mounted["name"] == volume["name"]
    keys = {
        "tls.crt": options.tls_cert,
        "tls.key": options.tls_key,
    }  # those of a Secret of the type kubernetes.io/tls
    assert keys == {name: f"{mounted['mountPath']}/{name}" for name in keys}
    (port,) = ours["ports"]
    assert port["containerPort"] == parse_address(options.http)[1]
    service = yaml.safe_load((QUERY_API / "service.yaml").read_text())
    assert [one["targetPort"] for one in service["spec"]["ports"]] == [port["name"]]
    kustomization = yaml.safe_load((QUERY_API / "kustomization.yaml").read_text())
    assert "../rbac/access" in kustomization["resources"], "the right to ask who somebody is"
    assert [one["path"] for one in kustomization["patches"]] == ["serving.yaml"]


def test_the_shipped_jaeger_fits_the_pod_that_it_is_put_into() -> None:
    patch = yaml.safe_load((CONFIG / "sidecar.yaml").read_text())
    ours, jaeger = patch["spec"]["template"]["spec"]["containers"]
    options = served_with(ours["env"])
    text = (CONFIG / "jaeger.yaml").read_text()
    assert f"${{env:KUBEWEFT_GRPC:-{options.grpc}}}" in text
    page = options.trace_page.removeprefix("http://").removesuffix("/trace/{trace_id}")
    assert f"${{env:JAEGER_HTTP:-{page}}}" in text
    assert is_loopback(parse_address(options.http)[0])
    assert all(f"${{env:{one['name']}:-" in text for one in jaeger["env"])
    (mounted,) = jaeger["volumeMounts"]
    assert f"{mounted['mountPath']}/jaeger.yaml" in jaeger["args"]
    kustomization = yaml.safe_load((CONFIG / "kustomization.yaml").read_text())
    named = [kustomization["configMapGenerator"][0]["files"][0], kustomization["patches"][0]["path"]]
    assert all((CONFIG / name).is_file() for name in named)
