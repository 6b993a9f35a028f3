"""What SQLite's errors mean to whoever wanted to write or read.

Full and busy are ``NotNow``: trying again is right, nothing has been written. A damaged or foreign file is a
``UserError``: a person has to do something. What is left is our own fault and stays as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from kubeweft.model.errors import BadInput, KubeweftError, NotNow, UserError

FULL_DELAY = 5.0
BUSY_DELAY = 1.0
PRIMARY_CODE = 0xFF  # the low byte of SQLite's extended error codes


class StoreFull(NotNow):
    """No room: the disk, the configured size, or too much that no exporter has taken yet."""

    def __init__(self, why: str) -> None:
        """``why`` follows "store full" in the message."""
        super().__init__(f"store full: {why}", delay=FULL_DELAY)


class StoreBusy(NotNow):
    """Another process held the store's lock for too long."""

    def __init__(self, path: str) -> None:
        """``path`` is the store's file."""
        super().__init__(
            f"the store {path} is being written by another process: try again when that is done",
            delay=BUSY_DELAY,
        )


@contextmanager
def told_clearly(path: str) -> Iterator[None]:
    """Turn SQLite's errors into those of :mod:`kubeweft.model.errors`."""
    try:
        yield
    except sqlite3.Error as error:
        meaning = meaning_of(error, path)
        if meaning is None:
            raise
        raise meaning from error
    except UnicodeEncodeError as error:
        raise BadInput("a text holds a lone surrogate, which is no Unicode character") from error


def meaning_of(error: sqlite3.Error, path: str) -> KubeweftError | None:
    """The error of ours that tells what to do about ``error``; None if it is our own fault."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = code & PRIMARY_CODE
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(f"no room for {path} on its disk or within its configured size")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(path)
    if primary == sqlite3.SQLITE_IOERR:
        return NotNow(f"the disk of the store {path} fails ({error})", delay=FULL_DELAY)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return UserError(
            f"the store {path} is damaged, or no store at all ({error}): restore it from a copy, or move it away "
            "to begin a new one"
        )
    if primary in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_AUTH,
    ):
        return UserError(
            f"the store {path} cannot be used ({error}): check the rights of the file and its folder"
        )
    return None
