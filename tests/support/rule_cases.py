"""Cases of LinkRules as a YAML file tells them: a rule, the objects it is about, and all links that must come of it.

Names of rules and cases are the same; the file speaks of two namespaces as ``$here`` and ``$there``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from kubeweft.model.relations import INVERSE, Role
from stored_links import Link

GROUP = "things.example.org"
LABELLED = "example.org/rules=live"  # by which all rules of here are found
HERE, THERE = "$here", "$there"
BORNE_BY = {"SourceToTarget": (True, False), "TargetToSource": (False, True), "Both": (True, True)}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``late`` rules are applied when the objects are there; ``links`` and ``passing`` hold both ends of each link.

    ``passing`` ones need not be there: they are true only until more is known.
    """

    name: str
    late: bool
    rule: Json
    objects: tuple[Json, ...]
    links: frozenset[Link]
    passing: frozenset[Link]
    status: Mapping[str, int]


def read_cases(file: Path, *, here: str, there: str) -> list[Case]:
    """All cases of a file, with the real names of both namespaces in what will be applied."""
    text = file.read_text().replace(HERE, here).replace(THERE, there)
    spoken = yaml.safe_load_all(file.read_text())
    return [
        Case(
            name=real["name"],
            late=real.get("late", False),
            rule=rule_of(real["name"], **real["rule"]),
            objects=tuple(_object(one, case=real["name"], here=here) for one in real["objects"]),
            links=frozenset(_both_ends(told["name"], told["rule"], told["links"])),
            passing=frozenset(_both_ends(told["name"], told["rule"], told.get("passing", []))),
            status=real.get("status", {}),
        )
        for real, told in zip(yaml.safe_load_all(text), spoken, strict=True)
    ]


def rule_of(name: str, **spec: Any) -> Json:
    """A LinkRule; without a source it reads the Widgets that are labelled with its name."""
    mine = {
        "resources": [{"apiGroups": [GROUP], "resources": ["widgets"]}],
        "objectSelector": {"matchLabels": {"case": name}},
    }
    return {
        "apiVersion": "kubeweft.io/v1alpha1",
        "kind": "LinkRule",
        "metadata": {"name": name, "labels": dict([LABELLED.split("=")])},
        "spec": {"source": mine, **spec},
    }


def widget(name: str, *, case: str, spec: Json, **metadata: Any) -> Json:
    """An object that may say anything, labelled as belonging to a case."""
    labels = {"case": case, **metadata.pop("labels", {})}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Widget",
        "metadata": {"name": name, "labels": labels, **metadata},
        "spec": spec,
    }


def _object(told: Json, *, case: str, here: str) -> Json:
    """Whole manifests stand for themselves, everything else is a Widget."""
    if "kind" not in told:
        more = {key: value for key, value in told.items() if key not in ("name", "spec")}
        return widget(told["name"], case=case, spec=told.get("spec", {}), **{"namespace": here, **more})
    metadata = {"namespace": here, **told["metadata"]}
    metadata["labels"] = {"case": case, **metadata.get("labels", {})}
    return {**told, "metadata": metadata}


def _both_ends(name: str, rule: Json, links: list[str]) -> Iterator[Link]:
    near, far = BORNE_BY[rule.get("link", {}).get("direction", "SourceToTarget")]
    for text in links:
        source, role, link_class, target = text.split()
        source = source if "/" in source else f"{HERE}/widgets/{source}"
        yield Link(name, source, role, link_class, target, near)
        yield Link(name, target, INVERSE[msgspec.convert(role, Role)], link_class, source, far)
