"""Which cluster is which: one name for each, and one of each name."""

from __future__ import annotations

import pytest

from kubeweft.app.identifying import Identities
from kubeweft.model.errors import NotNow
from kubeweft.store.interfaces import Batch


class Memory:
    """A store that has spans of some clusters."""

    def __init__(self, *clusters: str) -> None:
        self.has = list(clusters)
        self.bookmarks: dict[str, bytes] = {}
        self.replaced: list[str] = []
        self.is_full = False

    def bookmark(self, name: str) -> bytes | None:
        return self.bookmarks.get(name)

    def clusters(self) -> list[str]:
        return self.has

    async def write(self, batch: Batch) -> None:
        if self.is_full:
            raise NotNow("the store is full", delay=1.0)
        self.bookmarks.update(batch.bookmarks)
        self.replaced += batch.replaced


def identities(memory: Memory) -> Identities:
    made = Identities(memory, local="home", write=memory.write)
    for name in ("home", "east", "west"):
        made.expect(name)
    return made


def test_each_cluster_has_its_name() -> None:
    found = identities(Memory())
    assert [found.claim(name, f"uid-{name}") for name in ("home", "east", "west", "east")] == [""] * 4


def test_the_second_name_of_a_cluster_is_refused_until_the_first_is_given_up() -> None:
    found = identities(Memory())
    assert found.claim("east", "u") == ""
    assert "'east'" in found.claim("west", "u")
    found.forget("east")
    assert found.claim("west", "u") == ""


def test_the_local_name_counts_for_more() -> None:
    found = identities(Memory())
    assert found.claim("east", "u") == ""
    assert found.claim("home", "u") == ""
    assert "'home'" in found.claim("east", "u")


async def test_the_name_that_has_the_traces_counts_for_more_in_the_next_run() -> None:
    memory = Memory("west")
    await identities(memory).remember("west", "u")
    found = identities(memory)
    assert "'west'" in found.claim("east", "u")
    assert found.claim("west", "u") == ""


async def test_another_cluster_under_a_known_name_is_refused_while_there_are_traces_of_the_old() -> None:
    memory = Memory("west")
    await identities(memory).remember("west", "old")
    found = identities(memory)
    assert "old" in found.claim("west", "new")
    memory.has.clear()
    assert found.claim("west", "new") == ""
    await found.remember("west", "new")
    memory.has.append("west")
    assert identities(memory).claim("west", "new") == ""
    assert "new" in identities(memory).claim("west", "old")


def test_a_name_in_use_stands_for_one_cluster_even_if_nothing_is_stored_yet() -> None:
    found = identities(Memory())
    assert found.claim("west", "old") == ""
    assert "old" in found.claim("west", "new")
    assert found.claim("west", "old") == ""
    found.forget("west")
    assert found.claim("west", "new") == ""


async def test_what_cannot_be_read_is_not_compared() -> None:
    memory = Memory("west")
    found = identities(memory)
    assert [found.claim("west", ""), found.claim("east", "")] == ["", ""]
    await found.remember("west", "")
    assert memory.bookmarks == {}


async def test_a_cluster_is_new_until_something_is_known_of_it() -> None:
    memory = Memory("east")
    found = identities(memory)
    assert [found.is_new("east"), found.is_new("west")] == [False, True]
    await found.remember("west", "u")
    assert not identities(memory).is_new("west")


async def test_another_cluster_under_a_free_name_takes_up_nothing_of_the_one_before() -> None:
    memory = Memory()
    found = identities(memory)
    for uid in ("old", "old", "", "old"):
        await found.remember("west", uid)
    assert memory.replaced == []
    await identities(memory).remember("west", "old")
    assert memory.replaced == []
    await identities(memory).remember("west", "new")
    assert memory.replaced == ["west"]


async def test_a_full_store_holds_up_only_another_cluster_under_a_known_name() -> None:
    memory = Memory()
    memory.is_full = True
    found = identities(memory)
    await found.remember("west", "old")
    assert memory.bookmarks == {}
    memory.is_full = False
    await found.remember("west", "old")
    memory.is_full = True
    await found.remember("west", "old")
    with pytest.raises(NotNow):
        await found.remember("west", "new")
    memory.is_full = False
    await found.remember("west", "new")
    assert memory.replaced == ["west"]
