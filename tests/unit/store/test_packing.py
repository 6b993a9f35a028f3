"""Spans as few bytes: what repeats is written once, and nothing depends on whether it was."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
from kubeweft.store.embedded import schema
from kubeweft.store.embedded.bodies import MOST_SAMPLES, BodyPacker, BodyUnpacker
from kubeweft.store.embedded.bulk import ManyRows
from kubeweft.store.embedded.packing import LONGEST_VALUE, Packer, Place, Unpacker
from store_samples import fact, key_of

AGENT = "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/abcdef"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    one = schema.connect_writer(str(tmp_path / "store.db"), max_bytes=0, busy_seconds=1)
    with contextlib.closing(one):
        yield one


def with_agent(number: int, agent: str = AGENT) -> Span:
    attributes = {v.USER: "system:admin", v.USER_AGENT: agent, v.UID: f"uid-{number}"}
    return fact(key_of(), number, attributes=attributes)


def back(connection: sqlite3.Connection, span: Span, payload: bytes) -> Span:
    place = Place(span.trace_id, span.key, 1)
    return Unpacker(connection).unpack(place, span_id=span.span_id, payload=payload, body=span.body)


def test_what_repeats_is_written_once(connection: sqlite3.Connection) -> None:
    packer = Packer(connection)
    span = with_agent(1)
    before = packer.pack(span)
    packer.learn([span])
    payload = packer.pack(span)
    assert AGENT.encode() in before
    assert AGENT.encode() not in payload
    assert len(payload) < 70 < len(msgspec.msgpack.encode(span)) / 3
    assert back(connection, span, before) == back(connection, span, payload) == span


def test_only_a_sample_is_learned_so_that_rare_values_stay_where_they_are(
    connection: sqlite3.Connection,
) -> None:
    packer = Packer(connection)
    spans = [with_agent(number, f"agent/{number}") for number in range(64)]
    packer.learn(spans)
    texts = [text for (text,) in connection.execute("SELECT text FROM texts")]
    assert [text for text in texts if text.startswith("agent/")] == [
        "agent/0",
        "agent/16",
        "agent/32",
        "agent/48",
    ]
    assert "uid-0" not in texts
    assert [back(connection, span, packer.pack(span)) for span in spans] == spans


def test_texts_are_bounded_and_what_does_not_fit_is_written_out(connection: sqlite3.Connection) -> None:
    packer = Packer(connection, most_values=3, most_texts=4)
    spans = [fact(key_of(), n, attributes={f"name.{n}": n, v.USER: f"somebody-{n}"}) for n in range(40)]
    for span in spans:
        packer.learn([span])
        payload = packer.pack(span)
        assert back(connection, span, payload) == span
        assert list(back(connection, span, payload).attributes) == list(span.attributes)
    assert connection.execute("SELECT count(*) FROM texts").fetchone() == (4,)


def test_long_and_short_values_are_not_worth_a_text(connection: sqlite3.Connection) -> None:
    packer = Packer(connection)
    for user in ("", "ab", "x" * (LONGEST_VALUE + 1)):
        span = fact(key_of(), 1, attributes={v.USER: user})
        packer.learn([span])
        assert back(connection, span, packer.pack(span)) == span
    assert connection.execute("SELECT count(*) FROM texts").fetchone() == (1,)  # the names


def test_an_attribute_that_is_a_number_in_one_span_and_a_text_in_another(
    connection: sqlite3.Connection,
) -> None:
    packer = Packer(connection)
    for value in ("Conflict", 7, True, 1.5, "Conflict", "8"):
        span = fact(key_of(), 1, attributes={v.FAILURE_REASON: value})
        packer.learn([span])
        restored = back(connection, span, packer.pack(span))
        assert restored == span
        assert type(restored.attributes[v.FAILURE_REASON]) is type(value)


def test_two_packers_share_what_either_has_learned(connection: sqlite3.Connection) -> None:
    first, second = Packer(connection), Packer(connection)
    span = with_agent(1)
    first.learn([span])
    second.learn([span])
    assert second.pack(span) == first.pack(span)


def test_bodies_of_a_type_are_small_once_there_is_a_dictionary(connection: sqlite3.Connection) -> None:
    chance = random.Random(1)
    words = [chance.randbytes(8).hex() for _ in range(60)]

    def body(number: int) -> bytes:
        return msgspec.json.encode({"name": f"pod-{number}", "spec": words, "n": number})

    packer, unpacker = BodyPacker(connection), BodyUnpacker(connection)
    packed = [packer.pack(1, body(number)) for number in range(MOST_SAMPLES + 5)]
    assert [unpacker.unpack(1, one) for one in packed] == [body(number) for number in range(MOST_SAMPLES + 5)]
    assert len(packed[-1]) * 5 < len(packed[0])

    other = BodyPacker(connection)  # of another process, or after a rollback
    assert other.pack(1, body(99)) == packer.pack(1, body(99))
    packer.forget()
    assert packer.pack(1, body(99)) == other.pack(1, body(99))
    assert unpacker.unpack(2, packer.pack(2, body(1))) == body(1)


def test_when_two_processes_make_a_dictionary_the_first_stands(connection: sqlite3.Connection) -> None:
    one, two = BodyPacker(connection), BodyPacker(connection)
    bodies = [b'{"a":"%d"}' % number * 30 for number in range(MOST_SAMPLES)]
    packed = []
    for number, body in enumerate(bodies):
        packed += [(body, one.pack(1, body)), (bodies[-number], two.pack(1, bodies[-number]))]
    assert connection.execute("SELECT count(*) FROM body_dictionaries").fetchone() == (1,)
    unpacker = BodyUnpacker(connection)
    assert all(unpacker.unpack(1, stored) == body for body, stored in packed)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 63, 64, 255, 256, 257, 800])
def test_many_rows_are_all_rows(count: int) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t(a INTEGER UNIQUE, b TEXT)")
        rows = ManyRows("INSERT OR IGNORE INTO t VALUES {}", width=2)
        values = [value for number in range(count) for value in (number, f"row {number}")]
        assert rows.write(connection, values) == count
        assert rows.write(connection, values) == 0
        find = ManyRows("WITH w(a) AS (VALUES {}) SELECT b FROM w JOIN t ON t.a = w.a", width=1)
        assert {b for (b,) in find.read(connection, [*range(count), -1])} == {
            f"row {n}" for n in range(count)
        }
