"""Relations made by rules become links at both ends, in the windows into which they are carried."""

import random

from hypothesis import given
from hypothesis import strategies as st

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation, Related
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Direction, Relation
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.weaving.weaver import Weaver
from span_builders import at, change, key, owner, uid

POD, REPLICA_SET, DEPLOYMENT = key("pods", "web-1-a"), key("replicasets", "web-1"), key("deployments", "web")
NODE, OTHER_NODE = key("nodes", "n1"), key("nodes", "n2")
SERVICE = key("services", "web")
MEMBER = DEPLOYMENT._replace(cluster="member")
FIRST, SECOND, THIRD = at("10:00:00"), at("10:30:00"), at("11:00:00")
RUNS_ON = Relation(NODE, "Peer", "RunsOn", "pod-node", "SourceToTarget")
SELECTS = Relation(POD, "Child", "Selects", "service-pods")


def weaver() -> Weaver:
    return Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds())


def links(spans: list[Span]) -> set[tuple[str, str, str, str, int]]:
    """(object, role, target, rule, window) of all link spans."""
    return {
        (s.key.name, str(s.attributes[v.LINK_ROLE]), str(s.attributes[v.LINK_NAME]), str(s.attributes[v.LINK_RULE]), s.start)
        for s in spans
        if s.source == "link"
    }  # fmt: skip


def pod_at(clock: str, version: int) -> Observation:
    return change(POD, "Modified", clock, uid=uid(1), version=str(version), old=str(version - 1))


def test_a_relation_is_a_link_at_both_ends() -> None:
    spans = weaver().weave([pod_at("10:00:01", 2), Related(POD, (RUNS_ON,), FIRST)])
    assert links(spans) == {
        ("web-1-a", "Peer", "n1", "pod-node", FIRST),
        ("n1", "Peer", "web-1-a", "pod-node", FIRST),
    }
    assert {s.key for s in spans if s.source == "object"} == {POD, NODE}


def test_the_direction_says_which_end_is_a_span_link() -> None:
    bearers: dict[Direction, set[str]] = {
        "SourceToTarget": {"web-1-a"},
        "TargetToSource": {"n1"},
        "Both": {"web-1-a", "n1"},
    }
    for direction, bearing in bearers.items():
        related = Related(POD, (RUNS_ON._replace(direction=direction),), FIRST)
        spans = [s for s in weaver().weave([related]) if s.source == "link"]
        assert {s.key.name for s in spans if s.links} == bearing
        for span in spans:
            for link in span.links:
                assert link.span_id == identity.object_span_id(link.trace_id)
                assert link.trace_id != span.trace_id


def test_a_busy_object_carries_its_peers_and_its_owners_but_not_the_peers_of_its_peers() -> None:
    woven = weaver()
    rack = ObjectKey("demo", "", "racks", "", "r1")
    woven.weave([Related(NODE, (Relation(rack, "Peer", "In", "node-rack"),), FIRST)])
    woven.weave([pod_at("10:00:01", 2), Related(POD, (RUNS_ON,), FIRST)])
    spans = woven.weave([pod_at("10:30:01", 3)])
    assert links(spans) == {
        ("web-1-a", "Peer", "n1", "pod-node", SECOND),
        ("n1", "Peer", "web-1-a", "pod-node", SECOND),
    }


def test_of_a_child_relation_the_child_carries() -> None:
    woven = weaver()
    woven.weave([Related(SERVICE, (SELECTS,), FIRST)])
    of_the_service = woven.weave([change(SERVICE, "Modified", "10:30:01", uid=uid(2), version="4", old="3")])
    assert links(of_the_service) == set()
    of_the_pod = woven.weave([pod_at("11:00:01", 3)])
    assert links(of_the_pod) == {
        ("web", "Child", "web-1-a", "service-pods", THIRD),
        ("web-1-a", "Parent", "web", "service-pods", THIRD),
    }


