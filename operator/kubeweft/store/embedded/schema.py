"""The store's file: how it is opened, and how it is told from other files. Its tables are in ``tables``."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from kubeweft.model.errors import UserError
from kubeweft.store.embedded.failures import told_clearly
from kubeweft.store.embedded.tables import SCHEMA_VERSION, bring_up_to_date

APPLICATION_ID = 0x4B776674  # "Kwft"
SMALLEST_FILE = 512  # SQLite's smallest page
OLDEST_SQLITE = (3, 35, 0)  # UPDATE … FROM, RETURNING, and 32766 values per statement
PAGE_SIZE = (
    8192  # measured: less CPU per span than 4096; larger pages only cost the random updates of ``versions``
)
MOST_PAGES = 2**30  # 8 TiB
BUSY_SECONDS = 5.0
CHECKPOINT_PAGES = 2000  # 16 MiB of log
NO_FIRST = 2**63 - 1  # ``windows.first`` and ``.last`` while a window holds nothing with a time of its own
NO_LAST = -(2**63)


def connect_writer(path: str, *, max_bytes: int, busy_seconds: float) -> sqlite3.Connection:
    """Open the store for writing and create it if there is none. ``max_bytes`` 0 is no limit.

    ``busy_seconds`` is how long to wait for another process that writes.
    """
    _check_library()
    _create_file(path)
    with told_clearly(path):
        connection = _connect(path, mode="rw", busy_seconds=busy_seconds)
        try:
            _check_identity(connection, path, may_be_empty=True)
            _prepare(connection, path)
            limit_pages(connection, max_bytes)
        except BaseException:
            connection.close()
            raise
    return connection


def limit_pages(connection: sqlite3.Connection, max_bytes: int) -> None:
    """From now on, this connection does not let the file grow beyond ``max_bytes``; 0 is no limit."""
    connection.execute(
        f"PRAGMA max_page_count = {max(1, max_bytes // PAGE_SIZE) if max_bytes else MOST_PAGES}"
    )


def connect_reader(path: str) -> sqlite3.Connection:
    """Open an existing store for reading only; others may write to it meanwhile."""
    _check_library()
    if not Path(path).is_file():
        raise UserError(f"there is no store {path}: name the file that `kubeweft run` or `import` writes")
    with told_clearly(path):
        connection = _connect(path, mode="ro", busy_seconds=BUSY_SECONDS)
        try:
            _check_identity(connection, path, may_be_empty=False)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
    return connection


def meta(connection: sqlite3.Connection, name: str) -> bytes | str | int:
    """One value of the store about itself; 0 where the file is of a version that did not know it."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    value: bytes | str | int = 0 if row is None else row[0]
    return value


class Pages(NamedTuple):
    """The pages of the file, and how many of them hold something."""

    all: int
    used: int


def pages(connection: sqlite3.Connection) -> Pages:
    """How many pages there are now."""
    count = connection.execute("PRAGMA page_count").fetchone()[0]
    return Pages(count, count - connection.execute("PRAGMA freelist_count").fetchone()[0])


def connect_beside(path: str) -> sqlite3.Connection:
    """A connection that moves the log into the file, beside the one that writes."""
    with told_clearly(path):
        connection = _connect(path, mode="rw", busy_seconds=0)
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _check_library() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise UserError(
            f"Python uses SQLite {sqlite3.sqlite_version}, {wanted} is needed: use a newer Python or system library"
        )


def _create_file(path: str) -> None:
    """Make the file ourselves, because only its owner may read it (mode 0600), and its name has to be durable too."""
    if "://" in path:  # not quoted: it may hold a password
        raise UserError(
            "the store is an address, which can only be read (show, search, serve …): name a file to write to"
        )
    folder = Path(path).absolute().parent
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        descriptor = os.open(folder, os.O_RDONLY)
    except FileExistsError:
        return
    except OSError as error:
        raise UserError(f"the store {path} cannot be created: {error.strerror}") from error
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(path: str, *, mode: str, busy_seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(Path(path).absolute()))}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,  # we begin and commit ourselves
        check_same_thread=False,  # each connection is used by one thread at a time, which its owner sees to
        cached_statements=256,
    )


def _check_identity(connection: sqlite3.Connection, path: str, *, may_be_empty: bool) -> None:
    """Refuse any file that is not ours, before anything is changed in it."""
    # SQLite takes a very short file for an empty one. Only look at its size: to open and close the file ourselves
    # would drop the locks of every other connection of this process (that is how POSIX locks are).
    if 0 < Path(path).stat().st_size < SMALLEST_FILE:
        raise UserError(f"{path} is too short for a store, and not empty: name another file")
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0 and application == 0:
        if may_be_empty:
            return
        raise UserError(f"{path} is empty: it is no store yet")
    if application != APPLICATION_ID:
        raise UserError(f"{path} is a SQLite file of another program: name another file as the store")
    if version > SCHEMA_VERSION:
        raise UserError(
            f"the store {path} was written by a newer Kubeweft (schema {version}, this one knows {SCHEMA_VERSION}): "
            "upgrade Kubeweft, or name another file"
        )


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    connection.execute(
        f"PRAGMA page_size = {PAGE_SIZE}"
    )  # heeded only while the file is empty, as is the next
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # older files are not: they use free pages again
    journal = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if journal != "wal":
        raise UserError(
            f"the store {path} needs a local disk: its file system cannot share memory between processes"
        )
    connection.execute("PRAGMA synchronous = FULL")  # WAL and FULL: what is committed survives a power loss
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA temp_store = MEMORY")
    bring_up_to_date(connection, application=APPLICATION_ID)
