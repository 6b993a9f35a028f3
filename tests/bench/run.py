"""``make bench``: measures speed and memory per CPU-second against the targets, and writes ``build/bench.json``.

Machines are noisy, CPU time is less so: figures are CPU time of the measured process, best of several runs. Each figure
comes with the hottest functions of one profiled run, so that a regression names its place.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUTPUT = ROOT / "build" / "bench.json"

# figure: (target, whether more is better, unit)
TARGETS: dict[str, tuple[float, bool, str]] = {
    "audit_events_per_cpu_second": (12_000, True, "events per CPU-second, webhook body to durable"),
    "configmap_change_cpu_us": (60, False, "µs CPU per 1.3 kB ConfigMap change, watch bytes to durable"),
    "pod_change_cpu_us": (180, False, "µs CPU per 9.6 kB Pod change, watch bytes to durable"),
    "live_visible_p99_seconds": (1, False, "s from acknowledged to visible at 200 writes/s, 99th percentile"),
    "pod_rules_20_us": (200, False, "µs CPU per change of a 10 kB Pod under 20 rules like the built-in ones"),
    "watch_rules_ratio_pods": (
        2.5,
        False,
        "times the CPU of a watch of Pods that it takes with all rules shipped",
    ),
    "watch_rules_ratio_configmaps": (
        2.5,
        False,
        "times the CPU of a watch of ConfigMaps, with all rules shipped",
    ),
    "watch_rules_ratio_pods_annotated": (
        2.5,
        False,
        "the same of nothing but changes that rules have to look at",
    ),
    "watch_rules_ratio_configmaps_annotated": (
        2.5,
        False,
        "the same of nothing but changes of ConfigMaps such",
    ),
    "rules_growth": (
        1.5,
        False,
        "times what one Pod costs at first it costs as one of 5,000, under 100 rules",
    ),
    "crowded_pod_us": (2_000, False, "µs CPU for one more Pod of a Service that selects 1,000, links woven"),
    "linked_pod_bytes": (2_000, False, "bytes of memory for the links of one Pod under 20 rules"),
    "large_tree_cpu_ms": (
        1_000,
        False,
        "ms CPU to read and arrange 1,000 Pods of 20,000 spans over 4 windows",
    ),
    "large_tree_first_bytes_cpu_ms": (
        500,
        False,
        "ms CPU until the first bytes of that tree can go to Jaeger",
    ),
    "linked_tree_cpu_ms": (1_000, False, "the same CPU, of 20,000 facts and as many links"),
    "streamed_memory_growth": (
        1.15,
        False,
        "times the memory after 2 such trees it takes at most for 20, one after another",
    ),
    "search_cpu_ms": (100, False, "ms CPU for the slowest of the usual searches among 30,000 objects"),
    "search_growth": (1.5, False, "times what searches took while the store had 420,000 spans"),
    "cached_pod_bytes": (1_000, False, "bytes of memory per cached Pod"),
}
PARTS = ("audit", "watch", "rules", "live", "display")
PACKAGES = ("kubeweft", "msgspec", "orjson", "aiohttp", "kubernetes-asyncio", "zstandard", "uvloop")

console = Console(highlight=False)


def measure(part: str, folder: Path) -> dict[str, Any]:
    """One part in a process of its own; its last line is its figures as JSON."""
    console.print(f"[bold]measuring {part}[/] …")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'support'}{os.pathsep}{HERE}"}
    done = subprocess.run(
        [sys.executable, str(HERE / f"{part}.py"), str(folder)],
        stdout=subprocess.PIPE, text=True, env=environment, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"measuring {part} failed with exit status {done.returncode}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def report(figures: dict[str, Any]) -> bool:
    """Print every figure beside its target, and the profiles; whether all targets are met."""
    table = Table("figure", "measured", "target", "", "of what", box=None)
    met = True
    for name, (target, more_is_better, unit) in TARGETS.items():
        if name not in figures:
            continue
        good = figures[name] >= target if more_is_better else figures[name] <= target
        met &= good
        sign = "≥" if more_is_better else "≤"
        verdict = "[green]met[/]" if good else "[red]missed[/]"
        table.add_row(name, f"{figures[name]:,.6g}", f"{sign} {target:,g}", verdict, unit)
    console.print(table)
    for name, lines in figures.get("profiles", {}).items():
        console.print(f"\n[bold]{name}[/], the hottest functions (own time)")
        for line in lines:
            console.print(f"  {line}", style="dim")
    return met


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def main() -> None:
    """Measure the parts asked for, all without arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these")
    parts = parser.parse_args().parts or PARTS
    figures: dict[str, Any] = {"machine": machine(), "profiles": {}}
    OUTPUT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUTPUT.parent) as folder:
        for part in parts:
            found = measure(part, Path(folder))
            figures["profiles"].update(found.pop("profiles", {}))
            figures.update(found)
    OUTPUT.write_text(json.dumps(figures, indent=2) + "\n")
    report(figures)
    console.print(f"\nwritten to {OUTPUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
