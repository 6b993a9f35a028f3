"""Links become structure; what the structure does not say stays."""

from __future__ import annotations

from kubeweft.model.observations import Observation
from memory_reader import outline, story_of
from span_builders import change, key, owner, uid, weave

TOP, OTHER, CM = key("deployments", "top"), key("deployments", "other"), key("configmaps", "shared")


def shared(clock: str = "10:00:00", version: str = "1") -> Observation:
    """A ConfigMap with two owners, one of which controls it."""
    owners = (owner(TOP, uid(1)), owner(OTHER, uid(2), controller=False))
    return change(CM, "Added", clock, uid=uid(3), version=version, owners=owners)


def test_the_tree_tells_the_link_it_follows_and_the_other_owner_has_a_line() -> None:
    root = story_of(TOP, weave(shared())).root
    assert outline(root) == {
        "facts": [],
        "links": [],
        "children": {
            "shared": {
                "facts": ["created"],
                "links": ["parent deployments.apps/default/other"],
                "children": {},
            }
        },
    }


def test_both_owners_have_a_line_where_neither_is_in_the_tree() -> None:
    root = story_of(CM, weave(shared())).root
    assert [link.span.name for link in root.links] == [
        "parent deployments.apps/default/other",
        "parent deployments.apps/default/top",
    ]


def test_a_link_written_in_each_window_has_one_line() -> None:
    spans = weave(shared(), change(CM, "Modified", "10:40:00", uid=uid(3), old="1", version="2"))
    root = story_of(CM, spans).root
    assert len(root.windows) == 2
    assert len(root.links) == 2


def test_a_namespaced_object_is_found_under_its_cluster_scoped_owner() -> None:
    node, pod = key("nodes", "node-1"), key("pods", "static-pod")
    spans = weave(change(pod, "Added", "10:00:00", uid=uid(2), version="1", owners=(owner(node, uid(1)),)))
    assert list(outline(story_of(node, spans).root)["children"]) == ["static-pod"]


def test_an_owner_that_is_owned_by_its_own_child_does_not_go_round() -> None:
    spans = weave(
        change(TOP, "Added", "10:00:00", uid=uid(1), version="1", owners=(owner(OTHER, uid(2)),)),
        change(OTHER, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(TOP, uid(1)),)),
    )
    root = story_of(TOP, spans).root
    (other,) = root.children
    assert other.key == OTHER
    assert other.children == ()
    assert [link.span.name for link in other.links] == ["child deployments.apps/default/top"]
    assert [link.span.name for link in root.links] == ["parent deployments.apps/default/other"]
