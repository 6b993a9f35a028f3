"""Every view of every recorded story is as it was reviewed, however the story arrived.

The golden texts are reviewed like code. ``UPDATE_GOLDEN=1 pytest tests/stories/test_views.py`` writes them anew,
and fails where anything differs: read what ``git diff`` shows, and commit it if it is true.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kubeweft.store.sqlite import SqliteStore
from recorded_stories import ALL, ROLLOUT, Question, Story, golden_of, text_of, tree_of
from replay import Arrival, replay, shuffled

Told = Callable[[Story], Awaitable[Path]]
WRITES = bool(os.environ.get("UPDATE_GOLDEN"))
GOLDEN = [(story, name) for story in ALL for name in story.questions]
NEW = [story for story in ALL if story is not ROLLOUT]  # test_rollout.py does the same for the rollout


def shown(file: Path, question: Question, recorded: list[Arrival]) -> str:
    with SqliteStore.open_reader(file) as reader:
        return text_of(tree_of(reader, question, began=recorded[0].at))


@pytest.mark.parametrize(("story", "name"), GOLDEN, ids=[f"{story.name}-{name}" for story, name in GOLDEN])
async def test_the_view_reads_as_reviewed(
    story: Story, name: str, told: Told, recordings: dict[str, list[Arrival]]
) -> None:
    found = shown(await told(story), story.questions[name], recordings[story.name])
    golden = golden_of(story, name)
    expected = golden.read_text() if golden.exists() else ""
    if WRITES and found != expected:
        golden.write_text(found)
        pytest.fail(f"{golden} has been written: read it, and commit it if it is true")
    assert found == expected


@pytest.mark.parametrize("story", NEW, ids=[story.name for story in NEW])
@pytest.mark.parametrize("way", ["shuffled", "shuffled otherwise", "doubled", "cut early", "cut late"])
async def test_however_it_arrives_it_reads_the_same(
    story: Story, way: str, told: Told, recordings: dict[str, list[Arrival]], tmp_path: Path
) -> None:
    recorded = recordings[story.name]
    orders = {"shuffled": 5, "shuffled otherwise": 6}
    cuts = {"cut early": len(recorded) // 5, "cut late": len(recorded) * 2 // 3}
    parts = [shuffled(recorded, orders[way])] if way in orders else [recorded]
    if way in cuts:
        parts = [recorded[: cuts[way]], recorded[cuts[way] :]]
    other = tmp_path / "other.db"
    await replay(other, *parts, doubled=way == "doubled", rules=story.rules)
    first = await told(story)
    for name, asked in story.questions.items():
        assert shown(other, asked, recorded) == shown(first, asked, recorded), name


@pytest.mark.parametrize("story", ALL, ids=[story.name for story in ALL])
def test_no_golden_text_is_left_over(story: Story) -> None:
    expected = {golden_of(story, name).name for name in story.questions}
    assert {file.name for file in story.folder.glob("*.txt")} == expected
