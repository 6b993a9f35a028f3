"""`python -m controlplane --directory DIR`: a control plane in the foreground, until SIGINT or SIGTERM.

The last line of its start, on stdout, is `ready kubeconfig=PATH audit_log=PATH`, for scripts; all else goes to stderr.
A bearer token for the webhook comes from the environment, AUDIT_WEBHOOK_TOKEN, because other users can read command lines.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from controlplane.binaries.building import BuildFailed
from controlplane.binaries.finding import AssetsMissing
from controlplane.binaries.toolchain import NoToolchain
from controlplane.plane import ControlPlane, ControlPlaneError

_LOOK_SECONDS = 1.0


class _Asked(Exception):
    """A signal asked to stop."""


def main(arguments: list[str] | None = None) -> int:
    """0 after a signal, 1 when it could not start or a component ended by itself."""
    options = _parser().parse_args(arguments)
    asked = threading.Event()
    _on_signals(asked)
    plane: ControlPlane | None = None
    try:
        plane = _plane(options)
        plane.start()
        print(f"ready kubeconfig={plane.kubeconfig} audit_log={plane.audit_log}", flush=True)
        return _stay(plane, asked)
    except _Asked:
        return 0
    except (ControlPlaneError, BuildFailed, AssetsMissing, NoToolchain) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        _ignore_signals()
        if plane is not None:
            plane.stop()
            print("the control plane is stopped", file=sys.stderr)


def _plane(options: argparse.Namespace) -> ControlPlane:
    return ControlPlane(
        options.directory,
        nodes=options.nodes,
        audit_webhook=options.audit_webhook or None,
        audit_webhook_token=os.environ.get("AUDIT_WEBHOOK_TOKEN") or None,
        audit_policy=options.audit_policy,
        fresh=not options.keep,
        tracing=options.tracing or None,
    )


def _stay(plane: ControlPlane, asked: threading.Event) -> int:
    while not asked.wait(_LOOK_SECONDS):
        ended = plane.first_that_ended()
        if ended is not None:
            print(f"{ended.name} ended by itself:\n{ended.last_words()}", file=sys.stderr)
            return 1
    return 0


def _on_signals(asked: threading.Event) -> None:
    def ask(number: int, frame: object) -> None:
        if not asked.is_set():
            asked.set()
            raise _Asked

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)


def _ignore_signals() -> None:
    """A second Ctrl-C must not leave half of it running."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="controlplane", description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("build/controlplane"), help="its folder")
    parser.add_argument("--nodes", type=int, default=2, help="fake nodes (default 2)")
    parser.add_argument(
        "--audit-webhook", metavar="URL", help="also send audit events there; nothing need listen yet"
    )
    parser.add_argument("--audit-policy", type=Path, help="another policy than config/audit/policy.yaml")
    parser.add_argument(
        "--tracing", metavar="HOST:PORT", help="OTLP/gRPC receiver for the API server's own spans"
    )
    parser.add_argument("--keep", action="store_true", help="go on with the cluster that is in the folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
