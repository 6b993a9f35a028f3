"""Causes last as long as what they caused."""

from __future__ import annotations

import dataclasses

import msgspec

from kubeweft.display.steps.enclosing import enclose_children
from kubeweft.display.tree.trees import Fact, Tree
from kubeweft.display.words.headlines import headline
from kubeweft.display.words.pens import Pen
from memory_reader import story_of
from span_builders import at, event, key, request, weave

IT = key("configmaps", "it")


def nested() -> Tree:
    """An Event a minute later under a request."""
    tree = story_of(IT, weave(request(IT, "patch", "10:00:00.000"), event(IT, "Later", "10:01:00")))
    patch, later = tree.root.facts
    holding = msgspec.structs.replace(patch, children=(later,))
    return dataclasses.replace(tree, root=msgspec.structs.replace(tree.root, facts=(holding,)))


def test_a_cause_ends_with_the_last_of_its_effects_but_took_no_longer_itself() -> None:
    tree = enclose_children(nested())
    (patch,) = tree.root.facts
    assert (patch.start, patch.end) == (at("10:00:00.000"), at("10:01:00"))
    assert headline(patch, tree.root, Pen()).endswith("→ 200 12ms")
    assert enclose_children(tree) == tree


def test_what_has_nothing_under_it_stays_as_it_is() -> None:
    tree = story_of(IT, weave(request(IT, "patch", "10:00:00.000")))
    assert enclose_children(tree) == tree


def test_effects_deep_below_count() -> None:
    tree = nested()
    (patch,) = tree.root.facts
    over = Fact(patch.span, patch.start, patch.end, (patch,))
    deep = dataclasses.replace(tree, root=msgspec.structs.replace(tree.root, facts=(over,)))
    assert enclose_children(deep).root.facts[0].end == at("10:01:00")
