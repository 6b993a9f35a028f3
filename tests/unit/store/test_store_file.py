"""The store's file: who may read it, what it survives, and which files are refused with which words."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from kubeweft.model.errors import NotNow, UserError
from kubeweft.store.embedded import failures, schema, tables
from kubeweft.store.interfaces import Batch, ObjectQuery
from kubeweft.store.sqlite import SqliteStore
from store_samples import fact, key_of, object_span


def write_some(path: Path, count: int = 500) -> None:
    with SqliteStore(path) as store:
        spans = [fact(key_of(f"o{n % 9}"), n, name=f"name {n}", body=b'{"n":%d}' % n) for n in range(count)]
        store.write(Batch(spans=[*(object_span(key_of(f"o{n}")) for n in range(9)), *spans]))


def change_file(path: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()


def test_only_the_owner_may_read_it_or_its_log(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        store.write(Batch(spans=[fact(key_of(), 1)]))
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    assert [file.name for file in tmp_path.iterdir()] == ["store.db"]  # closing leaves one file


def test_what_is_committed_is_synchronised_with_the_disk(tmp_path: Path) -> None:
    connection = schema.connect_writer(str(tmp_path / "store.db"), max_bytes=0, busy_seconds=1)
    with contextlib.closing(connection):
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA page_size").fetchone() == (schema.PAGE_SIZE,)


def test_the_install_key_and_the_uid_are_made_once(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "a.db") as store:
        key, uid = store.install_key, store.uid
        assert len(key) == 32
    with SqliteStore(tmp_path / "a.db") as again, SqliteStore(tmp_path / "b.db") as other:
        assert (again.install_key, again.uid) == (key, uid)
        assert other.install_key != key
        assert other.uid != uid


def test_an_odd_file_name_is_just_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a store?mode=memory&x=%20#ü.db"
    write_some(path)
    assert path.stat().st_size > 10_000
    with SqliteStore.open_reader(path) as reader:
        assert reader.clusters() == ["prod"]


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at " * 20, b"x", b"short " * 80]
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    for use in (SqliteStore, SqliteStore.open_reader):
        with pytest.raises(UserError, match=r"no store|too short for a store"):
            use(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "places.db"
    change_file(path, "CREATE TABLE bookmarks(url)")
    before = path.read_bytes()
    for use in (SqliteStore, SqliteStore.open_reader):
        with pytest.raises(UserError, match="another program"):
            use(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["places.db"]


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    write_some(path)
    change_file(path, f"PRAGMA user_version = {tables.SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    for use in (SqliteStore, SqliteStore.open_reader):
        with pytest.raises(UserError, match=r"newer Kubeweft.*upgrade"):
            use(path)
    assert path.read_bytes() == before


def test_reading_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no store"):
        SqliteStore.open_reader(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty.db").touch()
    with pytest.raises(UserError, match="no store yet"):
        SqliteStore.open_reader(tmp_path / "empty.db")
    with SqliteStore(tmp_path / "empty.db") as store:  # an empty file becomes one
        assert store.newest_position() == 0


def test_a_store_needs_a_folder_and_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be created: No such file or directory"):
        SqliteStore(tmp_path / "no" / "store.db")
    with pytest.raises(UserError, match="check the rights"):
        SqliteStore(tmp_path)


def test_an_old_sqlite_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(UserError, match=r"3\.35\.0 is needed"):
        SqliteStore(tmp_path / "store.db")


def test_a_damaged_store_says_so_wherever_the_damage_is_met(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    write_some(path, 3000)
    content = bytearray(path.read_bytes())
    middle = range(4 * schema.PAGE_SIZE, len(content))
    content[middle.start :] = b"\xa5" * len(middle)
    path.write_bytes(content)
    with SqliteStore.open_reader(path) as reader, pytest.raises(UserError, match="is damaged"):
        reader.spans_after(0, limit=10**6)
    with SqliteStore.open_reader(path) as reader, pytest.raises(UserError, match="is damaged"):
        reader.find_objects(ObjectQuery())
    with SqliteStore(path) as store, pytest.raises(UserError, match="is damaged"):
        store.write(Batch(spans=[fact(key_of(f"n{n}"), n) for n in range(5000)]))


def test_errors_that_are_nobody_elses_fault_stay_as_they_are() -> None:
    with pytest.raises(sqlite3.ProgrammingError), failures.told_clearly("s.db"):
        raise sqlite3.ProgrammingError("closed")
    error = sqlite3.IntegrityError("not unique")
    error.sqlite_errorcode = sqlite3.SQLITE_CONSTRAINT_UNIQUE
    with pytest.raises(sqlite3.IntegrityError), failures.told_clearly("s.db"):
        raise error


@pytest.mark.parametrize(
    ("code", "delay"),
    [
        (sqlite3.SQLITE_FULL, 5),
        (sqlite3.SQLITE_IOERR_WRITE, 5),
        (sqlite3.SQLITE_IOERR_FSYNC, 5),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, 1),
        (sqlite3.SQLITE_BUSY, 1),
    ],
)
def test_what_may_pass_is_to_be_tried_again(code: int, delay: float) -> None:
    error = sqlite3.OperationalError("told by the system")
    error.sqlite_errorcode = code
    meaning = failures.meaning_of(error, "s.db")
    assert isinstance(meaning, NotNow)
    assert meaning.delay == delay
    assert "s.db" in str(meaning)