def test_what_a_rule_does_not_say_any_more_is_not_carried_on() -> None:
    woven = weaver()
    woven.weave([pod_at("10:00:01", 2), Related(POD, (RUNS_ON, RUNS_ON._replace(target=OTHER_NODE)), FIRST)])
    woven.weave([Related(POD, (RUNS_ON._replace(target=OTHER_NODE),), SECOND)])
    assert {link[2] for link in links(woven.weave([pod_at("11:00:01", 4)])) if link[0] == "web-1-a"} == {"n2"}
    woven.weave([Related(POD, (), THIRD)])
    assert links(woven.weave([pod_at("11:30:01", 5)])) == set()


def test_a_rule_that_comes_later_links_from_its_time_on() -> None:
    woven = weaver()
    woven.weave([pod_at("10:00:01", 2), pod_at("10:30:01", 3), pod_at("11:00:01", 4)])
    spans = woven.weave([Related(POD, (RUNS_ON,), SECOND + 5)])
    assert {link[4] for link in links(spans)} == {SECOND, THIRD}


def test_an_object_that_is_not_selected_begins_nothing() -> None:
    woven = weaver()
    assert woven.weave([Related(POD, (RUNS_ON,), FIRST, selected=False)]) == []
    assert links(woven.weave([pod_at("10:00:01", 2)])) != set()  # since then it is


def test_the_same_relation_by_two_rules_is_two_links() -> None:
    twice = (RUNS_ON, RUNS_ON._replace(rule="mine"), RUNS_ON._replace(rule="mine", same_trace=True))
    spans = [s for s in weaver().weave([Related(POD, twice, FIRST)]) if s.source == "link"]
    assert len({(s.trace_id, s.span_id) for s in spans}) == 6
    assert sum(s.attributes.get(v.LINK_GROUPING) == "SameTrace" for s in spans) == 2


def test_a_link_to_another_cluster_names_it_at_both_ends() -> None:
    federated = Relation(MEMBER, "Child", "Propagates", "federation")
    spans = [s for s in weaver().weave([Related(DEPLOYMENT, (federated,), FIRST)]) if s.source == "link"]
    assert {(s.key.cluster, s.attributes[v.LINK_CLUSTER]) for s in spans} == {
        ("demo", "member"),
        ("member", "demo"),
    }


def test_a_restart_writes_the_same_links_again() -> None:
    story: list[Observation] = [
        pod_at("10:00:01", 2),
        Related(POD, (RUNS_ON,), FIRST),
        Related(SERVICE, (SELECTS,), FIRST),
    ]
    before = weaver()
    written = before.weave(story)
    after = weaver()
    for span in written:
        if span.source == "object":
            active = span.key == POD
            assert after.know_activity(span.key, span.start, active=active)
    again = after.weave([Related(POD, (RUNS_ON,), FIRST), Related(SERVICE, (SELECTS,), FIRST)])
    assert set(map(repr, again)) <= set(map(repr, written))
    more = [pod_at("10:30:01", 3)]
    assert set(map(repr, after.weave(more))) == set(map(repr, before.weave(more)))


TOLD: list[Observation] = [
    pod_at("10:00:01", 2),
    pod_at("10:30:05", 3),
    change(REPLICA_SET, "Modified", "10:00:02", uid=uid(3), version="7", old="6", owners=(owner(DEPLOYMENT, uid(4)),)),
    change(POD, "Modified", "10:00:03", uid=uid(1), version="9", old="8", owners=(owner(REPLICA_SET, uid(3)),)),
    Related(POD, (RUNS_ON, Relation(SERVICE, "Parent", "X", "y")), FIRST),
    Related(SERVICE, (SELECTS,), FIRST),
    Related(DEPLOYMENT, (Relation(MEMBER, "Child", "Propagates", "f"),), FIRST),
    Related(MEMBER, (Relation(DEPLOYMENT, "Parent", "Propagates", "b"),), FIRST),
]  # fmt: skip


@given(st.integers(min_value=0, max_value=2**32))
def test_the_links_do_not_depend_on_the_order_of_arrival(seed: int) -> None:
    """Rings (two clusters that name each other) end, too."""
    shuffled = TOLD.copy()
    random.Random(seed).shuffle(shuffled)
    assert set(map(repr, weaver().weave(shuffled))) == set(map(repr, weaver().weave(TOLD)))
