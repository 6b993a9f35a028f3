"""What trace viewers are answered: services, searches, traces by ID, and where an object is to be found."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from kubeweft.display.answering.contract import TraceQuestion
from kubeweft.display.answering.displayed_ids import MOST_LATER, MOST_WINDOWS, read_displayed_id
from kubeweft.display.serving.answers import StoryAnswers, summary_of
from kubeweft.display.serving.notices import AGAIN, NOTICE_ID
from kubeweft.display.serving.searches import MOST_TRACES
from kubeweft.display.serving.trees import Bounds
from kubeweft.display.tree.made import LEFT_HINT, LEFT_MORE, LEFT_SHOWN
from kubeweft.display.tree.trees import FOREVER, Tree, Truncation
from kubeweft.display.views.loading import builtin_views
from kubeweft.model import vocabulary as v
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.spans import Span
from kubeweft.model.windows import DEFAULT_WINDOW, window_start
from kubeweft.store.interfaces import FoundObject, ObjectQuery
from memory_reader import MemoryReader
from span_builders import at, change, event, key, owner, request, uid, weave
from story_answers import DEPLOYMENT, NODE, POD, REPLICA_SET, answers_of, small, story

TEN = at("10:00:00")
ELEVEN = at("11:00:00")


def found(answers_over: list[Span], **question: object) -> list[str]:
    """The names of the roots that a search finds."""
    asked = TraceQuestion(**question)  # type: ignore[arg-type]
    return [trace.tree.root.key.name for trace in answers_of(answers_over).find(asked)]


class _CountingReader(MemoryReader):
    """Remembers how many objects a search was to give."""

    most = 0

    def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
        self.most = max(self.most, query.limit)
        return super().find_objects(query)


@pytest.mark.parametrize("service", ["tree", "tree full", "stored"])
def test_nobody_can_ask_for_more_than_there_is_room_for(service: str) -> None:
    reader = _CountingReader(story())
    assert len(list(answers_of(reader).find(TraceQuestion(service=service, limit=10**19)))) >= 1
    assert reader.most <= MOST_TRACES


def test_services_are_the_views_with_each_selection_and_stored() -> None:
    services = answers_of(story()).services()
    assert {"tree", "tree object", "tree ancestors", "tree full", "stored"} <= set(services)
    assert services[0] == "tree"
    assert "tree owned" not in services


def test_operations_are_clusters() -> None:
    answers = answers_of(story())
    assert answers.operations("tree") == answers.operations("stored") == ["demo"]
    assert answers.operations("nonsense") == []


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ({"kind": "deploy"}, ["demo"]),
        ({"kind": "Deployment", "name": "demo"}, ["demo"]),
        ({"resource": "deployments"}, ["demo"]),
        ({"resource": "deployments.apps"}, ["demo"]),
        ({"resource": "deployments", "group": "apps"}, ["demo"]),
        ({"resource": "deployments", "group": "batch"}, []),
        ({"resource": "pods", "group": "core"}, ["demo-1-a"]),
        ({"resource": "pods", "group": ""}, ["demo-1-a"]),
        ({"resource": "pods", "kind": "Node"}, []),
        ({"resource": "pods", "kind": "po"}, ["demo-1-a"]),
        ({"name": "demo-1"}, ["demo-1"]),
        ({"name": "demo-1*"}, ["demo-1-a", "demo-1"]),
        ({"namespace": "default", "name": "demo"}, ["demo"]),
        ({"namespace": "elsewhere", "name": "demo"}, []),
        ({"cluster": "demo", "name": "demo"}, ["demo"]),
        ({"cluster": "another", "name": "demo"}, []),
        ({v.NAME: "demo", v.RESOURCE: "deployments"}, ["demo"]),
        ({v.KIND: "ReplicaSet"}, ["demo-1"]),
        ({"k8s.deployment.name": "demo"}, ["demo"]),
        ({"k8s.node.name": "n1"}, ["n1"]),
        ({"k8s.node.name": "demo"}, []),
        ({"kind": "nothing-like-that"}, []),
        ({"user.name": "jane"}, ["demo"]),
        ({"user.name": "jane", "http.response.status_code": "409"}, ["demo"]),
        ({"user.name": "jane", "http.response.status_code": "201"}, []),  # of two spans, not of one
        ({"http.response.status_code": "201"}, ["demo"]),
        ({"error": "true"}, ["demo"]),
        ({"error": "true", "user.name": "kubernetes-admin"}, []),
        ({"error": "false", "kind": "deploy"}, []),
        ({"error": "false", "kind": "rs"}, ["demo-1"]),
        ({"kubeweft.source": "gap"}, []),
        ({"no.such.attribute": "at all"}, []),
    ],
)
def test_tags_select_objects_or_are_looked_for_in_their_trees(tags: dict[str, str], names: list[str]) -> None:
    spans = [span for span in story() if span.source != "link" or span.key != NODE]
    assert found(spans, tags=tags) == names


def test_each_attribute_that_a_span_of_the_tree_shows_can_be_searched_for() -> None:
    (trace,) = answers_of(story()).find(TraceQuestion(tags={"kind": "pod"}))
    made = {LEFT_HINT, LEFT_MORE, LEFT_SHOWN}
    told = {
        (name, str(value))
        for span in trace.spans
        if span.service in ("link", "Pod")
        for name, value in span.attributes.items()
        if name not in made and not name.startswith("k8s.") and isinstance(value, str | int)
    }
    assert {name for name, _ in told} >= {v.LINK_ROLE, v.WINDOW_SECONDS}
    for name, value in told:
        assert POD.name in found(story(), tags={name: value}), (name, value)


def test_attributes_of_what_is_below_count_too() -> None:
    assert found(story(), tags={"kind": "deploy", "k8s.event.reason": "Scheduled"}) == ["demo"]


def test_a_group_alone_and_a_wrong_truth_are_errors_that_say_so() -> None:
    with pytest.raises(UserError, match="add the resource or kind"):
        found(story(), tags={"group": "apps"})
    with pytest.raises(UserError, match="error=maybe"):
        found(story(), tags={"error": "maybe"})
    with pytest.raises(UserError, match="there is no service 'towers'"):
        found(story(), service="towers")


def test_the_operation_is_the_cluster() -> None:
    assert found(story(), operation="demo", tags={"kind": "deploy"}) == ["demo"]
    assert found(story(), operation="another") == []
    assert found(story(), operation="demo", tags={"cluster": "another"}) == []


def test_without_a_service_the_tree_is_meant() -> None:
    (trace,) = answers_of(story()).find(TraceQuestion(tags={"kind": "deploy"}))
    shown = read_displayed_id(trace.trace_id)
    assert shown is not None
    assert (shown.view, shown.selection) == (1, 0)


def test_a_limit_and_a_duration_narrow() -> None:
    assert len(found(story(), limit=2)) == 2
    assert found(story(), limit=0) == []
    everything = found(story(), tags={"name": "demo*"})
    longest = found(story(), tags={"name": "demo*"}, shortest=2402 * 10**9)
    assert longest == ["demo"]
    assert set(found(story(), tags={"name": "demo*"}, longest=2402 * 10**9 - 1)) == set(everything) - {"demo"}


def test_what_is_searched_is_what_is_opened() -> None:
    answers = answers_of(story())
    for trace in answers.find(TraceQuestion(since=TEN, until=ELEVEN)):
        opened = answers.open(trace.trace_id)
        assert opened is not None
        assert opened.trace_id == trace.trace_id
        assert opened.tree == trace.tree
        assert list(opened.spans) == list(trace.spans)


def test_an_id_holds_whole_windows_around_the_time_asked_for() -> None:
    answers = answers_of(story())
    since, until = at("10:35:00"), at("10:36:00")
    (trace,) = answers.find(TraceQuestion(tags={"kind": "pod"}, since=since, until=until))
    shown = read_displayed_id(trace.trace_id)
    assert shown is not None
    assert (shown.windows, shown.later) == (1, 0)
    words = [span.operation for span in trace.spans]
    assert any("status.phase" in word for word in words)  # 10:40:02: in the window, beside the minute
    assert not any("Scheduled" in word for word in words)  # 10:00:03: in the window before


def test_a_range_without_end_is_as_long_as_an_id_can_tell() -> None:
    answers = answers_of(story())
    trace_id = answers.locate(resource="pod", name="demo-1-a")
    shown = read_displayed_id(trace_id)
    assert shown is not None
    assert (shown.windows, shown.later) == (MOST_WINDOWS, MOST_LATER)
    opened = answers.open(trace_id)
    assert opened is not None
    assert len(opened.tree.root.windows) == 2


def test_of_a_life_longer_than_an_id_can_tell_the_end_is_shown() -> None:
    target = key("pods", "old")
    long_ago = 60 * 86_400 * 10**9
    ancient = [
        msgspec.structs.replace(
            span, trace_id=b"\x4b\0\0ancient-trace", start=span.start - long_ago, end=span.end - long_ago
        )
        for span in weave(event(target, "Ancient", "10:00:00"))
    ]
    answers = answers_of([*ancient, *weave(event(target, "Recent", "10:00:00"))])
    opened = answers.open(answers.locate(resource="pod", name="old"))
    assert opened is not None
    assert [span.operation for span in opened.spans if span.service == "event"] == ["Normal Recent (kubelet)"]


def _hourly() -> list[Span]:
    """A day of a Deployment to which something happens each hour."""
    return weave(
        *(
            change(
                DEPLOYMENT,
                "Modified" if hour else "Added",
                f"{hour:02d}:00:00",
                uid=uid(1),
                old=str(hour) if hour else "",
                version=str(hour + 1),
            )
            for hour in range(24)
        )
    )


def test_an_id_can_be_opened_as_long_as_the_last_window_that_it_shows_is_kept() -> None:
    spans = _hourly()
    before = answers_of(spans)
    question = TraceQuestion(tags={"kind": "deploy"}, until=at("23:59:00"))
    ids = [before.locate(resource="deploy", name="demo"), next(before.find(question)).trace_id]
    kept = [span for span in spans if span.start >= at("22:30:00")]
    for trace_id in ids:
        opened = answers_of(kept).open(trace_id)
        assert opened is not None
        assert len(opened.tree.root.windows) == 1


def test_what_happens_below_after_the_last_window_of_an_object_is_shown_too() -> None:
    late = weave(
        change(DEPLOYMENT, "Added", "08:00:00", uid=uid(1), version="1"),
        change(POD, "Added", "08:00:01", uid=uid(2), version="2", owners=(owner(DEPLOYMENT, uid(1)),)),
        event(POD, "BackOff", "10:35:00"),
    )
    (trace,) = answers_of(late).find(TraceQuestion(tags={"kind": "deploy"}, until=at("10:40:00")))
    opened = answers_of(late).open(trace.trace_id)
    assert opened is not None
    assert any("BackOff" in span.operation for span in opened.spans)


def test_at_a_moment_at_which_nothing_happened_the_last_before_is_shown() -> None:
    answers = answers_of(story())
    for clock in ("11:10:00", "23:00:00"):
        opened = answers.open(
            answers.locate(resource="deploy", name="demo", since=at(clock), until=at(clock))
        )
        assert opened is not None
        assert opened.tree.root.key == DEPLOYMENT
    with pytest.raises(UserError, match="move the range of time"):
        answers.locate(resource="deploy", name="demo", since=at("09:00:00"), until=at("09:00:00"))


def test_a_tree_shown_from_its_root_comes_once_however_many_of_it_are_found() -> None:
    answers = answers_of(story())
    (trace,) = answers.find(TraceQuestion(service="tree full", tags={"name": "demo*"}))
    assert trace.tree.root.key == DEPLOYMENT
    opened = answers.open(trace.trace_id)
    assert opened is not None
    assert opened.tree.root.key == DEPLOYMENT
    assert {span.service for span in opened.spans} >= {"Deployment", "ReplicaSet", "Pod"}
    assert found(story(), service="tree full", tags={"kind": "pod"}) == ["demo"]


def test_ancestors_lead_from_what_was_found_to_its_root() -> None:
    answers = answers_of(story())
    (trace,) = answers.find(TraceQuestion(service="tree ancestors", tags={"kind": "rs"}))
    spans = list(trace.spans)
    assert [span.service for span in spans if span.service in ("Deployment", "ReplicaSet", "Pod")] == [
        "Deployment",
        "ReplicaSet",
        "Pod",
    ]
    assert spans[0].parent_span_id == b""
    opened = answers.open(trace.trace_id)
    assert opened is not None
    assert list(opened.spans) == spans


def test_following_a_link_opens_the_other_tree() -> None:
    answers = answers_of(story())
    (trace,) = answers.find(TraceQuestion(tags={"kind": "pod"}, since=TEN, until=ELEVEN))
    (link,) = [span for span in trace.spans if span.service == "link" and "RunsOn" in span.operation]
    leads = link.links[0]
    opened = answers.open(leads.trace_id)
    assert opened is not None
    assert opened.tree.root.key == NODE
    assert next(opened.spans).span_id == leads.span_id


def test_stored_traces_are_given_as_they_are() -> None:
    spans = story()
    answers = answers_of(spans)
    traces = list(answers.find(TraceQuestion(service="stored", tags={"kind": "pod"})))
    first, second = (window_start(at(clock), DEFAULT_WINDOW) for clock in ("10:40:00", "10:00:00"))
    assert [trace.tree.root.windows[0].start for trace in traces] == [first, second]
    for trace in traces:
        stored = {span.span_id: span for span in spans if span.trace_id == trace.trace_id}
        shown = {span.span_id: span for span in trace.spans}
        assert shown.keys() == stored.keys()
        for span_id, span in stored.items():
            told = shown[span_id]
            assert told.parent_span_id == span.parent_span_id
            assert (told.operation, told.start, told.end) == (span.name, span.start, span.end)
            assert told.service == f"kubeweft-{span.source}"
            assert span.attributes.items() <= told.attributes.items()
        again = answers.open(trace.trace_id)
        assert again is not None
        assert {span.span_id for span in again.spans} == stored.keys()


def test_a_stored_trace_without_its_object_span_has_a_root_all_the_same() -> None:
    spans = [span for span in story() if span.source != "object"]
    answers = answers_of(spans)
    (trace, *_) = answers.find(TraceQuestion(service="stored", tags={"kind": "node"}))
    written = list(trace.spans)
    assert [span.parent_span_id == b"" for span in written].count(True) == 1
    assert {span.parent_span_id for span in written[1:]} == {written[0].span_id}


@pytest.mark.parametrize(
    "trace_id",
    [
        b"",
        b"short",
        bytes(16),
        b"\x4b" * 16,
        b"\x4b\x08\x01" + bytes(13),
        b"\x4b\xf8\x01" + bytes(13),
        b"\x4a\x08\x01" + bytes(13),
        b"\xff\xff\xff" + bytes(13),
    ],
)
def test_an_id_of_nothing_opens_nothing(trace_id: bytes) -> None:
    assert answers_of(story()).open(trace_id) is None


def test_an_id_of_a_view_that_is_gone_opens_nothing() -> None:
    answers = answers_of(story())
    trace_id = bytearray(answers.locate(resource="pod", name="demo-1-a"))
    trace_id[1] = 31 << 3
    assert answers.open(bytes(trace_id)) is None


def test_opening_part_of_a_trace_shows_that_part() -> None:
    answers = answers_of(story())
    trace_id = answers.locate(resource="pod", name="demo-1-a")
    part = answers.open(trace_id, since=at("10:30:00"), until=ELEVEN)
    assert part is not None
    assert not any("Scheduled" in span.operation for span in part.spans)
    assert answers.open(trace_id, since=at("12:00:00"), until=FOREVER) is None


def test_summaries_count_the_spans_of_the_trace() -> None:
    answers = answers_of(story())
    question = TraceQuestion(tags={"kind": "deploy"})
    (summary,), (trace,) = answers.summaries(question), answers.find(question)
    spans = list(trace.spans)
    assert summary.trace_id == trace.trace_id
    assert (summary.service, summary.operation) == (spans[0].service, spans[0].operation)
    assert summary.spans == len(spans)
    assert sum(count for count, _ in summary.services.values()) == len(spans)
    assert summary.services["request"] == (2, 1)
    assert (summary.start, summary.end) == (spans[0].start, spans[0].end)


def test_locating_says_what_is_missing() -> None:
    answers = answers_of(story())
    assert answers.open(answers.locate(resource="deploy", name="demo", view="tree", selection="ancestors"))
    with pytest.raises(UserError, match="nothing is stored about"):
        answers.locate(resource="deploy", name="nobody")
    with pytest.raises(UserError, match="move the range of time"):
        answers.locate(resource="deploy", name="demo", since=at("20:00:00"))
    with pytest.raises(UserError, match="there is no service 'forest'"):
        answers.locate(resource="deploy", name="demo", view="forest")


def _crowd(pods: int) -> list[Span]:
    """A ReplicaSet with many Pods that were active one after the other."""
    owned = (owner(REPLICA_SET, uid(2)),)
    return weave(
        change(REPLICA_SET, "Added", "10:00:00", uid=uid(2), version="1"),
        *(
            change(
                key("pods", f"p{number}"),
                "Added",
                f"10:00:{number % 60:02d}",
                uid=uid(10 + number),
                version=str(10 + number),
                owners=owned,
            )
            for number in range(pods)
        ),
    )


def test_a_search_gives_smaller_trees_than_opening_and_says_so() -> None:
    answers = answers_of(_crowd(30), bounds=small(objects=10))
    (trace,) = answers.find(TraceQuestion(tags={"kind": "rs"}))
    spans = list(trace.spans)
    assert sum(span.service == "Pod" for span in spans) == 9
    (more,) = [span for span in spans if span.service == "more"]
    assert more.operation.startswith("21 more Pods")
    assert (more.attributes[LEFT_SHOWN], more.attributes[LEFT_MORE]) == (9, 21)
    assert (
        more.attributes[LEFT_HINT]
        == "search over less time (Lookback), or open the trace of one of its objects"
    )
    opened = answers.open(trace.trace_id)
    assert opened is not None
    assert sum(span.service == "Pod" for span in opened.spans) == 30


def test_the_traces_of_a_search_share_a_number_of_spans() -> None:
    answers = answers_of(_crowd(30), bounds=small(search_spans=40, least_spans=10))
    (trace,) = answers.find(TraceQuestion(tags={"kind": "rs"}, limit=4))
    spans = list(trace.spans)
    assert len(spans) == 11
    assert spans[-1].operation.endswith("more spans: open this trace to see all of them")


def test_a_search_reads_no_more_trees_than_are_taken() -> None:
    reader = MemoryReader(_crowd(30))
    traces = answers_of(reader).find(TraceQuestion(tags={"kind": "pod"}, limit=20))
    next(traces)
    after_one = reader.calls["spans_of"]
    next(traces)
    assert reader.calls["spans_of"] - after_one <= after_one
    assert reader.calls["find_objects"] == 1


IN_NO_TIME = Bounds(looking=0.0)


def test_a_search_that_only_trees_can_answer_looks_at_them_as_long_as_there_is_time() -> None:
    reader = MemoryReader(_crowd(300))
    tags = {"no.such": "thing"}
    assert list(answers_of(reader).find(TraceQuestion(tags=tags))) == []
    (notice,) = answers_of(reader, bounds=IN_NO_TIME).find(TraceQuestion(tags=tags))
    (told,) = notice.spans
    assert told.service == "more"
    assert told.operation.startswith("only the object that was active last has been looked into")
    assert told.attributes[LEFT_SHOWN] == 1


def _notices(spans: list[Span], bounds: Bounds | None = None, **question: object) -> list[bool]:
    """Of each trace that a search gives, whether it is no trace but says that not all was looked at."""
    asked = TraceQuestion(**question)  # type: ignore[arg-type]
    return [trace.trace_id == NOTICE_ID for trace in answers_of(spans, bounds=bounds).find(asked)]


@pytest.mark.parametrize("service", ["tree", "stored", "tree full"])
def test_only_a_search_that_has_not_looked_at_everything_says_so_and_last(service: str) -> None:
    made = {"kubeweft.change.type": "Added"}
    crowd = _crowd(30)
    assert _notices(crowd, service=service, tags=made, limit=500).count(True) == 0
    assert _notices(crowd, IN_NO_TIME, service=service, tags={"no.such": "thing"}) == [True]
    assert _notices(crowd, IN_NO_TIME, service=service, tags=made) == [False, True]
    assert _notices(crowd, IN_NO_TIME, service=service, tags=made, limit=1) == [
        False
    ]  # all that was asked for


def test_a_search_that_the_query_alone_decides_has_nothing_to_say() -> None:
    assert _notices(_crowd(300), tags={"kind": "pod"}, limit=20) == [False] * 20
    assert _notices(_crowd(300), tags={"name": "no-such"}) == []


def test_what_was_not_looked_at_lies_before_the_notice_which_can_be_opened() -> None:
    answers = answers_of(_crowd(300), bounds=IN_NO_TIME)
    asked = TraceQuestion(tags={"no.such": "thing"}, since=at("10:00:10"), until=ELEVEN)
    (summary,) = answers.summaries(asked)
    assert asked.since <= summary.start == summary.end <= asked.until
    assert (summary.trace_id, summary.spans) == (NOTICE_ID, 1)
    opened = answers.open(summary.trace_id)
    assert opened is not None
    assert [span.operation for span in opened.spans] == [AGAIN]
    assert read_displayed_id(NOTICE_ID) is None


def test_what_was_removed_meanwhile_is_left_out() -> None:
    class Forgetting(MemoryReader):
        """Forgets everything once it has been searched."""

        def find_objects(self, query: ObjectQuery) -> list[FoundObject]:
            found = super().find_objects(query)
            self._traces, self._windows = {}, []
            return found

    assert list(answers_of(Forgetting(story())).find(TraceQuestion())) == []


def test_a_request_alone_is_a_story() -> None:
    target = key("widgets", "w")
    answers = answers_of(weave(request(target, "get", "10:00:00", code=404, reason="NotFound")))
    (trace,) = answers.find(TraceQuestion(tags={"resource": "widgets"}))
    assert summary_of(trace).services["request"] == (1, 1)


def test_pods_are_found_by_what_is_told_of_them() -> None:
    assert found(story(), tags={"text": POD.name}) == [POD.name]


def test_what_other_systems_tell_is_joined_to_what_is_opened_and_not_to_searches() -> None:
    asked: list[str] = []

    def join(tree: Tree) -> Tree:
        asked.append(tree.root.key.name)
        cut = Truncation(
            what="foreign", of=str(tree.root.key), shown=0, more=3, hint="the other system is down"
        )
        return dataclasses.replace(tree, truncated=(*tree.truncated, cut))

    answers = StoryAnswers(MemoryReader(story()), views=builtin_views(), kinds=Kinds(), join=join)
    (trace,) = answers.find(TraceQuestion(tags={"kind": "deploy"}))
    assert asked == []
    opened = answers.open(trace.trace_id)
    assert opened is not None
    assert asked == ["demo"]
    assert [span.attributes[LEFT_HINT] for span in opened.spans if span.service == "more"] == [
        "the other system is down"
    ]
