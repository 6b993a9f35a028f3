"""What a complete list says about those that are not in it."""

from __future__ import annotations

from kubeweft.kube.receiving import Missed
from kubeweft.model.plan import Plan, Scope
from kubeweft.sources.objects.facts import Facts
from kubeweft.sources.objects.listing import Listing, Unseen
from watched_objects import DEPLOYMENTS, differ_of

KNOWN = ("a", "b", "c")
MISSED = Missed("Expired", "too old", 5, 9)


def facts(uid: str) -> Facts:
    return Facts("default", f"name-of-{uid}", uid, "7", "Deployment", "apps/v1", 1, 0, (), (), False)


def test_who_is_not_shown_is_missing() -> None:
    listing = Listing()
    listing.show("ADDED", facts("a"))
    listing.show_unreadable("ADDED", "b")
    assert listing.missing(KNOWN) == ["c"]
    assert listing.names == {("default", "name-of-a")}


def test_what_is_taken_back_is_missing_too() -> None:
    listing = Listing()
    for kind in ("ADDED", "DELETED"):
        listing.show(kind, facts("a"))
        listing.show_unreadable(kind, "b")
    assert listing.missing(KNOWN) == ["a", "b", "c"]


def test_a_nameless_object_may_be_anybody() -> None:
    listing = Listing()
    listing.show_unreadable("ADDED", "")
    assert listing.missing(KNOWN) == []


def test_a_gap_for_the_type_and_for_each_selected_object_that_changed() -> None:
    differ = differ_of(DEPLOYMENTS, plan=Plan(scopes=(Scope(policy="p", namespaces=frozenset({"shop"})),)))
    unseen = Unseen(differ, "me")
    for namespace in ("shop", "elsewhere", "shop"):
        unseen.add(differ.key(namespace, "web"))
    assert [(gap.key.namespace, gap.count) for gap in unseen.gaps(MISSED)] == [("", 2), ("shop", 0)]
    unseen.clear()
    assert [(gap.key.namespace, gap.count) for gap in unseen.gaps(MISSED)] == [("", 0)]
