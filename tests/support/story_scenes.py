"""The stories that are recorded: who does what, one after the other, on a real control plane."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster_requests import Json, config_map
from controlplane.plane import ControlPlane
from controlplane.testing import wait_until
from joined_clusters import start_together
from rollout import Rollout, client_for
from story_people import PATIENCE, Person, deployment, deployment_path, new_namespace, wait_settled
from story_recording import ClusterRecording, Recording

SHOP = "shop"
WEB = deployment_path(SHOP, "web")
WORKLOADS = ("deployments.apps", "replicasets.apps", "pods", "events")
Change = Callable[[Json], Json]
KUBECTL = "kubectl/v1.36.0 (linux/amd64)"


def rollout(work: Path, output: Path) -> int:
    """Create 2, scale to 4, change the image, scale to 2, delete."""
    with ControlPlane(work, nodes=2) as plane:
        admin = client_for(str(plane.kubeconfig))
        new_namespace(Person(plane, "alice", KUBECTL), "story")
        recording = Recording(ClusterRecording(plane, watched=WORKLOADS, namespaces=["story"]))
        Rollout(admin, namespace="story").run()
        return recording.write(output)


def conflict_storm(work: Path, output: Path) -> int:
    """An autoscaler and a GitOps tool both write ``replicas``, and each tries its stale copy again and again."""
    with ControlPlane(work, nodes=1) as plane:
        alice = Person(plane, "alice", KUBECTL)
        autoscaler = Person(plane, "queue-autoscaler", "queue-autoscaler/0.9")
        gitops = Person(plane, "gitops", "gitops-sync/1.4")
        labeller = Person(plane, "cost-labeller", "cost-labeller/2.0")
        new_namespace(alice, SHOP)
        recording = Recording(ClusterRecording(plane, watched=WORKLOADS, namespaces=[SHOP]))
        alice.create(WEB.rpartition("/")[0], deployment(SHOP, "web", replicas=1))
        wait_settled(alice, WEB, 1)
        _fight(gitops, autoscaler, wanted=_scaled(1), done=_scaled(2), stale=6)
        _fight(gitops, autoscaler, wanted=_scaled(1), done=_scaled(2), stale=4, bystander=labeller)
        _fight(autoscaler, gitops, wanted=_scaled(2), done=_with_image("nginx:1.27"), stale=9)
        return recording.write(output)


def _fight(
    loser: Person,
    winner: Person,
    *,
    wanted: Change,
    done: Change,
    stale: int,
    bystander: Person | None = None,
) -> None:
    """The loser keeps a copy that the winner makes stale, and gets its way only when it has read again."""
    mine, theirs = wanted(loser.get(WEB)), _labelled(loser.get(WEB))
    assert winner.put(WEB, done(winner.get(WEB)))[0] == 200
    wait_settled(winner, WEB, winner.get(WEB)["spec"]["replicas"])
    for attempt in range(stale):
        assert loser.put(WEB, mine)[0] == 409
        if bystander is not None and attempt % 2 == 0:
            assert bystander.put(WEB, theirs)[0] == 409
    wait_until(lambda: loser.put(WEB, wanted(loser.get(WEB)))[0] == 200, "a write to go through")
    wait_settled(loser, WEB, loser.get(WEB)["spec"]["replicas"])


def _scaled(replicas: int) -> Change:
    def change(read: Json) -> Json:
        read["spec"]["replicas"] = replicas
        return read

    return change


def _with_image(image: str) -> Change:
    def change(read: Json) -> Json:
        read["spec"]["template"]["spec"]["containers"][0]["image"] = image
        return read

    return change


def _labelled(read: Json) -> Json:
    read["metadata"]["labels"]["cost-centre"] = "4711"
    return read


def recreated_pod(work: Path, output: Path) -> int:
    """One Pod of a StatefulSet is deleted by hand, another evicted; both come back under their names."""
    stateful_set = f"/apis/apps/v1/namespaces/{SHOP}/statefulsets"
    pods = f"/api/v1/namespaces/{SHOP}/pods"
    watched = ("statefulsets.apps", "pods", "events")
    with ControlPlane(work, nodes=2) as plane:
        alice, bob = Person(plane, "alice", KUBECTL), Person(plane, "bob", KUBECTL)
        new_namespace(alice, SHOP)
        recording = Recording(ClusterRecording(plane, watched=watched, namespaces=[SHOP]))
        alice.create(stateful_set, _stateful_set())
        wait_settled(alice, f"{stateful_set}/db", 2)
        _replaced(bob, f"{pods}/db-0", lambda: bob.delete(f"{pods}/db-0"))
        wait_settled(alice, f"{stateful_set}/db", 2)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "db-1"}}
        _replaced(alice, f"{pods}/db-1", lambda: alice.create(f"{pods}/db-1/eviction", eviction))
        wait_settled(alice, f"{stateful_set}/db", 2)
        return recording.write(output)


def _stateful_set() -> Json:
    labels = {"app": "db"}
    container = {"name": "db", "image": "postgres:18", "ports": [{"containerPort": 5432}]}
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    spec = {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": SHOP, "labels": labels},
        "spec": spec,
    }


def _replaced(person: Person, path: str, act: Callable[[], object]) -> None:
    """Do something that ends an object, and wait until another runs under its name."""
    before = person.get(path)["metadata"]["uid"]
    act()

    def is_another() -> bool:
        if not person.has(path):
            return False
        pod = person.get(path)
        return bool(pod["metadata"]["uid"] != before and pod["status"]["phase"] == "Running")

    wait_until(is_another, f"{path} to be another", seconds=PATIENCE)


def deleted_namespace(work: Path, output: Path) -> int:
    """A namespace is deleted with all that is in it."""
    space = "/api/v1/namespaces/team-a"
    with ControlPlane(work, nodes=1) as plane:
        alice, bob = Person(plane, "alice", KUBECTL), Person(plane, "bob", KUBECTL)
        recording = Recording(ClusterRecording(plane, watched=("*",), namespaces=["team-a"]))
        new_namespace(alice, "team-a")
        alice.create(f"{space}/configmaps", config_map("settings", colour="blue"))
        ports = [{"port": 80}]
        service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}}
        alice.create(f"{space}/services", service)
        path = deployment_path("team-a", "web")
        alice.create(path.rpartition("/")[0], deployment("team-a", "web", replicas=2))
        wait_settled(alice, path, 2)
        bob.delete(space)
        wait_until(lambda: not alice.has(space), "the namespace to be gone", seconds=PATIENCE)
        return recording.write(output)


def four_hours(work: Path, output: Path) -> int:
    """A Deployment lives four hours: scaled, rolled out to Nodes that there are not, rolled back, deleted.

    The quiet times between are lengthened: see :mod:`stretching`.
    """
    with ControlPlane(work, nodes=2) as plane:
        alice, bob = Person(plane, "alice", KUBECTL), Person(plane, "bob", KUBECTL)
        pipeline = Person(plane, "pipeline", "deploy-pipeline/3.2")
        new_namespace(alice, SHOP)
        recording = Recording(ClusterRecording(plane, watched=WORKLOADS, namespaces=[SHOP]))
        made = deployment(SHOP, "web", replicas=2, progressDeadlineSeconds=6)
        pipeline.create(WEB.rpartition("/")[0], made)
        wait_settled(alice, WEB, 2)
        recording.pass_time(minutes=40)
        alice.patch(f"{WEB}/scale", {"spec": {"replicas": 3}})
        wait_settled(alice, WEB, 3)
        recording.pass_time(minutes=50)
        _roll_out(pipeline, image="nginx:1.27", nodes={"disk": "nvme"})
        wait_until(lambda: _has_failed(alice), "the deadline to be exceeded", seconds=PATIENCE)
        recording.pass_time(minutes=45)
        _roll_out(alice, image="nginx:1.26", nodes=None)
        wait_settled(alice, WEB, 3)
        recording.pass_time(minutes=60)
        name = alice.get(f"/api/v1/namespaces/{SHOP}/pods")["items"][0]["metadata"]["name"]
        bob.delete(f"/api/v1/namespaces/{SHOP}/pods/{name}")
        wait_until(lambda: not alice.has(f"/api/v1/namespaces/{SHOP}/pods/{name}"), f"{name} to be gone")
        wait_settled(alice, WEB, 3)
        recording.pass_time(minutes=50)
        alice.delete(WEB)
        _wait_no_pods(alice)
        return recording.write(output)


def _roll_out(person: Person, *, image: str, nodes: dict[str, str] | None) -> None:
    container = {"name": "web", "ports": [{"containerPort": 80}], "image": image}
    person.patch(WEB, {"spec": {"template": {"spec": {"containers": [container], "nodeSelector": nodes}}}})


def _has_failed(person: Person) -> bool:
    conditions = person.get(WEB)["status"].get("conditions", [])
    return any(condition.get("reason") == "ProgressDeadlineExceeded" for condition in conditions)


def _wait_no_pods(person: Person) -> None:
    path = f"/api/v1/namespaces/{SHOP}/pods"
    wait_until(lambda: not person.get(path)["items"], "all Pods to be gone", seconds=PATIENCE)


def cross_cluster(work: Path, output: Path) -> int:
    """A Deployment in a hub, which runs nothing, and its member in another cluster, which follows it."""
    with contextlib.ExitStack() as stack:
        hub, east = ControlPlane(work / "hub", controllers=False), ControlPlane(work / "east", nodes=1)
        for plane in (hub, east):
            stack.callback(plane.stop)
        start_together(hub, east)
        alice, spreader = Person(hub, "alice", KUBECTL), Person(east, "spreader", "fleet-spreader/0.3")
        alice.create("/api/v1/namespaces", {"metadata": {"name": SHOP}})
        new_namespace(spreader, SHOP)
        recording = Recording(
            ClusterRecording(hub, watched=("deployments.apps",), namespaces=[SHOP], name="hub"),
            ClusterRecording(east, watched=WORKLOADS, namespaces=[SHOP], name="east"),
        )
        alice.create(WEB.rpartition("/")[0], _annotated("member", f"east/{SHOP}/web"))
        spreader.create(WEB.rpartition("/")[0], _annotated("federated-by", f"hub/{SHOP}/web"))
        wait_settled(spreader, WEB, 1)
        alice.patch(WEB, {"spec": {"replicas": 2}})
        spreader.patch(WEB, {"spec": {"replicas": alice.get(WEB)["spec"]["replicas"]}})
        wait_settled(spreader, WEB, 2)
        return recording.write(output)


def _annotated(name: str, value: str) -> Json:
    manifest = deployment(SHOP, "web", replicas=1)
    manifest["metadata"]["annotations"] = {f"kubeweft.io/{name}": value}
    return manifest


SCENES: Mapping[str, Callable[[Path, Path], int]] = {
    "rollout": rollout,
    "conflict_storm": conflict_storm,
    "recreated_pod": recreated_pod,
    "deleted_namespace": deleted_namespace,
    "four_hours": four_hours,
    "cross_cluster": cross_cluster,
}
"""By name: each plays its story in a work folder, writes the recording into another, and gives the number of lines."""
