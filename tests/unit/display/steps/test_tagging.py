"""Tags added, attributes taken away."""

from __future__ import annotations

from kubeweft.display.steps.parameters import Template
from kubeweft.display.steps.tagging import change_tags
from kubeweft.display.tree.made import tag
from kubeweft.display.tree.trees import USUAL, Tree
from kubeweft.display.writing.json_shape import tree_as_json
from kubeweft.model import vocabulary as v
from memory_reader import story_of
from span_builders import change, event, key, request, uid, weave

IT = key("configmaps", "it")


def tree() -> Tree:
    return story_of(
        IT,
        weave(
            request(IT, "patch", "10:00:00.000", uid=uid(1), version="2"),
            change(IT, "Modified", "10:00:00", uid=uid(1), old="1", version="2"),
            event(IT, "Seen", "10:01:00"),
        ),
    )


def test_tags_are_filled_for_each_part_and_empty_ones_left_out() -> None:
    tagged = change_tags(
        tree(), add={"team": Template.read("of {namespace}"), "who": Template.read("{user}")}
    )
    patch, seen = tagged.root.facts
    assert patch.label.tags == (("team", "of default"), ("who", "kubernetes-admin"))
    assert patch.children[0].label.tags == seen.label.tags == (("team", "of default"),)
    assert tagged.root.label.tags == (("team", "of default"),)


def test_attributes_are_removed_from_what_is_shown() -> None:
    tagged = change_tags(tree(), remove=[v.CLIENT_ADDRESS, v.WINDOW_SECONDS])
    assert v.CLIENT_ADDRESS in tree().root.facts[0].span.attributes
    for span in tree_as_json(tagged)["spans"]:
        assert not {v.CLIENT_ADDRESS, v.WINDOW_SECONDS} & set(span["attributes"])


def test_only_some_sources() -> None:
    tagged = change_tags(tree(), add={"a": Template.read("b")}, remove=[v.UID], only=["change"])
    patch, seen = tagged.root.facts
    assert (patch.label, seen.label, tagged.root.label) == (USUAL, USUAL, USUAL)
    assert tag(patch.children[0].label, "a") == "b"
    assert v.UID in patch.span.attributes
    assert v.UID not in patch.children[0].span.attributes


def test_tags_added_before_can_be_removed_and_a_second_time_changes_nothing() -> None:
    once = change_tags(tree(), add={"a": Template.read("b")})
    assert change_tags(once, add={"a": Template.read("b")}) == once
    assert change_tags(once, remove=["a"]) == tree()


def test_json_tells_labels_where_a_view_made_some() -> None:
    assert not [span for span in tree_as_json(tree())["spans"] if "label" in span]
    tagged = change_tags(tree(), add={"a": Template.read("b")}, only=["event"])
    (labelled,) = [span for span in tree_as_json(tagged)["spans"] if "label" in span]
    assert labelled["label"] == {"service": "", "operation": "", "tags": {"a": "b"}}
