"""What link rules cost: CPU per change of a Pod by number of rules, the curve over the number of Pods, and memory.

Pods of about 10 kB with volumes, env and labels as Deployments make them, 50 to a Deployment, each behind a Service;
rules like the built-in ones. The curve is of 100 rules on up to 5,000 Pods: the cost of one more Pod has to stay the same.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from profiling import hottest

from kubeweft.links.linker import Linker
from kubeweft.model.field_paths import parse_field_path
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.rules import (
    ByFieldPath,
    ByHelmRelease,
    ByOwner,
    BySelector,
    Finder,
    LinkRule,
    SourceSelector,
    Target,
)
from kubeweft.model.selectors import ResourcePattern
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.runtime.tuning import tune_interpreter
from kubeweft.weaving.weaver import Weaver

RUNS = 5
SAMPLE, CHUNK = 200, 20
PODS, CURVE_POINTS = 5_000, 10
CROWD = 1_000  # the most that the shipped rule for Services links
PER_DEPLOYMENT = 50
POD_PATHS = {
    "node": ("spec.nodeName", "nodes"),
    "service-account": ("spec.serviceAccountName", "serviceaccounts"),
    "secret-volume": ("spec.volumes[*].secret.secretName", "secrets"),
    "secret-env": ("spec.containers[*].env[*].valueFrom.secretKeyRef.name", "secrets"),
    "secret-env-from": ("spec.containers[*].envFrom[*].secretRef.name", "secrets"),
    "secret-projected": ("spec.volumes[*].projected.sources[*].secret.name", "secrets"),
    "secret-pull": ("spec.imagePullSecrets[*].name", "secrets"),
    "config-volume": ("spec.volumes[*].configMap.name", "configmaps"),
    "config-env": ("spec.containers[*].env[*].valueFrom.configMapKeyRef.name", "configmaps"),
    "config-env-from": ("spec.containers[*].envFrom[*].configMapRef.name", "configmaps"),
    "config-projected": ("spec.volumes[*].projected.sources[*].configMap.name", "configmaps"),
    "config-init-env": ("spec.initContainers[*].env[*].valueFrom.configMapKeyRef.name", "configmaps"),
    "secret-init-env": ("spec.initContainers[*].env[*].valueFrom.secretKeyRef.name", "secrets"),
    "claim": ("spec.volumes[*].persistentVolumeClaim.claimName", "persistentvolumeclaims"),
}


def rule(
    name: str, group: str, resource: str, finder: Finder, *, target: str = "", target_group: str = ""
) -> LinkRule:
    """A rule with one target."""
    pattern = ResourcePattern(groups=frozenset({group}), resources=frozenset({resource}))
    return LinkRule(
        name=name,
        source=SourceSelector(resources=(pattern,)),
        targets=(Target(name="target", finder=finder, group=target_group, resource=target),),
    )


def builtin_like() -> list[LinkRule]:
    """Twenty rules as they are shipped: what a Pod names, what selects Pods, owners, Helm."""
    rules = [
        rule(name, "", "pods", ByFieldPath(name=parse_field_path(path)), target=target)
        for name, (path, target) in POD_PATHS.items()
    ]
    priority = ByFieldPath(name=parse_field_path("spec.priorityClassName"))
    rules += [
        rule("priority", "", "pods", priority, target="priorityclasses", target_group="scheduling.k8s.io"),
        rule("owner", "*", "*", ByOwner(controller_only=False)),
        rule("helm", "*", "*", ByHelmRelease()),
        rule("service", "", "services", BySelector(parse_field_path("spec.selector")), target="pods"),
        rule("budget", "policy", "poddisruptionbudgets", BySelector(parse_field_path("spec.selector")), target="pods"),
        rule("policy", "networking.k8s.io", "networkpolicies", BySelector(parse_field_path("spec.podSelector")),
             target="pods"),
    ]  # fmt: skip
    return rules


def many(count: int) -> list[LinkRule]:
    """The twenty, over and over, until there are as many as asked for."""
    rules = builtin_like()
    copies = [
        LinkRule(name=f"{each.name}-{turn}", source=each.source, targets=each.targets)
        for turn in range(count // len(rules) + 1)
        for each in rules
    ]
    return copies[:count]


def pod(number: int) -> dict[str, Any]:
    """One Pod of about 10 kB."""
    team = number // PER_DEPLOYMENT
    env: list[dict[str, Any]] = [
        {"name": f"VALUE_{i}", "value": f"some plain value {i} of {team}"} for i in range(32)
    ]
    env += [{"name": f"SECRET_{i}", "valueFrom": {"secretKeyRef": {"name": f"keys-{team}", "key": f"k{i}"}}}
            for i in range(4)]  # fmt: skip
    env += [{"name": f"CONFIG_{i}", "valueFrom": {"configMapKeyRef": {"name": f"config-{team}", "key": f"c{i}"}}}
            for i in range(4)]  # fmt: skip
    container = {
        "image": f"registry.example/team-{team}/app:1.{team}", "env": env, "resources": {"limits": {"cpu": "1"}},
        "envFrom": [{"configMapRef": {"name": f"shared-{team}"}}], "terminationMessagePath": "/dev/termination-log",
        "volumeMounts": [{"name": f"volume-{i}", "mountPath": f"/var/lib/volume/{i}"} for i in range(8)],
        "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 10},
    }  # fmt: skip
    volumes: list[dict[str, Any]] = [{"name": f"v{i}", "emptyDir": {}} for i in range(5)]
    volumes += [
        {"name": "keys", "secret": {"secretName": f"keys-{team}", "defaultMode": 420}},
        {"name": "config", "configMap": {"name": f"config-{team}"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{number}"}},
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}},
                                                    {"configMap": {"name": "kube-root-ca.crt"}}]}},
    ]  # fmt: skip
    metadata = {
        "name": f"app-{team}-{number}", "namespace": f"team-{team % 20}", "uid": f"uid-{number}",
        "resourceVersion": str(number),
        "labels": {"app": f"app-{team}", "pod-template-hash": f"{team:010d}", "app.kubernetes.io/part-of": "shop",
                   "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": f"release-{team}"},
        "annotations": {"note": "x" * 1_200},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"app-{team}", "uid": f"r{team}",
                             "controller": True}],
    }  # fmt: skip
    conditions = [{"type": f"Condition{i}", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z",
                   "message": "m" * 60} for i in range(6)]  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"nodeName": f"node-{number % 100}", "serviceAccountName": f"app-{team}",
                 "priorityClassName": "high", "imagePullSecrets": [{"name": "registry"}],
                 "containers": [{"name": "app", **container}, {"name": "side", **container}], "volumes": volumes},
        "status": {"phase": "Running", "conditions": conditions, "podIP": f"10.0.0.{number % 250}"},
    }  # fmt: skip


def services(pods: int) -> list[tuple[ObjectKey, bytes]]:
    """A Service for each Deployment."""
    found = []
    for team in range((pods + PER_DEPLOYMENT - 1) // PER_DEPLOYMENT):
        body = {"metadata": {"name": f"app-{team}"}, "spec": {"selector": {"app": f"app-{team}"}}}
        found.append(
            (ObjectKey("local", "", "services", f"team-{team % 20}", f"app-{team}"), orjson.dumps(body))
        )
    return found


def bodies(count: int) -> list[tuple[ObjectKey, bytes]]:
    """The Pods with their keys, each with its own texts, as they come from a watch."""
    made = []
    for number in range(count):
        obj = pod(number)
        meta = obj["metadata"]
        made.append((ObjectKey("local", "", "pods", meta["namespace"], meta["name"]), orjson.dumps(obj)))
    return made


def linker_with(rules: Sequence[LinkRule]) -> Linker:
    """A linker that carries out these rules."""
    linker = Linker(Kinds())
    linker.use(rules)
    return linker


def fill(linker: Linker, objects: Sequence[tuple[ObjectKey, bytes]], *, at: int) -> float:
    """CPU seconds to take all of them."""
    begun = time.process_time()
    for key, body in objects:
        if linker.reads(key.group, key.resource):
            linker.take(key, body, time=at)
    return time.process_time() - begun


def change_us(rules: int) -> float:
    """CPU of one change of one Pod that touches what rules read, but not what they find; each part the best of several."""
    linker = linker_with(many(rules))
    objects = bodies(SAMPLE)
    fill(linker, services(SAMPLE), at=1)
    fill(linker, objects, at=2)
    runs = [
        [fill(linker, objects[start : start + CHUNK], at=3 + run) for start in range(0, SAMPLE, CHUNK)]
        for run in range(RUNS)
    ]
    best: list[float] = [min(seconds) for seconds in zip(*runs, strict=True)]
    return sum(best) / SAMPLE * 1e6


def arrival_us(rules: int, pods: int) -> dict[int, float]:
    """CPU of one Pod that arrives, by how many there are then; of each part of the way the best of several runs."""
    objects, before = bodies(pods), services(pods)
    step = pods // CURVE_POINTS
    runs = []
    for _ in range(RUNS):
        linker = linker_with(many(rules))
        fill(linker, before, at=1)
        gc.collect()
        runs.append([fill(linker, objects[start : start + step], at=2) for start in range(0, pods, step)])
    best = [min(seconds) / step * 1e6 for seconds in zip(*runs, strict=True)]
    return {step * (number + 1): each for number, each in enumerate(best)}


def crowded_us(pods: int) -> float:
    """CPU of one Pod that arrives where one Service selects so many already, until its links are woven."""
    kinds = Kinds()
    linker, weaver = Linker(kinds), Weaver(window_length=DEFAULT_WINDOW, kinds=kinds)
    selects = rule("service", "", "services", BySelector(parse_field_path("spec.selector")), target="pods")
    (target,) = selects.targets
    linker.use([replace(selects, role="Child", targets=(replace(target, max_targets=pods),))])
    service = {"metadata": {"name": "all"}, "spec": {"selector": {"app": "all"}}}
    linker.take(ObjectKey("local", "", "services", "shop", "all"), orjson.dumps(service), time=1)
    seconds = []
    for number in range(pods + SAMPLE):
        name = f"pod-{number * 7_919 % 100_003}"
        body = orjson.dumps({"metadata": {"name": name, "namespace": "shop", "labels": {"app": "all"}}})
        begun = time.process_time()
        weaver.weave(linker.take(ObjectKey("local", "", "pods", "shop", name), body, time=2 + number))
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds[pods:]) * 1e6


def bytes_per_pod(pods: int) -> float:
    """Memory that the linker keeps for one Pod with the twenty rules."""
    linker = linker_with(builtin_like())
    fill(linker, services(pods), at=1)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(pods):
        _arrive(linker, number)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return kept / pods


def _arrive(linker: Linker, number: int) -> None:
    """One Pod, of which nothing else stays in memory."""
    obj = pod(number)
    meta = obj["metadata"]
    linker.take(ObjectKey("local", "", "pods", meta["namespace"], meta["name"]), orjson.dumps(obj), time=1)


def main() -> None:
    """All figures; the last line is JSON."""
    tune_interpreter()  # as the operator does
    size = statistics.fmean(len(body) for _, body in bodies(50))
    print(f"Pods of {size / 1000:.1f} kB")
    figures: dict[str, Any] = {}
    for count in (0, 1, 20, 100):
        figures[f"pod_rules_{count}_us"] = change_us(count)
        print(f"{count:>4} rules: {figures[f'pod_rules_{count}_us']:8.1f} µs per change of a Pod")
    curve = arrival_us(100, PODS)
    for pods, each in curve.items():
        print(f"{pods:>5} Pods, 100 rules: {each:8.1f} µs for one more")
    points = list(curve.values())
    figures["rules_curve_us"] = {str(pods): each for pods, each in curve.items()}
    figures["rules_growth"] = statistics.fmean(points[-3:]) / statistics.fmean(points[:3])
    figures["crowded_pod_us"] = crowded_us(CROWD)
    print(f"{figures['crowded_pod_us']:,.0f} µs for one more Pod of a Service that selects {CROWD:,}")
    figures["linked_pod_bytes"] = bytes_per_pod(PODS)
    print(f"{figures['linked_pod_bytes']:,.0f} bytes per Pod with 20 rules")
    linker, objects = linker_with(builtin_like()), bodies(SAMPLE)
    figures["profiles"] = {"rules": hottest(lambda: [fill(linker, objects, at=run) for run in range(3)])}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
