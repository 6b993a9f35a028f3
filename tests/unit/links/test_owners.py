"""Owner references to object keys."""

from kubeweft.links.owners import CONTROLS, OWNS, Parent, parent_of
from kubeweft.model.references import ObjectKey, OwnerReference, ResourceType

POD = ObjectKey("c", "", "pods", "ns", "p")


class Kinds:
    """Knows Node and ReplicaSet."""

    def resource_of(self, group: str, kind: str) -> ResourceType | None:
        known = {
            ("", "Node"): ResourceType("", "v1", "nodes", "Node", False),
            ("apps", "ReplicaSet"): ResourceType("apps", "v1", "replicasets", "ReplicaSet", True),
        }
        return known.get((group, kind))


def test_an_owner_lives_in_the_namespace_of_its_child() -> None:
    owner = OwnerReference("apps/v1", "ReplicaSet", "rs", "u", True)
    assert parent_of(POD, owner, Kinds()) == Parent(
        ObjectKey("c", "apps", "replicasets", "ns", "rs"), CONTROLS
    )


def test_a_cluster_scoped_owner_has_no_namespace() -> None:
    owner = OwnerReference("v1", "Node", "n", "u", False)
    assert parent_of(POD, owner, Kinds()) == Parent(ObjectKey("c", "", "nodes", "", "n"), OWNS)


def test_an_unknown_kind_is_not_guessed() -> None:
    assert parent_of(POD, OwnerReference("x/v1", "Odd", "o", "u", True), Kinds()) is None
