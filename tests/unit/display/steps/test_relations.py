"""Links become structure; what the structure does not say stays."""

from __future__ import annotations

from kubeweft.model.observations import Observation
from memory_reader import outline, story_of
from span_builders import change, key, owner, related, request, to, uid, weave

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


def test_a_child_of_two_stands_under_its_owner_and_the_other_refers_to_it() -> None:
    """A rule says that the release holds the Pod as well: it is nearer, but the ReplicaSet owns it."""
    release, replica_set, pod = key("widgets", "release"), key("replicasets", "rs"), key("pods", "p")
    spans = weave(
        change(replica_set, "Added", "10:00:00", uid=uid(1), version="1"),
        change(pod, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(replica_set, uid(1)),)),
        related(pod, to(release, "Parent", "Installs")),
        related(replica_set, to(release, "Parent", "Installs")),
    )
    root = story_of(release, spans).root
    assert outline(root) == {
        "facts": [],
        "links": ["child pods/default/p"],
        "children": {
            "rs": {
                "facts": ["created"],
                "links": [],
                "children": {
                    "p": {
                        "facts": ["created"],
                        "links": ["parent widgets.example.com/default/release"],
                        "children": {},
                    }
                },
            }
        },
    }
    assert root.children[0].children[0].via == (), "its owner"


def test_each_the_child_of_the_other_by_two_rules() -> None:
    here, there = key("widgets", "it"), key("widgets", "it", cluster="member-1")
    observations: list[Observation] = [
        request(here, "patch", "10:00:00.000"),
        request(there, "patch", "10:00:01.000"),
        related(here, to(there, "Child", "Federates", "forth")),
        related(there, to(here, "Child", "Federates", "back")),
    ]
    for root, other in ((here, there), (there, here)):
        tree = story_of(root, weave(*observations))
        (child,) = tree.root.children
        assert (child.key, child.children, tree.linked) == (other, (), ())
        assert [link.span.name for link in child.links] == ["child widgets.example.com/default/it"]
        assert [link.span.name for link in tree.root.links] == ["parent widgets.example.com/default/it"]


def test_an_object_that_is_linked_with_itself() -> None:
    spans = weave(
        request(CM, "patch", "10:00:00.000"), related(CM, to(CM, "Child", "Odd"), to(CM, "Peer", "Odd"))
    )
    tree = story_of(CM, spans, linked="full")
    assert (tree.root.children, tree.linked) == ((), ())


def test_links_are_one_for_each_target_role_and_class_with_all_rules_that_make_it() -> None:
    node = key("nodes", "n")
    rules = [to(node, "Peer", "Uses", "b"), to(node, "Peer", "Uses", "a"), to(node, "Peer", "RunsOn", "c")]
    spans = weave(
        request(CM, "patch", "10:00:00.000"),
        request(CM, "patch", "10:40:00.000", audit_id="second"),
        related(CM, *rules, to(node, "Parent", "Uses", "d")),
    )
    root = story_of(CM, spans).root
    assert len(root.windows) == 2
    assert [(link.span.name, link.rules) for link in root.links] == [
        ("parent nodes//n", ("d",)),
        ("peer nodes//n", ("c",)),
        ("peer nodes//n", ("a", "b")),
    ]


def test_an_owner_reference_that_a_rule_makes_as_well_stays_one() -> None:
    spans = weave(
        change(CM, "Added", "10:00:00", uid=uid(3), version="1", owners=(owner(TOP, uid(1)),)),
        related(CM, to(TOP, "Parent", "Controls", "z-mine"), to(TOP, "Parent", "Controls", "a-mine")),
    )
    (link,) = story_of(CM, spans).root.links
    assert link.rules == ("a-mine", "owner", "z-mine")
    assert link.text("kubeweft.link.rule") == "owner"
    (child,) = story_of(TOP, spans).root.children
    assert child.via == ()
