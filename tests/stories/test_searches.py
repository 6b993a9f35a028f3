"""Kelemetry's two end-to-end scenarios, in a search as a trace viewer sends it; their texts are golden (test_views.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from kubeweft.display.answering.contract import DisplayedSpan, TraceQuestion
from kubeweft.display.tree.made import SHOWN_PLACED
from kubeweft.display.tree.trees import Tree
from kubeweft.model import vocabulary as v
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.sqlite_reader import SqliteReader
from recorded_stories import ALL, ROLLOUT, VIEWS, Story, golden_of, text_of
from story_answers import answers_of


@pytest.fixture
async def reader(told: Callable[[Story], Awaitable[Path]]) -> AsyncIterator[SqliteReader]:
    with SqliteStore.open_reader(await told(ROLLOUT)) as reader:
        yield reader


def search(reader: SqliteReader, service: str, **tags: str) -> tuple[Tree, list[DisplayedSpan]]:
    """The only trace that is found."""
    (trace,) = answers_of(reader).find(TraceQuestion(service=service, operation="local", tags=tags))
    return trace.tree, list(trace.spans)


def roots(spans: list[DisplayedSpan]) -> list[str]:
    known = {span.span_id for span in spans}
    return [resource_of(span) for span in spans if span.parent_span_id not in known]


def resource_of(span: DisplayedSpan) -> str:
    return str(span.attributes[v.RESOURCE])


def test_a_search_by_deployment_gives_the_rollout_with_one_root_and_two_replica_sets(
    reader: SqliteReader,
) -> None:
    tree, spans = search(reader, "tree", resource="deployments", namespace="story", name="demo")
    assert roots(spans) == ["deployments"]
    sets = {span.attributes[v.NAME] for span in spans if resource_of(span) == "replicasets"}
    assert len(sets) == 2
    assert text_of(tree) == golden_of(ROLLOUT, "tree").read_text()


def test_a_search_by_replica_set_with_ancestors_gives_the_deployment_as_root(reader: SqliteReader) -> None:
    name = ROLLOUT.questions["replica-set-ancestors"].key.name
    tree, spans = search(reader, "tree ancestors", resource="replicasets", namespace="story", name=name)
    assert roots(spans) == ["deployments"]
    sets = {span.attributes[v.NAME] for span in spans if resource_of(span) == "replicasets"}
    assert sets == {name}, "the other stands beside the way from it to its parents"
    assert text_of(tree) == golden_of(ROLLOUT, "replica-set-ancestors").read_text()


def test_a_search_by_replica_set_alone_begins_there(reader: SqliteReader) -> None:
    name = ROLLOUT.questions["replica-set-ancestors"].key.name
    _, spans = search(reader, "tree", resource="replicasets", namespace="story", name=name)
    assert roots(spans) == ["replicasets"]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("story", ALL, ids=[story.name for story in ALL])
async def test_a_viewer_gets_one_whole_trace(
    story: Story, view: str, told: Callable[[Story], Awaitable[Path]]
) -> None:
    key = story.key
    asked = TraceQuestion(
        service=view,
        operation=key.cluster,
        tags={"resource": key.resource, "namespace": key.namespace, "name": key.name},
    )
    with SqliteStore.open_reader(await told(story)) as reader:
        (trace,) = answers_of(reader).find(asked)
        spans = list(trace.spans)
    ids = [span.span_id for span in spans]
    assert len(set(ids)) == len(ids)
    assert roots(spans) == [key.resource]
    assert [span.operation for span in spans if span.end < span.start] == []


@pytest.mark.parametrize("view", ["tree", "timeline", "tracing", "grouping", "actors"])
def test_no_event_is_drawn_before_the_creation_of_its_object(reader: SqliteReader, view: str) -> None:
    """They tell only their second, and viewers order by time alone."""
    _, spans = search(reader, view, resource="deployments", namespace="story", name="demo")
    created = {
        whose(span): span.start
        for span in spans
        if span.attributes.get(v.VERB) == "create" and not span.attributes.get(v.SUBRESOURCE)
    }
    events = [span for span in spans if v.EVENT_REASON in span.attributes and whose(span) in created]
    assert len(created) > 5
    assert len(events) > 20
    assert [span.operation for span in events if span.start < created[whose(span)]] == []
    assert sum(SHOWN_PLACED in span.attributes for span in events) > len(events) // 2


def whose(span: DisplayedSpan) -> tuple[str, str]:
    return resource_of(span), str(span.attributes[v.NAME])
