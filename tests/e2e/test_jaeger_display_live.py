"""A rollout on the real control plane, looked at in a real Jaeger over the running operator: what Kelemetry promises.

Then the real UI in a real browser: search, open a trace, follow a link to another object's trace, come in by a link from
outside. With KUBEWEFT_SCREENSHOTS=docs/images the pictures in the documentation are made here.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import yaml

from browser.chromium import browsing, find_chromium
from browser.jaeger_ui import NoUi, jaeger_ui
from browser.page import Page
from cluster_requests import Cluster
from controlplane.plane import ControlPlane
from controlplane.ports import free_ports
from controlplane.testing import AuditTarget, wait_until
from jaeger_process import jaeger_over
from operator_process import OperatorProcess, listening_at, shown
from rollout import Rollout

pytestmark = [pytest.mark.jaeger, pytest.mark.timeout(240, func_only=True)]
Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
NAMESPACE = "shop"
LINKED = ("deployments.apps", "replicasets.apps", "pods", "nodes")


@dataclass(frozen=True)
class Scene:
    """A finished rollout and the Jaeger that shows it; ``ui`` is empty where Jaeger has none."""

    url: str
    ui: str
    began: int


@pytest.fixture(scope="module")
def scene(
    control_plane: ControlPlane, audit_target: AuditTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Create a Deployment of 2, scale it to 4, give it another image; all of it watched and audited."""
    folder = tmp_path_factory.mktemp("jaeger-live")
    try:
        ui: Path | None = jaeger_ui()
        missing = ""
    except NoUi as error:
        ui, missing = None, str(error)
    (port,) = free_ports(1)
    options = {
        **listening_at(audit_target, folder / "token"),
        "serve-grpc": f"127.0.0.1:{port}",
    }
    with Cluster(control_plane.kubeconfig) as cluster:
        cluster.install_crds()
        cluster.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
        wait_until(lambda: cluster.attempt("GET", account)[0] == 200, "the service account")
        rule = yaml.safe_load((ROOT / "config/link-rules/pod-node.yaml").read_text())
        cluster.create("/apis/kubeweft.io/v1alpha1/linkrules", rule)
        began = time.time_ns()
        with OperatorProcess(folder, control_plane.kubeconfig, options=options, watched=LINKED) as operator:
            create, scale, change_image, *_ = Rollout(cluster.api, namespace=NAMESPACE).steps()
            for step in (create, scale, change_image):
                step.act()
            wait_until(lambda: _is_told(operator.store), "the rollout to be stored", seconds=60)
            with jaeger_over(f"127.0.0.1:{port}", folder, ui=ui) as url:
                yield Scene(url, missing or url, began)


def _is_told(store: Path) -> bool:
    """Both ReplicaSets, the Pods of the second with the Node that each runs on, and the request for the new image."""
    told = shown(store, "deployment/demo", "-n", NAMESPACE)
    objects = Counter(span["object"].split("/")[0] for span in told["spans"] if span["source"] == "object")
    links = [
        span for span in told["spans"] if span["source"] == "link" and "RunsOn" in str(span["attributes"])
    ]
    words = str([span["attributes"].get("kubeweft.change.words") for span in told["spans"]])
    requests = [span for span in told["spans"] if span["source"] == "request"]
    return (
        objects["replicasets.apps"] == 2 and len(links) >= 4 and "nginx:1.27" in words and len(requests) > 20
    )


@pytest.fixture
async def client(scene: Scene) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(scene.url) as session:
        yield session


