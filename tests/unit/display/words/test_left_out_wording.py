"""What limits left out, in words."""

from __future__ import annotations

from typing import Any

import pytest

from kubeweft.display.extensions import joining
from kubeweft.display.reading.left_out import HINTS
from kubeweft.display.tree.trees import Truncation
from kubeweft.display.words.left_out_wording import LINKED, OWNED, hint_in_viewers, plural, words_of
from span_builders import key


def cut(what: str, more: int, **of: Any) -> Truncation:
    """Something left out around a ReplicaSet."""
    return Truncation(what=what, of="replicasets.apps/shop/web", shown=5, more=more, hint="so", **of)


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (cut("objects", 312, kinds=(("Pod", 312),)), "312 more Pods owned by"),
        (cut("objects", 1, kinds=(("Pod", 1),)), "1 more Pod owned by"),
        (
            cut("objects", 7, kinds=(("Pod", 6), ("widgets.example.com", 1))),
            "6 more Pods and 1 widgets.example.com owned by",
        ),
        (
            cut("siblings", 6, kinds=(("Pod", 3), ("NetworkPolicy", 2), ("Ingress", 1))),
            "3 more Pods, 2 NetworkPolicies and 1 Ingress beside what was asked for, under",
        ),
        (cut("objects", 3), "3 more objects owned by"),
        (cut("depth", 2, kinds=(("Pod", 2),)), "2 more Pods further down, under"),
        (cut("windows", 1), "1 more older window of"),
        (cut("windows", 2), "2 more older windows of"),
        (cut("around", 9), "9 more older windows of gaps and deleted collections around"),
        (cut("linked", 1), "1 more object linked with"),
        (cut("facts", 4), "4 more facts of"),
        (cut("linked_facts", 4), "4 more facts of objects linked with"),
        (cut("something else", 2), "2 more objects of"),
    ],
)
def test_words_tell_how_many_of_what(left_out: Truncation, words: str) -> None:
    assert words_of(left_out) == f"{words} replicasets.apps/shop/web"


@pytest.mark.parametrize("hint", [*HINTS.values(), OWNED, LINKED, f"so much was asked; {joining.NARROW}"])
def test_viewers_have_no_flags(hint: str) -> None:
    told = hint_in_viewers(hint)
    assert told != hint
    assert not any(word in told for word in ("--", "selection", "show one"))


def test_what_others_say_is_told_to_viewers_as_it_is() -> None:
    assert hint_in_viewers("it answered HTTP 503") == "it answered HTTP 503"


@pytest.mark.parametrize(
    ("kind", "many"),
    [
        ("Pod", "Pods"),
        ("NetworkPolicy", "NetworkPolicies"),
        ("Gateway", "Gateways"),
        ("Ingress", "Ingresses"),
        ("StorageClass", "StorageClasses"),
        ("Mesh", "Meshes"),
        ("pods", "pods"),
        ("deployments.apps", "deployments.apps"),
    ],
)
def test_kinds_for_so_many(kind: str, many: str) -> None:
    assert plural(kind, 1) == kind
    assert plural(kind, 2) == many


def test_an_object_in_no_namespace_is_named_without_one() -> None:
    cut = Truncation(what="facts", of=str(key("nodes", "n1")), shown=12, more=2, hint="")
    assert words_of(cut) == "2 more facts of nodes/n1"
