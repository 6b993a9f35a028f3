"""Recordings are read, and replayed as they were recorded, once for all tests of stories."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from recorded_stories import ALL, Story
from replay import Arrival, read_story, replay

Told = Callable[[Story], Awaitable[Path]]


@pytest.fixture(scope="session")
def recordings() -> dict[str, list[Arrival]]:
    """By the name of the story."""
    return {story.name: read_story(story.folder) for story in ALL}


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