async def search(client: aiohttp.ClientSession, scene: Scene, service: str, **tags: str) -> list[Json]:
    """As the search page asks: the last hour."""
    asked = {
        "service": service,
        "operation": "local",
        "tags": json.dumps(tags),
        "limit": "20",
        "start": str(scene.began // 1000 - 60_000_000),
        "end": str(time.time_ns() // 1000 + 1_000_000),
    }
    async with client.get("/api/traces", params=asked) as answer:
        assert answer.status == 200, await answer.text()
        traces: list[Json] = (await answer.json())["data"]
    return traces


def objects_of(trace: Json, service: str) -> list[Json]:
    names = {process: value["serviceName"] for process, value in trace["processes"].items()}
    return [span for span in trace["spans"] if names[span["processID"]] == service]


def parent_of(span: Json) -> str:
    return next((ref["spanID"] for ref in span["references"] if ref["refType"] == "CHILD_OF"), "")


async def test_a_search_for_a_deployment_gives_the_rollout(
    client: aiohttp.ClientSession, scene: Scene
) -> None:
    """Kelemetry's first scenario: one root, under it the two ReplicaSets of the rollout, under each its Pods."""
    tags = {"resource": "deployments", "namespace": NAMESPACE, "name": "demo"}
    (trace,) = await search(client, scene, "tree", **tags)
    (root,) = [span for span in trace["spans"] if not parent_of(span)]
    assert root["operationName"] == f"{NAMESPACE}/demo"
    replica_sets = objects_of(trace, "ReplicaSet")
    assert len(replica_sets) == 2
    assert {parent_of(span) for span in replica_sets} == {root["spanID"]}
    pods = Counter(parent_of(span) for span in objects_of(trace, "Pod"))
    assert set(pods) == {span["spanID"] for span in replica_sets}
    assert min(pods.values()) >= 4
    assert any("nginx:1.26 → nginx:1.27" in str(span["tags"]) for span in trace["spans"])
    assert [span["warnings"] for span in trace["spans"] if span["warnings"]] == []


async def test_a_search_for_a_replica_set_with_ancestors_has_the_deployment_as_its_root(
    client: aiohttp.ClientSession, scene: Scene
) -> None:
    """Kelemetry's second scenario."""
    found = await search(
        client, scene, "tree ancestors", resource="replicasets", namespace=NAMESPACE, name="demo-*"
    )
    assert len(found) == 2
    for trace in found:
        (root,) = [span for span in trace["spans"] if not parent_of(span)]
        assert root["operationName"] == f"{NAMESPACE}/demo"
        (replica_set,) = objects_of(trace, "ReplicaSet")
        assert parent_of(replica_set) == root["spanID"]
        assert {parent_of(span) for span in objects_of(trace, "Pod")} == {replica_set["spanID"]}
    assert len({objects_of(trace, "ReplicaSet")[0]["operationName"] for trace in found}) == 2


@pytest.mark.parametrize("view", ["tree", "timeline", "tracing", "grouping", "actors"])
async def test_every_view_shows_every_request(client: aiohttp.ClientSession, scene: Scene, view: str) -> None:
    tags = {"resource": "deployments", "namespace": NAMESPACE, "name": "demo"}
    (trace,) = await search(client, scene, view, **tags)
    assert [span["warnings"] for span in trace["spans"] if span["warnings"]] == []
    ids = {span["spanID"] for span in trace["spans"]}
    assert len(ids) == len(trace["spans"])
    assert [span for span in trace["spans"] if parent_of(span) not in {"", *ids}] == []
    assert sum(not parent_of(span) for span in trace["spans"]) == 1
    assert any("nginx:1.26 → nginx:1.27" in str(span["tags"]) for span in trace["spans"])


# ------------------------------------------------------------------------------------------------------ the UI


@pytest.fixture
async def page(scene: Scene, tmp_path: Path) -> AsyncIterator[Page]:
    """An empty page of a fresh browser."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: `apt-get install chromium`, or CHROMIUM=path")
    if not scene.ui.startswith("http"):
        pytest.skip(f"Jaeger has no UI here: {scene.ui}")
    async with browsing(program, tmp_path, size=(1400, 860)) as opened:
        yield opened


async def keep(page: Page, name: str) -> None:
    """A picture for the documentation, where somebody asked for it."""
    folder = os.environ.get("KUBEWEFT_SCREENSHOTS")
    if folder:
        await page.click_at(700, 20)  # nothing is under the mouse then
        await page.wait(
            "![...document.querySelectorAll('.ant-tooltip')].some(e => e.getClientRects().length)",
            "no tooltip to be in the way",
        )
        await page.picture(Path(folder) / f"{name}.png")


async def widen_names(page: Page) -> None:
    """Drag the border between names and bars to the right, as whoever wants to read does first."""
    place = await page.wait(
        "(() => { const e = document.querySelector('.VerticalResizer--dragger'); if (!e) return null;"
        " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + 10]; })()",
        "the border between names and bars",
    )
    await page.drag((place[0], place[1]), (place[0] + 330, place[1]))


async def fill(page: Page, selector: str, text: str) -> None:
    """Write into a field."""
    await page.click(selector)
    await page.type(text)


async def choose(page: Page, number: int, text: str) -> None:
    """Choose in one of the lists of the search form, as people do: click, type, Enter."""
    box = f"document.querySelectorAll('.ant-select-selector')[{number}]"
    await page.wait(f"{box} && !{box}.closest('.ant-select-disabled')", "a list to choose from")
    x, y = await page.value(
        f"(() => {{ const r = {box}.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
    )
    await page.click_at(x, y)
    await page.type(text)
    await page.wait(
        "[...document.querySelectorAll('.ant-select-item-option-active')]"
        f".some(e => e.textContent.trim() === {json.dumps(text)} && e.getClientRects().length)",
        f"{text} to be offered",
    )
    await page.press("Enter", 13)


async def test_searching_opening_and_following_a_link(scene: Scene, page: Page) -> None:
    await page.open(f"{scene.ui}/search")
    await choose(page, 0, "tree")
    await choose(page, 1, "local")
    await fill(page, "input[name=tags]", f"resource=deployments namespace={NAMESPACE} name=demo")
    await page.click("button[type=submit]", containing="Find Traces")
    await page.wait_text("1 Trace")
    await page.wait_text(f"Deployment: {NAMESPACE}/demo")
    await keep(page, "jaeger-search")
    await page.click("a", containing=f"Deployment: {NAMESPACE}/demo")
    await page.wait_text("Trace Start")
    assert (await page.value("location.pathname")).startswith("/trace/")
    await page.wait_text("create by")
    await widen_names(page)
    await keep(page, "jaeger-trace")
    deployment = await page.value("location.pathname")

    await find(page, "RunsOn")
    await follow_link(page, "RunsOn")
    await page.wait(f"location.pathname !== {json.dumps(deployment)}", "another trace to be opened")
    await page.wait_text("Node: node-")
    await page.click(".TimelineCollapser svg:nth-of-type(3)")
    await page.wait_text("linked object")
    await keep(page, "jaeger-linked-node")
    assert page.problems == []


async def find(page: Page, text: str) -> None:
    """Bring a span into sight: long traces are drawn as far as they can be seen only."""
    script = (
        "(() => { const row = [...document.querySelectorAll('.span-row')]"
        f".find(e => e.textContent.includes({json.dumps(text)}));"
        " if (row) return true; window.scrollBy(0, 300); return false; })()"
    )
    await page.wait(script, f"a span with {text}")


async def follow_link(page: Page, text: str) -> None:
    """Through the sign beside a span: the list of what it is linked with, there the other trace; in this page."""
    row = f"[...document.querySelectorAll('.span-row')].find(e => e.textContent.includes({json.dumps(text)}))"
    where = (
        "(() => { const e = %s; if (!e) return null; e.scrollIntoView({block: 'center'});"
        " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )
    box = await page.wait(
        where % f"{row}.querySelector('.ReferencesButton-MultiParent')", "the sign of a link"
    )
    await page.click_at(*box)
    script = (
        "(() => { const a = [...document.querySelectorAll('.ant-dropdown a')].find(e => e.href.includes('/trace/')"
        " && !e.href.includes(location.pathname)); return a ? a.href : null; })()"
    )
    href = await page.wait(script, "the other trace in the list")
    await page.open(href)


async def test_every_object_opens_its_own_tree(scene: Scene, page: Page) -> None:
    await page.open(search_page(scene, "tree", resource="deployments", namespace=NAMESPACE, name="demo"))
    await page.click("a", containing=f"Deployment: {NAMESPACE}/demo")
    await page.wait_text("Trace Start")
    await follow_link(page, f"ReplicaSet {NAMESPACE}/demo-")
    await page.wait_text(f"ReplicaSet: {NAMESPACE}/demo-")
    assert page.problems == []


async def test_coming_in_by_a_link_from_outside(scene: Scene, page: Page) -> None:
    """An address of a search, and one of a trace, work in a browser that has never been here."""
    await page.open(search_page(scene, "actors", resource="deployments", namespace=NAMESPACE, name="demo"))
    hrefs = "[...document.querySelectorAll('a')].map(a => a.href)"
    found = await page.wait(
        rf"{hrefs}.find(href => /\/trace\/[0-9a-f]{{32}}/.test(href))", "a trace among the results"
    )
    await page.open("about:blank")
    await page.open(str(found).split("?")[0])
    await page.wait_text("Trace Start")
    await page.wait_text("kube-controller-manager")
    await widen_names(page)
    await keep(page, "jaeger-actors")
    assert page.problems == []


async def test_a_trace_that_does_not_exist_is_said_to(scene: Scene, page: Page) -> None:
    await page.open(f"{scene.ui}/trace/{'4b' * 16}")
    await page.wait_text("trace not found")


def search_page(scene: Scene, service: str, **tags: str) -> str:
    """The address of a search, as somebody would send it to a colleague."""
    asked = {
        "service": service,
        "operation": "local",
        "tags": json.dumps(tags),
        "limit": 20,
        "lookback": "custom",
        "start": scene.began // 1000 - 60_000_000,
        "end": time.time_ns() // 1000 + 1_000_000,
    }
    return f"{scene.ui}/search?{urlencode(asked)}"
