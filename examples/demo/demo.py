"""The demo: a real control plane, Kubeweft beside it, a rollout, and what Kubeweft saw of it.

Run by ``make demo``. Everything lives in ``build/demo``; Ctrl-C stops everything and leaves no process behind.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pykube
import yaml
from rich.console import Console

from controlplane import exec_with_parent
from controlplane.plane import ControlPlane, ControlPlaneError
from controlplane.ports import free_ports
from rollout import Rollout, client_for, wait_until

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("KUBEWEFT_DEMO_FOLDER", ROOT / "build" / "demo"))
STORE = FOLDER / "kubeweft.db"
STORE_SHOWN = os.path.relpath(STORE)  # as somebody would type it
POLICY = ROOT / "examples" / "policies" / "everything.yaml"
KUBEWEFT = Path(sys.executable).with_name("kubeweft")

console = Console(highlight=False, soft_wrap=True)


def say(words: str) -> None:
    """One line about what happens now."""
    console.print(f"[bold cyan]▸[/] {words}")


def hint(words: str) -> None:
    """One line about what to try next."""
    console.print(f"  [dim]{words}[/]")


@contextlib.contextmanager
def kubeweft_running(kubeconfig: Path, audit_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """``kubeweft run`` in a process of its own, which ends with the block."""
    log = (FOLDER / "kubeweft.log").open("wb")
    command = [
        sys.executable, exec_with_parent.__file__, str(os.getpid()),  # it ends with us even if we are killed
        str(KUBEWEFT), "run", "--kubeconfig", str(kubeconfig), "--store", str(STORE),
        "--audit-listen", f"127.0.0.1:{audit_port}",
    ]  # fmt: skip
    with log, subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def apply(api: pykube.HTTPClient, file: Path) -> None:
    """Server-side apply of every object in a YAML file, as ``kubectl apply --server-side`` does."""
    for manifest in yaml.safe_load_all(file.read_text()):
        group, _, _version = manifest["apiVersion"].rpartition("/")
        prefix = f"/apis/{manifest['apiVersion']}" if group else f"/api/{manifest['apiVersion']}"
        plural = {
            "CustomResourceDefinition": "customresourcedefinitions",
            "TracingPolicy": "tracingpolicies",
        }[manifest["kind"]]
        answer = api.patch(
            base="",
            version="",
            url=f"{prefix}/{plural}/{manifest['metadata']['name']}",
            params={"fieldManager": "demo", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            data=yaml.safe_dump(manifest),
        )
        api.raise_for_status(answer)


def policy_ready(api: pykube.HTTPClient) -> bool:
    """Whether the demo's policy says Ready=True."""
    answer = api.get(base="/apis", version="kubeweft.io/v1alpha1", url="tracingpolicies/everything")
    conditions = answer.json().get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def install_crds(api: pykube.HTTPClient) -> None:
    """Apply both CRDs and wait until they are served."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        apply(api, file)
    wait_until(
        lambda: api.get(base="/apis", version="kubeweft.io/v1alpha1", url="tracingpolicies").ok,
        "the TracingPolicy kind to be served",
    )


def show(*arguments: str) -> None:
    """Run a ``kubeweft`` command that reads the demo's store, in front of the user."""
    console.print(f"\n[bold]$ kubeweft {' '.join(arguments)} --store {STORE_SHOWN}[/]")
    sys.stdout.flush()
    subprocess.run([str(KUBEWEFT), *arguments, "--store", str(STORE)], check=True)


def trace_complete() -> bool:
    """Whether the last thing that happened to the Deployment, its deletion, has arrived from both sides."""
    command = [str(KUBEWEFT), "show", "deployment/demo", "-n", "default", "--store", str(STORE)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return "deleted" in found and "delete by" in found


def stay_up(kubeconfig: Path) -> None:
    """Say what can be tried and wait for Ctrl-C."""
    say("Kubeweft keeps watching. Try, in another terminal:")
    hint(f"kubectl --kubeconfig {kubeconfig} create deployment hello --image=nginx --replicas=3")
    hint(f".venv/bin/kubeweft show deployment/hello -n default --store {STORE_SHOWN}")
    hint(f".venv/bin/kubeweft search --text ScalingReplicaSet --store {STORE_SHOWN}")
    hint(f"kubectl --kubeconfig {kubeconfig} get tracingpolicies")
    say("Ctrl-C stops everything.")
    while True:
        time.sleep(3600)


def run(*, once: bool) -> None:
    """The whole demo."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for leftover in FOLDER.glob("kubeweft.db*"):
        leftover.unlink()
    (audit_port,) = free_ports(1)
    say("starting a control plane: etcd, kube-apiserver, controller-manager, scheduler and two kwok nodes")
    plane = ControlPlane(
        FOLDER / "controlplane", nodes=2, audit_webhook=f"http://127.0.0.1:{audit_port}/audit"
    )
    with plane, contextlib.ExitStack() as stack:
        hint(f"kubeconfig {plane.kubeconfig}, audit log {plane.audit_log}")
        api = client_for(str(plane.kubeconfig))
        say("installing the CustomResourceDefinitions of TracingPolicy and LinkRule")
        install_crds(api)
        say(
            "starting Kubeweft with its embedded store: it watches everything and takes the audit log by webhook"
        )
        hint(f"log {FOLDER / 'kubeweft.log'}, store {STORE}")
        stack.enter_context(kubeweft_running(plane.kubeconfig, audit_port))
        say(f"applying the policy {POLICY.relative_to(ROOT)}")
        apply(api, POLICY)
        wait_until(lambda: policy_ready(api), "the policy to be Ready")
        for step in Rollout(api).steps():
            say(step.words)
            step.act()
        say("waiting for the audit log's last batch (the API server sends one a second)")
        wait_until(trace_complete, "the trace to be complete")
        show("search", "-n", "default")
        show("show", "deployment/demo", "-n", "default")
        console.print()
        if not once:
            stay_up(plane.kubeconfig)


def main() -> int:
    """Run until done or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Kubeweft's demo")
    parser.add_argument("--once", action="store_true", help="end after the trace has been shown")
    once = parser.parse_args().once
    for name in (signal.SIGINT, signal.SIGTERM):  # also where a shell has started us with signals ignored
        signal.signal(name, signal.default_int_handler)
    try:
        run(once=once)
    except KeyboardInterrupt:
        console.print()
        say("stopped")
    except (ControlPlaneError, TimeoutError, subprocess.CalledProcessError) as error:
        console.print(f"[bold red]the demo failed:[/] {error}\nsee the logs in {FOLDER}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
