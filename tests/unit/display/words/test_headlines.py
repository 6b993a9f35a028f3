"""One plain line for every part of a tree: the same words as on the terminal."""

from __future__ import annotations

import msgspec
import pytest

from kubeweft.display.tree.made import SHOWN_MOVED, SHOWN_SKEW
from kubeweft.display.tree.trees import Fact, Label, Node, facts_of, nodes_of
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.words.headlines import headline, object_headline
from kubeweft.display.words.pens import Pen, pen_of
from kubeweft.display.words.wording import word_fact, word_object
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.spans import Attributes, Source, Span
from memory_reader import story_of
from span_builders import change, event, gap, key, related, request, to, uid, weave

IT, OTHER, NODE = key("configmaps", "it"), key("pods", "web-0"), key("nodes", "n1")


def node() -> Node:
    return story_of(IT, weave(request(IT, "patch", "10:00:00.000"))).root


def fact(source: Source, name: str = "", **told: str) -> Fact:
    """A fact of any source, on ``OTHER``."""
    attributes: Attributes = dict(told)
    return Fact(Span(b"t" * 16, b"s" * 8, b"", source, OTHER, name, 0, 1_500_000, attributes), 0, 1_500_000)


def test_it_is_the_text_of_the_terminal_without_its_styles(rollout: list[Span]) -> None:
    for view in builtin_views().views.values():
        tree = story_of(key("deployments", "demo"), rollout, view=view, kinds=Kinds())
        pen = pen_of(tree)
        for one in nodes_of(tree.root):
            assert word_object(one, one.start, pen).plain.startswith(object_headline(one, pen))
            for part in facts_of(one.facts):
                assert word_fact(part, one, pen).headline.plain == headline(part, one, pen)
                for child in part.children:
                    told = headline(child, one, pen, under=part)
                    assert word_fact(child, one, pen, under=part).headline.plain == told


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (fact("foreign", "reconcile", **{v.SERVICE_NAME: "kubelet"}), "pods/web-0: kubelet: reconcile 1ms"),
        (fact("foreign", "reconcile"), "pods/web-0: another system: reconcile 1ms"),
        (fact("object", "pods/default/web-0", **{v.KIND: "Pod"}), "Pod default/web-0"),
        (fact("object", "pods/default/web-0"), "pods default/web-0"),
        (
            fact("event", "Pulled", **{v.EVENT_REASON: "Pulled", v.EVENT_TYPE: "Normal"}),
            "pods/web-0: Normal Pulled",
        ),
        (fact("change", "changed"), "pods/web-0: changed"),
        (fact("request", "get"), "pods/web-0: get by somebody → no answer 1ms"),
    ],
)
def test_facts_of_others_say_whose_they_are(part: Fact, line: str) -> None:
    assert headline(part, node(), Pen()) == line


def test_a_foreign_span_that_failed_says_why() -> None:
    failed = fact("foreign", "Create", **{v.SERVICE_NAME: "apiserver"})
    failed = msgspec.structs.replace(failed, span=msgspec.structs.replace(failed.span, error="refused"))
    assert headline(failed, node(), Pen(), under=failed) == "apiserver: Create → refused 1ms"


def test_what_a_fact_stands_under_tells_whose_it_is() -> None:
    inner, outer = fact("change", "changed"), fact("request", "patch")
    assert headline(inner, node(), Pen(), under=outer) == "changed"
    own = node().facts[0]
    assert headline(own, node(), Pen(), under=outer).startswith("configmaps/it: patch")


def test_where_facts_of_others_stand_everything_says_whose_it_is() -> None:
    shared = Pen(shared=frozenset({IT}), kinds={("", "configmaps"): "ConfigMap"})
    assert headline(node().facts[0], node(), shared).startswith("configmap/it: patch")


def test_other_namespaces_and_clusters_are_named() -> None:
    moved = fact("change", "changed")
    far = OTHER._replace(cluster="member-1", namespace="kube-system")
    moved = msgspec.structs.replace(moved, span=msgspec.structs.replace(moved.span, key=far))
    assert headline(moved, node(), Pen()) == "[member-1] pods/web-0 in kube-system: changed"
    assert headline(moved, node(), Pen(clusters={"member-1": "Berlin"})).startswith("[Berlin] pods")


def test_links_and_gaps_have_a_line_too() -> None:
    spans = weave(
        request(IT, "patch", "10:00:00.000"),
        gap(key("configmaps", "", namespace=""), "Down", "10:02:00", "10:03:00", count=2),
        related(IT, to(NODE, "Peer", "RunsOn")),
    )
    tree = story_of(IT, spans, linked="full", kinds=Kinds())
    lines = [headline(part, tree.root, pen_of(tree)) for part in (*tree.root.links, *tree.root.facts)]
    assert lines == [
        "↔ RunsOn node/n1",
        "patch by kubernetes-admin (kubectl) → 200 12ms",
        "gap of all configmaps Down (2 missed) 1m00s",
    ]


def test_a_clock_that_was_behind_is_told() -> None:
    (seen,) = story_of(IT, weave(event(IT, "Seen", "10:00:00"))).root.facts
    late = msgspec.structs.replace(seen, label=Label(tags=((SHOWN_SKEW, "2.1s"),)))
    assert headline(late, node(), Pen()).endswith("(shown 2.1s later: its clock was behind)")


def test_a_series_that_is_shown_later_tells_its_own_times() -> None:
    twice = [event(IT, "Seen", "10:00:01", first="10:00:00", count=count) for count in (1, 2)]
    (series,) = story_of(IT, weave(*twice)).root.facts
    moved = msgspec.structs.replace(series, label=Label(tags=((SHOWN_MOVED, "900000000"),)))
    later = moved.moved(series.start + 900_000_000, series.end + 900_000_000)
    assert headline(later, node(), Pen()) == headline(series, node(), Pen())


def test_nothing_drives_a_terminal_and_ascii_stays_ascii() -> None:
    nasty = fact("foreign", "a\x1b[2Jb\n→", **{v.SERVICE_NAME: "s"})
    assert headline(nasty, node(), Pen(), under=nasty) == "s: a\\x1b[2Jb → 1ms"
    assert headline(nasty, node(), Pen(ascii_only=True), under=nasty).isascii()


def test_conditions_that_only_changed_places_are_told_where_nothing_else_is() -> None:
    places = "status.conditions[Ready] moved 1 → 0"
    several = change(IT, "Modified", "10:00:00", uid=uid(1), old="1", version="2", words=("a 1 → 2", places))
    alone = change(IT, "Modified", "10:00:01", uid=uid(1), old="2", version="3", words=(places,))
    tree = story_of(IT, weave(several, alone))
    told = [word_fact(fact, tree.root, pen_of(tree)).details for fact in tree.root.facts]
    assert [[line.plain for line in lines] for lines in told] == [["a 1 → 2"], [places]]
