"""What was said of late: for how long it is believed, and how much of it there is at most."""

from __future__ import annotations

from kubeweft.app.access_memory import Memory, TokenNames


def test_each_answer_has_its_time() -> None:
    now = [0.0]
    memory = Memory[bool | None](most=10, clock=lambda: now[0])
    memory.keep("short", False, seconds=1)
    memory.keep("long", None, seconds=10)
    assert (memory.recall("short"), memory.recall("long"), memory.recall("never")) == (
        (False,),
        (None,),
        None,
    )
    now[0] = 1.0
    assert (memory.recall("short"), memory.recall("long")) == (None, (None,))
    now[0] = 10.0
    assert memory.recall("long") is None
    assert len(memory) == 0


def test_the_oldest_go_first() -> None:
    memory = Memory[int](most=3, clock=lambda: 0.0)
    for number in (1, 2, 3):
        memory.keep(number, number, seconds=1)
    memory.keep(1, 10, seconds=1)  # said again: now the newest
    memory.keep(4, 4, seconds=1)
    assert [memory.recall(number) for number in (1, 2, 3, 4)] == [(10,), None, (3,), (4,)]
    assert len(memory) == 3


def test_names_of_tokens_say_nothing_and_differ_between_processes() -> None:
    names, others = TokenNames(), TokenNames()
    assert names.of("token") == names.of("token") != names.of("token2")
    assert names.of("token") != others.of("token")
    assert b"token" not in names.of("token")
