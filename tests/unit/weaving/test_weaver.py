"""The weaver gives the same spans however what was observed is shuffled, doubled or cut."""

import random

from hypothesis import given
from hypothesis import strategies as st

from kubeweft.model import identity
from kubeweft.model import vocabulary as v
from kubeweft.model.observations import Change, EventSeen, Gap, Observation, Request
from kubeweft.model.references import ObjectKey, OwnerReference, ResourceType
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.weaving.weaver import Weaver

DEPLOYMENT = ObjectKey("local", "apps", "deployments", "default", "demo")
REPLICA_SET = ObjectKey("local", "apps", "replicasets", "default", "demo-1")
POD = ObjectKey("local", "", "pods", "default", "demo-1-a")
NODE = ObjectKey("local", "", "nodes", "", "n1")
START = 1_000 * DEFAULT_WINDOW


class Kinds:
    """Four kinds, as a cluster would tell them."""

    def __init__(self) -> None:
        self.types = {
            ("apps", "Deployment"): ResourceType("apps", "v1", "deployments", "Deployment", True),
            ("apps", "ReplicaSet"): ResourceType("apps", "v1", "replicasets", "ReplicaSet", True),
            ("", "Pod"): ResourceType("", "v1", "pods", "Pod", True),
            ("", "Node"): ResourceType("", "v1", "nodes", "Node", False),
        }

    def resource_of(self, group: str, kind: str) -> ResourceType | None:
        return self.types.get((group, kind))


def change(
    key: ObjectKey, version: int, time: int, *owners: OwnerReference, kind: str = "Modified"
) -> Change:
    return Change(
        key=key,
        kind="X",
        api_version="v1",
        uid="uid-" + key.name,
        old_version=str(version - 1),
        version=str(version),
        type=kind,  # type: ignore[arg-type]  # a literal in every caller
        time=time,
        time_source="object",
        owners=owners,
    )


def owner(api_version: str, kind: str, name: str, *, controller: bool = True) -> OwnerReference:
    return OwnerReference(api_version, kind, name, "uid-" + name, controller)


def request(key: ObjectKey, number: int, time: int, *, code: int = 200) -> Request:
    text = str(time)
    return Request(
        key=key, audit_id=f"id-{number}", level="RequestResponse", stage="ResponseComplete", verb="patch",
        subresource="", uri_path="/x", uri_query="", uri="/x", user="me", impersonated_user="", user_agent="kubectl",
        client_address="::1", code=code, reason="" if code < 400 else "Conflict", message="", received=time,
        completed=time + 5, received_text=text, completed_text=text,
    )  # fmt: skip


def event(key: ObjectKey, count: int, time: int) -> EventSeen:
    return EventSeen(
        key=key, kind="Pod", api_version="v1", uid="u", field_path="", event_uid="e", event_name="e.1", type="Normal",
        reason="Started", action="", message="m", reporter="kubelet", count=count, series=False, first=START, last=time,
    )  # fmt: skip


STORY: list[Observation] = [
    change(DEPLOYMENT, 10, START, kind="Added"),
    change(REPLICA_SET, 11, START + 1, owner("apps/v1", "Deployment", "demo"), kind="Added"),
    change(
        POD,
        12,
        START + 2,
        owner("apps/v1", "ReplicaSet", "demo-1"),
        owner("v1", "Node", "n1", controller=False),
    ),
    request(POD, 1, START + 3),
    request(DEPLOYMENT, 2, START + DEFAULT_WINDOW - 1),
    event(POD, 1, START + DEFAULT_WINDOW),
    event(POD, 2, START + 2 * DEFAULT_WINDOW + 7),
    request(POD, 3, START + 4 * DEFAULT_WINDOW, code=409),
    Gap(key=POD, observer="o", reason="Relist", message="missed", start=START, end=START + 9),
]


def weave(*parts: list[Observation], restart: bool = False) -> dict[tuple[bytes, bytes], Span]:
    weaver = Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds())
    found: dict[tuple[bytes, bytes], Span] = {}
    for part in parts:
        for span in weaver.weave(part):
            known = found.setdefault((span.trace_id, span.span_id), span)
            assert known == span, "one ID, two contents"
        if restart:
            weaver.start_over()
    return found


