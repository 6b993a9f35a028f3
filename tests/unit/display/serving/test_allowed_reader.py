"""A store as one person may see it: nothing of what is forbidden comes out, anywhere."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fake_viewer import FakeViewer
from kubeweft.display.answering.contract import TraceQuestion
from kubeweft.display.serving.access import AllowedReader, tell_undecided
from kubeweft.display.serving.notices import NOTICE_ID
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import FOREVER, Tree
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.writing.json_shape import to_text, tree_as_json
from kubeweft.display.writing.text import write_tree
from kubeweft.model import identity
from kubeweft.model.errors import UserError
from kubeweft.model.observations import Observation
from kubeweft.model.references import ObjectKey
from kubeweft.model.relations import Role
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW, window_start
from kubeweft.store.interfaces import ObjectQuery, SpanReader, WindowQuestion
from memory_reader import MemoryReader
from span_builders import at, change, event, gap, key, owner, related, request, to, uid, weave
from story_answers import answers_of

DEPLOYMENT, POD, NODE = key("deployments", "web"), key("pods", "web-1"), key("nodes", "secretive")
HIDDEN = key("pods", "hidden", namespace="vault")
QUESTION = TraceQuestion(limit=20)
EVERYWHERE: dict[str, Any] = {"since": 0, "until": FOREVER}


def story() -> list[Span]:
    return weave(
        change(DEPLOYMENT, "Added", "10:00:00", uid=uid(1), version="1"),
        change(POD, "Added", "10:00:01", uid=uid(2), version="2", owners=(owner(DEPLOYMENT, uid(1)),)),
        related(POD, to(NODE, "Peer", "RunsOn"), to(HIDDEN, "Child", "Keeps"), clock="10:00:01"),
        change(
            NODE, "Modified", "10:00:02", uid=uid(3), old="1", version="3", words=("spec.unschedulable true",)
        ),
        event(HIDDEN, "Started", "10:00:03", uid=uid(4)),
    )


def seen(may: Callable[[ObjectKey], bool], spans: list[Span] | None = None, **more: Any) -> AllowedReader:
    viewer = FakeViewer(may, most=more.pop("most", 10**9))
    return AllowedReader(MemoryReader(story() if spans is None else spans), viewer, **more)


def in_default(one: ObjectKey) -> bool:
    return one.namespace == "default"


def trace_of(one: ObjectKey, clock: str = "10:00:00") -> bytes:
    return identity.trace_id(one, window_start(at(clock), DEFAULT_WINDOW), DEFAULT_WINDOW)


def test_whoever_may_see_everything_sees_what_is_stored() -> None:
    whole, open_ = MemoryReader(story()), seen(lambda _: True)
    keys = [DEPLOYMENT, POD, NODE, HIDDEN]
    traces = [trace_of(one) for one in keys]
    assert open_.spans_of(traces) == whole.spans_of(traces)
    assert [open_.window_of(trace) for trace in traces] == [whole.window_of(trace) for trace in traces]
    questions = [WindowQuestion(one, 0, FOREVER) for one in keys]
    assert open_.windows_of_many(questions) == whole.windows_of_many(questions)
    assert [open_.windows_of(one, **EVERYWHERE) for one in keys] == whole.windows_of_many(questions)
    assert open_.nearest_window(POD, before=FOREVER) == whole.nearest_window(POD, before=FOREVER)
    assert open_.find_objects(ObjectQuery()) == whole.find_objects(ObjectQuery())
    assert open_.clusters() == whole.clusters()


def test_whoever_may_see_nothing_sees_nothing() -> None:
    closed = seen(lambda _: False)
    traces = [trace_of(one) for one in (DEPLOYMENT, POD, NODE, HIDDEN)]
    assert closed.spans_of(traces) == []
    assert closed.find_objects(ObjectQuery()) == []
    assert closed.clusters() == []
    assert [closed.window_of(trace) for trace in traces] == [None] * 4
    assert closed.windows_of(POD, **EVERYWHERE) == []
    assert closed.nearest_window(POD, before=FOREVER) is None


def test_a_link_is_there_only_if_both_ends_may_be_seen() -> None:
    def named(reader: SpanReader) -> list[str]:
        return sorted(s.name for s in reader.spans_of([trace_of(POD)]) if s.source == "link")

    assert len(named(seen(lambda _: True))) == 3
    assert named(seen(in_default)) == [f"parent {DEPLOYMENT}"]
    assert named(seen(lambda one: one != POD)) == []


def test_a_trace_id_that_somebody_guessed_opens_nothing() -> None:
    assert seen(in_default).window_of(trace_of(HIDDEN)) is None
    assert seen(in_default).spans_of([trace_of(HIDDEN)]) == []
    answers = answers_of(seen(in_default))
    assert answers.open(trace_of(HIDDEN)) is None


def test_resolving_suggests_nothing_that_may_not_be_seen() -> None:
    answers = answers_of(seen(in_default))
    with pytest.raises(UserError) as told:
        answers.locate(resource="pods", name="hiden")
    assert "hidden" not in str(told.value)
    with pytest.raises(UserError) as told:
        answers.locate(resource="pods", name="hidden", namespace="default")
    assert "vault" not in str(told.value)


def busy(count: int) -> list[Span]:
    """As many Pods as asked for, the newest ones in another namespace."""
    own = [event(key("pods", f"own-{n}"), "Started", f"10:00:{n:02d}") for n in range(5)]
    others = [
        event(key("pods", f"other-{n}", namespace="vault"), "Started", f"10:{1 + n // 60:02d}:{n % 60:02d}")
        for n in range(count)
    ]
    return weave(*own, *others)


def test_a_search_goes_on_until_there_is_enough_to_see() -> None:
    found = seen(in_default, busy(100)).find_objects(ObjectQuery(limit=3))
    assert [one.key.name for one in found] == ["own-4", "own-3", "own-2", "own-1"]
    assert len(seen(in_default, busy(100)).find_objects(ObjectQuery(limit=50))) == 5


def test_a_search_that_meets_too_much_says_so() -> None:
    with pytest.raises(UserError, match="narrow it by namespace"):
        seen(in_default, busy(100), most_examined=50).find_objects(ObjectQuery(limit=3))
    with pytest.raises(UserError, match="narrow it by namespace"):
        seen(in_default, busy(100), most=4).find_objects(ObjectQuery(limit=3))


def test_rights_to_a_namespace_are_asked_instead_of_looking_at_everything_in_others() -> None:
    reader = seen(in_default, busy(100), most_examined=200)
    assert len(reader.find_objects(ObjectQuery(limit=3))) == 4
    asked = reader._viewer.asked  # type: ignore[attr-defined]
    assert len([one for one in asked if one.name]) == 4
    places = [key("pods", ""), key("pods", "", namespace="vault")]
    assert [one for one in asked if not one.name] == [key("pods", "", namespace=""), places[1], places[0]]
    assert len(reader.find_objects(ObjectQuery(limit=50))) == 5
    assert not reader.searches_cut
    assert len([one for one in asked if not one.name]) == 3, "rights to places are asked once in an answer"


def test_what_may_be_seen_comes_out_of_a_search_that_meets_too_much_with_a_word_that_it_is_not_all() -> None:
    own = event(key("pods", "newest"), "Started", "10:50:00")
    reader = seen(in_default, [*busy(100), *weave(own)], most_examined=50)
    assert [one.key.name for one in reader.find_objects(ObjectQuery(limit=3))] == ["newest"]
    assert reader.searches_cut
    traces = list(answers_of(reader).find(QUESTION))
    assert len(traces) == 2
    assert traces[-1].trace_id == NOTICE_ID


def test_what_may_be_seen_by_name_only_is_found_by_its_name() -> None:
    reader = seen(lambda one: one == POD)
    assert reader.find_objects(ObjectQuery()) == reader.find_objects(ObjectQuery(name="web-*")) == []
    assert [found.key for found in reader.find_objects(ObjectQuery(name="web-1"))] == [POD]
    assert reader.windows_of(POD, **EVERYWHERE) != []


def test_what_is_undecided_is_not_shown_and_told() -> None:
    reader = seen(lambda _: True, most=4)
    tree = tell_undecided(read_story(reader, DEPLOYMENT), reader)
    (told,) = [cut for cut in tree.truncated if cut.what == "permission"]
    assert told.more == reader.undecided > 0
    assert tell_undecided(tree, MemoryReader([])) is tree


GAPS: list[Observation] = [
    change(POD, "Added", "10:00:01", uid=uid(2), version="2"),
    gap(
        ObjectKey("demo", "", "pods", "", ""),
        "Relist",
        "10:00:05",
        "10:00:09",
        message="missed hidden",
        count=7,
    ),
    gap(
        ObjectKey("demo", "", "secrets", "", ""), "Forbidden", "10:00:05", "10:00:09", message="missed hidden"
    ),
    request(ObjectKey("demo", "", "pods", "vault", ""), "deletecollection", "10:00:06", user="villain"),
]


def test_a_gap_in_the_watch_of_a_type_is_told_to_whoever_sees_an_object_of_it() -> None:
    reader = seen(in_default, weave(*GAPS))
    tree = read_story(reader, POD)
    (fact,) = [fact for fact in tree.root.facts if fact.span.source == "gap"]
    assert (fact.span.attributes, fact.span.error) == ({"kubeweft.gap.reason": "Relist"}, "")
    assert (fact.start, fact.end) == (at("10:00:05"), at("10:00:09"))


def test_without_an_object_of_the_type_there_is_no_gap() -> None:
    reader = seen(in_default, weave(*GAPS))
    collection = ObjectKey("demo", "", "pods", "", "")
    assert reader.windows_of(collection, **EVERYWHERE) == []
    assert reader.spans_of([trace_of(collection)]) == []
    assert reader.window_of(trace_of(collection)) is None


def test_requests_on_collections_are_for_those_who_may_see_all_in_there() -> None:
    reader = seen(in_default, weave(*GAPS))
    read_story(reader, POD)
    collection = ObjectKey("demo", "", "pods", "vault", "")
    traces = [window.trace_id for window in reader.windows_of(collection, **EVERYWHERE)]
    assert reader.spans_of(traces) == []


# ------------------------------------------------------------------------------ nothing forbidden in any view

NAMES = [f"object-{letter}{letter}{letter}" for letter in "abcdefgh"]
KEYS = [
    key(("deployments", "pods", "configmaps", "nodes")[n % 4], name, namespace=("one", "two")[n % 2])
    for n, name in enumerate(NAMES)
]


ROLES: list[Role] = ["Parent", "Child", "Peer"]
number = st.integers(0, len(KEYS) - 1)
owned_by = st.dictionaries(number, number, max_size=6)  # owned: owner, where the owner is the earlier one
linked_to = st.lists(st.tuples(number, number, st.sampled_from(ROLES)), max_size=10, unique=True)


def world(owners: dict[int, int], links: list[tuple[int, int, Role]]) -> list[Span]:
    """Objects, what happens to them, and links of every kind between them."""
    observations: list[Observation] = []
    for n, one in enumerate(KEYS):
        above = owners.get(n, n)
        near = KEYS[above].namespace in (
            "",
            one.namespace,
        )  # an owner lives in the namespace of the owned, or in none
        references = (owner(KEYS[above], uid(above)),) if above < n and near else ()
        clock = f"10:00:{n:02d}"
        observations.append(change(one, "Added", clock, uid=uid(n), version=str(n), owners=references))
        observations.append(request(one, "update", f"10:01:{n:02d}.5", code=409, reason="Conflict"))
        relations = [
            to(KEYS[target], role, "Uses", f"rule-{target}-{role.lower()}")
            for source, target, role in links
            if source == n and target != n
        ]
        observations.append(related(one, *relations, clock=clock))
    return weave(*observations)


def outputs(tree: Tree) -> str:
    text = io.StringIO()
    write_tree(tree, Console(file=text, width=200))
    return text.getvalue() + to_text(tree_as_json(tree))


@settings(max_examples=25)
@given(owned_by, linked_to, st.sets(number, max_size=5))
def test_no_view_and_no_selection_names_what_is_forbidden(
    owners: dict[int, int], links: list[tuple[int, int, Role]], hidden: set[int]
) -> None:
    views, spans = builtin_views(), world(owners, links)
    forbidden = {KEYS[n] for n in hidden}
    root = next(one for one in KEYS if one not in forbidden)
    for view in views.views.values():
        for selection in views.selections.values():
            reader = seen(lambda one: one not in forbidden, spans)
            wide = dataclasses.replace(selection, linked="full")
            told = outputs(read_story(reader, root, view=view, selection=wide))
            assert root.name in told
            assert not names_any(told, forbidden)


@settings(max_examples=25)
@given(owned_by, linked_to, st.sets(number, max_size=5))
def test_no_answer_to_a_viewer_names_what_is_forbidden(
    owners: dict[int, int], links: list[tuple[int, int, Role]], hidden: set[int]
) -> None:
    forbidden = {KEYS[n] for n in hidden}
    answers = answers_of(seen(lambda one: one not in forbidden, world(owners, links)))
    for service in answers.services():
        for trace in answers.find(dataclasses.replace(QUESTION, service=service, limit=3)):
            assert not names_any(json.dumps(list(trace.spans), default=_plain), forbidden)
    told = json.dumps(answers.dependencies(since=0, until=FOREVER))
    assert not names_any(told, forbidden)


def names_any(told: str, forbidden: set[ObjectKey]) -> list[ObjectKey]:
    """Those that are named, or whose trace is: all but the first three bytes of its ID, which tell the view."""
    return [one for one in forbidden if one.name in told or trace_of(one).hex()[6:] in told]


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else str(value)
