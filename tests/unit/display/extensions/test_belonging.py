"""Which spans of foreign traces belong to what is shown."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.display.extensions.belonging import belonging
from kubeweft.display.extensions.wanting import BUILTIN_RULES, JOIN_MARK, JoinRule
from kubeweft.model.foreign import ForeignSpan

TRACE = bytes(15) + b"\1"
ONE, TWO = ("audit-id", "one"), ("audit-id", "two")


def span(
    number: int, parent: int = 0, *, service: str = "apiserver", kind: int = 1, **told: str
) -> ForeignSpan:
    attributes = {
        {"audit": "audit-id", "pod": "k8s.pod.uid"}.get(name, name): value for name, value in told.items()
    }
    above = parent.to_bytes(8, "big") if parent else b""
    return ForeignSpan(
        TRACE,
        number.to_bytes(8, "big"),
        above,
        service,
        str(number),
        number,
        number + 1,
        kind,
        dict(attributes),
    )


def names(
    *spans: ForeignSpan,
    wanted: tuple[tuple[str, str], ...] = (ONE,),
    strict: bool = False,
    most_each: int = 100,
    most: int = 100,
    rules: tuple[JoinRule, ...] = BUILTIN_RULES,
) -> tuple[list[str], int]:
    found = belonging(
        spans,
        wanted,  # type: ignore[arg-type]
        rules=rules,
        most_each=most_each,
        most=most,
        strict=strict,
    )
    return sorted([s.name for s in found.spans], key=int), found.more


def test_what_carries_the_value_and_all_below_it() -> None:
    spans = (span(1, audit="one"), span(2, 1), span(3, 2, service="etcd"), span(4), span(5, 4))
    assert names(*spans) == (["1", "2", "3"], 0)


def test_what_a_pod_tells_all_day_leaves_requests_their_room() -> None:
    pod = ("uid", "p")
    spans = (*[span(n, pod="p") for n in range(1, 9)], span(20, audit="one"), span(21, 20))
    assert names(*spans, wanted=(pod, ONE), most=4) == (["1", "2", "20", "21"], 6)


def test_up_to_the_entry_into_the_same_service() -> None:
    spans = (
        span(1, service="client", kind=3),
        span(2, 1, kind=2),
        span(3, 2),
        span(4, 3, audit="one"),
        span(5, 2),
        span(6, 1, service="client"),
    )
    assert names(*spans) == (["2", "3", "4", "5"], 0)


def test_not_up_into_another_request_of_the_same_service() -> None:
    assert names(span(1, audit="two"), span(2, 1, audit="one"), span(3, 2)) == (["2", "3"], 0)


def test_what_others_asked_for_below_is_shown_to_who_may_see_all_only() -> None:
    spans = (
        span(1, audit="one"),
        span(2, 1, service="hook", pod="p"),
        span(3, 2, audit="two"),
        span(4, 3),
        span(5, 1),
    )
    assert names(*spans) == (["1", "2", "3", "4", "5"], 0)
    assert names(*spans, strict=True) == (["1", "5"], 0)
    assert names(*spans, wanted=(ONE, TWO), strict=True) == (["1", "3", "4", "5"], 0)


def test_limits_count_what_they_leave_out_and_keep_what_is_near() -> None:
    spans = (span(1, audit="one"), span(2, 1), span(3, 2), span(4, 1))
    assert names(*spans, most_each=3) == (["1", "2", "4"], 1)
    both = (*spans, span(7, audit="two"))
    assert names(*both, wanted=(ONE, TWO), most_each=3) == (["1", "2", "4", "7"], 1)
    assert names(*both, wanted=(ONE, TWO), most=2) == (["1", "2"], 3)


def test_attributes_of_the_installation_leave_a_mark() -> None:
    rules = (*BUILTIN_RULES, JoinRule("request", "audit-id"))
    found = belonging([span(1, request="one")], {ONE}, rules=rules, most_each=9, most=9)  # type: ignore[arg-type]
    assert found.spans[0].attributes[JOIN_MARK] == "audit-id=one"
    assert names(span(1, request="one")) == ([], 0)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_comes_in_whatever_order(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    told = st.dictionaries(
        st.sampled_from(["audit", "pod"]), st.sampled_from(["one", "two", "x"]), max_size=2
    )
    parents = st.integers(0, count)  # in circles too
    spans = [
        span(n, data.draw(parents), kind=data.draw(st.sampled_from([1, 2])), **data.draw(told))
        for n in range(1, count + 1)
    ]
    strict, limit = data.draw(st.booleans()), data.draw(st.integers(0, 12))

    def found(some: list[ForeignSpan]) -> object:
        return belonging(some, {ONE, TWO}, rules=BUILTIN_RULES, most_each=limit, most=12, strict=strict)  # type: ignore[arg-type]

    first = belonging(spans, {ONE, TWO}, rules=BUILTIN_RULES, most_each=limit, most=12, strict=strict)  # type: ignore[arg-type]
    assert found(data.draw(st.permutations(spans))) == first
    ids = [one.span_id for one in first.spans]
    assert len(set(ids)) == len(ids) <= len(spans)
    if strict:
        assert all(one.attributes.get("audit-id") in ("one", "two", None) for one in first.spans)
        assert all("k8s.pod.uid" not in one.attributes for one in first.spans)