@given(st.permutations(STORY))
def test_any_order_gives_the_same_spans(story: list[Observation]) -> None:
    assert weave(story) == weave(STORY)


@given(st.permutations(STORY + STORY))
def test_doubled_arrivals_add_nothing(story: list[Observation]) -> None:
    assert weave(story) == weave(STORY)


@given(st.integers(0, len(STORY)))
def test_a_failed_write_in_between_loses_nothing(cut: int) -> None:
    assert weave(STORY[:cut], STORY[:cut], STORY[cut:], restart=True) == weave(STORY)


def spans_of(key: ObjectKey, window: int) -> list[Span]:
    trace = identity.trace_id(key, window, DEFAULT_WINDOW)
    return [span for span in weave(STORY).values() if span.trace_id == trace]


def test_every_span_hangs_under_a_root_of_its_own_trace() -> None:
    found = weave(STORY)
    for span in found.values():
        if span.parent_span_id:
            assert found[span.trace_id, span.parent_span_id].source == "object"
    roots = [span for span in found.values() if not span.parent_span_id]
    assert len({span.trace_id for span in roots}) == len(roots)


def test_a_quiet_owner_is_carried_into_every_window_of_a_busy_pod() -> None:
    for windows in (0, 1, 2, 4):
        links = [
            span for span in spans_of(REPLICA_SET, START + windows * DEFAULT_WINDOW) if span.source == "link"
        ]
        assert {(s.attributes[v.LINK_ROLE], s.attributes[v.LINK_NAME]) for s in links} == {
            ("Child", POD.name),
            ("Parent", DEPLOYMENT.name),
        }


def test_cluster_scoped_owners_get_no_namespace_and_non_controllers_count() -> None:
    up = [s for s in spans_of(POD, START) if s.source == "link" and s.attributes[v.LINK_ROLE] == "Parent"]
    assert {
        (s.attributes[v.LINK_NAME], s.attributes[v.LINK_NAMESPACE], s.attributes[v.LINK_CLASS]) for s in up
    } == {
        ("demo-1", "default", "Controls"),
        ("n1", "", "Owns"),
    }


def test_a_link_points_at_the_root_of_the_other_end() -> None:
    found = weave(STORY)
    for span in found.values():
        for link in span.links:
            assert found[link.trace_id, link.span_id].source == "object"


def test_failed_requests_are_errors() -> None:
    errors = [s.error for s in weave(STORY).values() if s.source == "request" and s.error]
    assert errors == ["409 Conflict"]


def test_an_owner_of_unknown_kind_is_linked_once_the_kind_is_learned() -> None:
    kinds = Kinds()
    weaver = Weaver(window_length=DEFAULT_WINDOW, kinds=kinds)
    before = weaver.weave([change(POD, 1, START, owner("example.com/v1", "Widget", "w"))])
    assert [span.source for span in before] == ["object", "change"]
    kinds.types["example.com", "Widget"] = ResourceType("example.com", "v1", "widgets", "Widget", True)
    assert sorted(span.source for span in weaver.kinds_learned()) == ["link", "link", "object"]
    assert weaver.kinds_learned() == []


def test_owners_in_a_circle_end() -> None:
    one = change(POD, 1, START, owner("apps/v1", "ReplicaSet", "demo-1"))
    two = change(REPLICA_SET, 2, START, owner("v1", "Pod", POD.name))
    assert len(weave([one, two])) == 2 + 2 + 4


def test_memory_is_bounded_by_windows() -> None:
    weaver = Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds())
    names = random.Random(1).sample(range(10**6), 3000)
    for number, name in enumerate(names):
        key = POD._replace(name=f"p{name}")
        weaver.weave([change(key, 1, START + number * DEFAULT_WINDOW // 10, kind="Added")])
        weaver.weave([change(key, 2, START + number * DEFAULT_WINDOW // 10, kind="Deleted")])
    weaver.prune()
    assert weaver.size < 100
