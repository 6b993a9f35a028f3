"""Recordings are read, and replayed as they were recorded, once for all tests of stories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kubeweft.display.tree.trees import Tree
from kubeweft.store.sqlite import SqliteStore
from recorded_stories import ALL, Question, Story, tree_of
from replay import Arrival, replay
from story_ways import Ask

Told = Callable[[Story], Awaitable[Path]]


@pytest.fixture(scope="session")
def recordings() -> dict[str, list[Arrival]]:
    """By the name of the story."""
    return {story.name: story.arrivals() for story in ALL}


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory, recordings: dict[str, list[Arrival]]) -> Told:
    """Gives the store in which a story arrived as it was recorded."""
    folder = tmp_path_factory.mktemp("stories")

    async def file_of(story: Story) -> Path:
        file = folder / f"{story.name}.db"
        if not file.exists():
            await replay(file, recordings[story.name], rules=story.rules)
        return file

    return file_of


@pytest.fixture
def ask(told: Told) -> Ask:
    """What a view answers about the object of a story."""

    async def answer(story: Story, view: str) -> Tree:
        with SqliteStore.open_reader(await told(story)) as reader:
            return tree_of(reader, Question(story.key, view))

    return answer
