"""LinkRules of one's own on a real control plane: every way to find targets, every cluster mode, every source selector,
and what rules do when they come, change and go while objects are quiet.

The cases are in ``rules_live/cases.yaml``. A window lasts a minute here, so that the next one shows what is no longer so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster_requests import Cluster, Json, config_map
from command_line import process
from controlplane.testing import wait_until
from kubectl_command import Kubectl
from kubeweft.model import vocabulary as v
from ledger import stored_spans
from operator_process import WATCHED, OperatorProcess, kubeweft, shown
from rule_cases import HERE, LABELLED, THERE, Case, read_cases, rule_of, widget
from stored_links import Link, StoredLinks

ROOT = Path(__file__).parents[2]
WORLD = Path(__file__).parent / "rules_live"
CASES = WORLD / "cases.yaml"
NAMES = [case.name for case in read_cases(CASES, here="here", there="there")]
WINDOW = 60
RULES = "/apis/kubeweft.io/v1alpha1/linkrules"
COUNTED_WITHIN = 45  # seconds: every half minute, and what a round takes
AT_ONCE = 8  # a round every five seconds
CONFIG = {
    "name": "config",
    "type": "FieldPath",
    "resource": {"resource": "configmaps"},
    "fieldPath": {"name": "spec.config"},
}
BROKEN = [
    {
        "name": "broken",
        "type": "CEL",
        "resource": {"resource": "configmaps"},
        "cel": {"expression": "object.("},
    }
]


@dataclass(frozen=True)
class World:
    """An operator, the rules and objects of all cases, and the versions of the objects before the late rules."""

    cases: dict[str, Case]
    kubectl: Kubectl
    cluster: Cluster
    kubeconfig: Path
    operator: OperatorProcess
    links: StoredLinks
    versions: dict[str, str]
    here: str
    there: str

    def create_rule(self, document: Json) -> None:
        self.cluster.create(RULES, document)

    def create(self, document: Json) -> None:
        plural = "widgets" if document["kind"] == "Widget" else "configmaps"
        group = f"apis/{document['apiVersion']}" if "/" in document["apiVersion"] else "api/v1"
        self.cluster.create(f"/{group}/namespaces/{self.here}/{plural}", document)

    def status(self, rule: str) -> Json:
        status: Json = self.cluster.get(f"{RULES}/{rule}").get("status") or {}
        return status

    def condition(self, rule: str, kind: str) -> Json:
        found = [c for c in self.status(rule).get("conditions") or [] if c["type"] == kind]
        return found[0] if found else {}

    def wait_links(self, rule: str, links: frozenset[Link], *, since: float = 0) -> None:
        """Wait until a rule has made these; AssertionError that says which are missing."""
        try:
            wait_until(lambda: links <= self.links.of(rule, since=since), f"the links of {rule}")
        except AssertionError as error:
            missing = sorted(links - self.links.of(rule, since=since))
            raise AssertionError(f"{error}: {missing}\n{self.operator.log_text()[-3000:]}") from None


@pytest.fixture(scope="module")
def kubectl_here(kubectl: Path, kubeconfig: Path) -> Kubectl:
    return Kubectl(kubectl, kubeconfig)


@pytest.fixture(scope="module")
def namespaces(kubectl_here: Kubectl) -> Iterator[tuple[str, str]]:
    """Two namespaces with labels; deleted in the end, without waiting for it."""
    names = tuple(f"rules-{place}-{time.time_ns():x}" for place in ("here", "there"))
    labels = ({"team": "alpha", "zone": "main"}, {"team": "beta"})
    kubectl_here(
        "create",
        "-f",
        "-",
        documents=[
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": given}}
            for name, given in zip(names, labels, strict=True)
        ],
    )
    for name in names:
        kubectl_here("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    yield names[0], names[1]
    kubectl_here("delete", "namespace", *names, "--wait=false")


@pytest.fixture(scope="module")
def world(
    kubeconfig: Path,
    kubectl_here: Kubectl,
    namespaces: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """Half of the rules come before the objects, half when these are quiet."""
    kubectl, (here, there) = kubectl_here, namespaces
    cases = {case.name: case for case in read_cases(CASES, here=here, there=there)}
    kubectl("apply", "--server-side", "--force-conflicts", "-f", ROOT / "crds")
    kubectl("apply", "-f", WORLD / "definition.yaml")
    kubectl("wait", "--for=condition=Established", "crd", "widgets.things.example.org", "--timeout=30s")
    watched = (*WATCHED, "widgets.things.example.org", "namespaces")
    folder = tmp_path_factory.mktemp("rules-live")
    with (
        Cluster(kubeconfig) as cluster,
        OperatorProcess(folder, kubeconfig, options={"window-seconds": WINDOW}, watched=watched) as operator,
    ):
        links = StoredLinks(
            operator.store, cluster="local", namespaces={here: HERE, there: THERE}, window_seconds=WINDOW
        )
        for rule in [case.rule for case in cases.values() if not case.late]:
            cluster.create(RULES, rule)
        kubectl("create", "-f", "-", documents=[o for case in cases.values() for o in case.objects])
        objects = {
            f"{HERE if o['metadata']['namespace'] == here else THERE}/widgets/{o['metadata']['name']}"
            for case in cases.values()
            for o in case.objects
            if o["kind"] == "Widget"
        }
        wait_until(lambda: objects <= links.changed(since=0), "all objects to be seen")
        versions = widget_versions(cluster)
        for rule in [case.rule for case in cases.values() if case.late]:
            cluster.create(RULES, rule)
        yield World(cases, kubectl, cluster, kubeconfig, operator, links, versions, here=here, there=there)
        kubectl("delete", "linkrules", "-l", LABELLED, "--wait=false")
    kubectl("delete", "crd", "widgets.things.example.org", "--wait=false")


def widget_versions(cluster: Cluster) -> dict[str, str]:
    items = cluster.get("/apis/things.example.org/v1/widgets")["items"]
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}


# ------------------------------------------------------------------------------------------------ what rules link


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_links_exactly_what_it_says(world: World, name: str) -> None:
    """Both ends of each link, with role and class, and the span link where the direction wants it."""
    case = world.cases[name]
    world.wait_links(name, case.links)
    assert world.links.of(name) - case.passing == case.links


def test_late_rules_have_linked_objects_that_did_not_change(world: World) -> None:
    assert sum(case.late for case in world.cases.values()) > 8
    assert world.versions.items() <= widget_versions(world.cluster).items()


def test_the_other_cluster_is_named_though_nobody_has_joined_it(world: World) -> None:
    place = ("widget/named", "-n", world.here)
    assert "east" in kubeweft("show", *place, store=world.operator.store)
    spans = shown(world.operator.store, *place)["spans"]
    assert ("east", f"configmaps/{world.here}/named") in {(s["cluster"], s["object"]) for s in spans}


# ------------------------------------------------------------------------------------------- rules that do not work


def test_a_rule_that_cannot_compile_says_so_and_works_when_it_is_mended(world: World) -> None:
    world.create(widget("of-mended", case="mended", spec={"config": "present"}))
    world.create_rule(rule_of("mended", targets=BROKEN))
    world.kubectl("wait", "--for=condition=Stalled", "linkrule/mended", "--timeout=30s")
    accepted, ready = world.condition("mended", "Accepted"), world.condition("mended", "Ready")
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidExpression")
    assert "spec.targets[broken].cel.expression" in accepted["message"]
    assert ready["status"] == "False"
    assert world.kubectl.attempt(
        "wait", "--for=condition=Ready", "linkrule/mended", "--timeout=1s"
    ).returncode
    patch = json.dumps({"spec": {"targets": [CONFIG]}})
    world.kubectl("patch", "linkrule/mended", "--type=merge", "-p", patch)
    world.kubectl("wait", "--for=condition=Ready", "linkrule/mended", "--timeout=30s")
    assert world.condition("mended", "Stalled") == {}
    there = Link(
        "mended", f"{HERE}/widgets/of-mended", "Peer", "References", f"{HERE}/configmaps/present", True
    )
    world.wait_links("mended", frozenset({there}))


# --------------------------------------------------------------------------------------------- the command line


def rules(world: World, *words: str) -> tuple[int, str, str]:
    """Status and output of ``kubeweft rules``, which needs neither the operator nor its store."""
    done = process("rules", *words, "--kubeconfig", world.kubeconfig, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


def test_what_the_rules_of_the_cluster_do_for_one_of_its_pods(world: World) -> None:
    status, text, _ = rules(world, "test", "pod/user", "-n", world.here)
    assert status == 0
    assert "for-pods: 1 object matched, 2 links, 1 to what is missing" in text
    rows = [line.split() for line in text.splitlines()]
    assert [
        "pods",
        f"{world.here}/user",
        "configmaps",
        f"{world.here}/present",
        "Peer",
        "References",
        "found",
    ] in rows
    status, text, _ = rules(
        world, "test", "pod/user", "-n", world.here, "--fail-on", "unresolved", "-o", "json"
    )
    assert status == 1
    (told,) = json.loads(text)["rules"]
    assert {(link["target"]["name"], link["targetState"]) for link in told["links"]} == {
        ("present", "found"),
        ("absent", "missing"),
    }


def test_an_object_that_no_rule_links_is_a_failure_for_a_pipeline(world: World) -> None:
    status, text, _ = rules(world, "test", "pod/blue", "-n", world.here)
    assert (status, "0 links" in text) == (1, True)


def test_a_broken_rule_is_refused_with_its_fault(world: World, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(rule_of("bad", targets=BROKEN)))
    status, _, error = rules(world, "test", "-f", str(bad), "-n", world.here)
    assert status == 2
    assert "targets[broken].cel.expression" in error


def test_rules_are_listed_and_explained(world: World) -> None:
    status, text, _ = rules(world, "list", "-o", "json")
    assert status == 0
    listed = {rule["name"]: rule for rule in json.loads(text)["rules"]}
    assert set(NAMES) <= set(listed)
    assert listed["cel-maps"]["verdict"] == "accepted"
    status, text, _ = rules(world, "explain", "source-conditions")
    assert status == 0
    assert "object.spec.size > 3" in text


# --------------------------------------------------------------------------------------- spans of other systems


def test_a_traceparent_annotation_becomes_a_span_link(world: World) -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    key = "tracing.k8s.io/traceparent"
    bridge = config_map("bridge", text="first")
    bridge["metadata"]["annotations"] = {
        key: f"00-{trace}-{span}-01",
        "example.org/traceparent": "00-none-of-this-01",
    }
    world.create(bridge)
    wait_until(lambda: f"{HERE}/configmaps/bridge" in world.links.changed(since=0), "the change")
    (stored,) = [
        s for s in stored_spans(world.operator.store, world.here)
        if s.key.name == "bridge" and s.source == "change"
    ]  # fmt: skip
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in stored.links] == [(trace, span)]
    told = shown(world.operator.store, "configmap/bridge", "-n", world.here)["spans"]
    links = {s["source"]: s["spanLinks"] for s in told}
    assert [(link["trace_id"], link["span_id"]) for link in links["change"]] == [(trace, span)]
    assert links["change"][0]["attributes"][v.LINK_ANNOTATION] == key
    assert links["object"] == []


# ---------------------------------------------------------------------------------------- what changes meanwhile


ADDED = {
    "selector-map": {f"{HERE}/widgets/selects Child Selects {HERE}/pods/grey"},
    "selector-terms": {f"{HERE}/widgets/terms Peer Selects {HERE}/pods/grey"},
    "label": {f"{HERE}/widgets/labelled Peer References {HERE}/configmaps/absent"},
    "source-team": {f"{THERE}/widgets/beta Peer References {THERE}/configmaps/other"},
    "reworded": {f"{HERE}/widgets/of-reworded Peer After {HERE}/configmaps/present"},
}
AFTERWARDS = {
    "selector-map": {
        f"{HERE}/widgets/selects Child Selects {HERE}/pods/blue",
        f"{HERE}/widgets/selects Child Selects {HERE}/pods/grey",
    },
    "selector-terms": {
        f"{HERE}/widgets/terms Peer Selects {HERE}/pods/grey",
        f"{HERE}/widgets/terms Peer Selects {THERE}/pods/red",
    },
    "label": {f"{HERE}/widgets/labelled Peer References {HERE}/configmaps/absent"},
    "source-team": {f"{THERE}/widgets/beta Peer References {THERE}/configmaps/other"},
    "reworded": {f"{HERE}/widgets/of-reworded Peer After {HERE}/configmaps/present"},
    "removed": set(),
    "suspended": set(),
    "kept": {f"{HERE}/widgets/of-kept Peer References {HERE}/configmaps/present"},
}


def seen_from_source(world: World, rule: str, *, since: float = 0) -> set[str]:
    """The links of a rule on Widgets, from their side."""
    return {
        f"{link.object} {link.role} {link.link_class} {link.other}"
        for link in world.links.of(rule, since=since)
        if "/widgets/" in link.object
    }


@pytest.fixture(scope="module")
def changed(world: World) -> float:
    """Labels of Pods, an object and the namespaces, and rules themselves have changed; when that had taken effect."""
    kubectl = world.kubectl
    kubectl("label", "pod/red", "tier-", "-n", world.here)
    kubectl("label", "pod/grey", "tier=front", "--overwrite", "-n", world.here)
    kubectl("label", "widget/labelled", "example.org/config=absent", "--overwrite", "-n", world.here)
    kubectl("label", "namespace", world.there, "team=alpha", "--overwrite")
    kubectl("label", "namespace", world.here, "team=gamma", "--overwrite")
    kubectl("delete", "linkrule", "removed")
    kubectl("patch", "linkrule/suspended", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    kubectl("patch", "linkrule/reworded", "--type=merge", "-p", '{"spec":{"link":{"class":"After"}}}')
    for rule, links in ADDED.items():
        wait_until(lambda: links <= seen_from_source(world, rule), f"{rule} to link {links}")  # noqa: B023
    return time.time()


@pytest.mark.usefixtures("changed")
def test_links_follow_labels_and_rules_while_all_else_is_quiet(world: World) -> None:
    for rule, links in ADDED.items():
        assert links <= seen_from_source(world, rule)
    assert world.condition("suspended", "Ready")["reason"] == "Suspended"


def test_conditions_change_at_once_and_counters_twice_a_minute(world: World) -> None:
    """All the while new objects come, so the numbers are never the same for long."""
    for name in ("counting", "failing"):
        target = {**CONFIG, "type": "CEL", "cel": {"expression": "object.spec.config"}}
        del target["fieldPath"]
        world.create_rule(rule_of(name, targets=[target]))
        wait_until(lambda: world.condition(name, "Ready").get("reason") == "Linking", "the rule")  # noqa: B023
    written = [(time.monotonic(), 0)]
    created = 0

    def counters_are_written() -> bool:
        nonlocal created
        now, began = time.monotonic(), written[0][0]
        if now - began > created / 2:
            created += 1
            world.create(widget(f"counted-{created}", case="counting", spec={"config": "present"}))
        matched = world.status("counting")["matchedObjects"]
        if matched != written[-1][1]:
            written.append((now, matched))
        return len(written) > 1

    first_seconds = time.monotonic() + 5
    wait_until(lambda: counters_are_written() or time.monotonic() > first_seconds, "some time to pass")
    assert len(written) == 1, written
    world.create(widget("no-config", case="failing", spec={}))
    wait_until(
        lambda: world.condition("failing", "Ready").get("reason") == "EvaluationErrors", "", seconds=AT_ONCE
    )
    assert "the first: " in world.condition("failing", "Ready")["message"]
    wait_until(counters_are_written, "counters", seconds=COUNTED_WITHIN)
    assert written[-1][1] > 20
    assert 29 < written[-1][0] - written[0][0] < COUNTED_WITHIN


@pytest.mark.parametrize(
    "name", [case.name for case in read_cases(CASES, here="h", there="t") if case.status]
)
def test_the_status_counts_what_the_rule_did(world: World, name: str) -> None:
    expected = world.cases[name].status

    def counted() -> bool:
        return expected.items() <= world.status(name).items()

    try:
        wait_until(counted, "the counters", seconds=COUNTED_WITHIN)
    except AssertionError as error:
        raise AssertionError(f"{error} to be {expected}: {world.status(name)}") from None


def test_what_goes_wrong_is_told_in_words(world: World) -> None:
    over = world.condition("path-limit", "Ready")
    assert (over["status"], over["reason"]) == ("True", "Linking")
    assert "beyond 'maxTargets' and not linked: 3" in over["message"]
    for rule, words in {
        "cel-fails": "targets[config]",
        "annotation-json": "targets[named]: the annotation holds no JSON",
        "source-conditions": "source.matchConditions[large]",
    }.items():
        ready = world.condition(rule, "Ready")
        assert (ready["status"], ready["reason"]) == ("True", "EvaluationErrors")
        assert "expressions that failed: 1; the first: " in ready["message"]
        assert words in ready["message"]
        assert world.here in ready["message"]


@pytest.fixture(scope="module")
def next_window(world: World, changed: float) -> float:
    """Every object has been touched in a window that began after the changes; when it began."""
    begins = max(changed // WINDOW + 1, time.time() // WINDOW) * WINDOW
    wait_until(lambda: time.time() > begins + 1, "the next window", seconds=WINDOW + 2)
    for namespace in (world.here, world.there):
        world.kubectl("annotate", "widgets,pods", "--all", "example.org/touched=yes", "-n", namespace)
    pods = {f"{HERE}/pods/{name}" for name in ("blue", "grey", "red")} | {f"{THERE}/pods/red"}
    names = [link.partition(" ")[0] for links in AFTERWARDS.values() for link in links]
    others = {f"{HERE}/widgets/{name}" for name in ("of-removed", "of-suspended", "alpha")}
    touched = pods | set(names) | others
    wait_until(lambda: touched <= world.links.changed(since=begins), "all objects to be touched")
    return begins


@pytest.mark.parametrize("name", AFTERWARDS)
def test_what_is_no_longer_so_is_not_linked_again(world: World, next_window: float, name: str) -> None:
    """The objects were touched in a new window, and links are written in every window in which something happens."""
    assert seen_from_source(world, name, since=next_window) == AFTERWARDS[name]


@pytest.mark.usefixtures("next_window")
def test_nothing_was_linked_that_no_rule_says(world: World) -> None:
    for name, case in world.cases.items():
        told = {f"{link.object} {link.role} {link.link_class} {link.other}" for link in case.links}
        widgets = {text for text in told if "/widgets/" in text.partition(" ")[0]}
        assert seen_from_source(world, name) <= widgets | ADDED.get(name, set()), name
    assert "Traceback" not in world.operator.log_text()
