"""Recordings are made on somebody's machine and published: they hold nothing of it, and no secrets."""

from __future__ import annotations

import re

import pytest

from recorded_stories import ALL, Story
from replay import Arrival

SECRET = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}|PRIVATE KEY|Bearer |\"token\":|/tmp/|/home/|/root/|/Users/")
ADDRESS = re.compile(rb"\b(?:\d{1,3}\.){3}\d{1,3}\b")
OWN = (b"127.", b"10.")  # loopback, Services and Pods
RECORDED = [story for story in ALL if not story.recorded_as]


@pytest.mark.parametrize("story", RECORDED, ids=[story.name for story in RECORDED])
def test_no_token_path_or_address_of_a_machine(story: Story, recordings: dict[str, list[Arrival]]) -> None:
    bodies = [arrival.body for arrival in recordings[story.name]]
    assert [found for body in bodies for found in SECRET.findall(body)] == []
    addresses = {found for body in bodies for found in ADDRESS.findall(body)}
    assert {address for address in addresses if not address.startswith(OWN)} == set()
    assert addresses, "requests come from somewhere"


@pytest.mark.parametrize("story", ALL, ids=[story.name for story in ALL])
def test_a_story_is_small(story: Story) -> None:
    files = list(story.folder.glob("recorded.jsonl*"))
    assert len(files) == (0 if story.recorded_as else 1)
    assert sum(file.stat().st_size for file in files) < 1_000_000
