"""The tables of the store's file, and how a file of an older version gets those it lacks.

Everything that repeats is a small number: a span row holds the number of its window, a window that of its object, an
object that of its resource type. New numbers are the highest so far plus one, so what is written together lies
together, and the index that keeps spans unique stays hot where 24 random bytes would not.

A file is brought up to date by the first writer that opens it, in one transaction; readers of this version read older
files as they are, and readers of older versions refuse newer files.
"""

from __future__ import annotations

import secrets
import sqlite3

SCHEMA_VERSION = 3
FIRST = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE clusters(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE types(id INTEGER PRIMARY KEY, cluster INTEGER NOT NULL, grp TEXT NOT NULL, resource TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT '', UNIQUE(cluster, grp, resource));
CREATE TABLE objects(id INTEGER PRIMARY KEY, type INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE(type, namespace, name));
CREATE TABLE windows(id INTEGER PRIMARY KEY, trace BLOB NOT NULL UNIQUE, object INTEGER NOT NULL, start INTEGER,
    length INTEGER, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE INDEX windows_of_object ON windows(object, start);
CREATE INDEX windows_by_start ON windows(start);
CREATE TABLE texts(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE spans(position INTEGER PRIMARY KEY, window INTEGER, span BLOB, payload BLOB NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX spans_of_window ON spans(window, span);
CREATE TABLE body_dictionaries(type INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE exporters(name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE progress(type INTEGER PRIMARY KEY, version TEXT NOT NULL, time INTEGER NOT NULL);
CREATE TABLE versions(type INTEGER NOT NULL, uid TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    version TEXT NOT NULL, snapshot_window INTEGER NOT NULL, dictionary INTEGER NOT NULL, body BLOB NOT NULL,
    owners BLOB NOT NULL, PRIMARY KEY(type, uid)) WITHOUT ROWID;
CREATE TABLE watch_dictionaries(type INTEGER NOT NULL, number INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY(type, number));
CREATE TABLE audit_versions(id INTEGER PRIMARY KEY, cluster INTEGER NOT NULL, uid TEXT NOT NULL,
    version TEXT NOT NULL, type INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, time INTEGER NOT NULL,
    created INTEGER NOT NULL, deleted INTEGER NOT NULL, kind TEXT NOT NULL, api_version TEXT NOT NULL, body BLOB NOT NULL,
    UNIQUE(cluster, uid, version));
"""
# ``doomed`` windows are gone but for their spans, which are removed in portions. ``bookmarks`` say how far sources have
# read that are no watches.
SECOND = """
CREATE TABLE doomed(window INTEGER PRIMARY KEY);
CREATE TABLE bookmarks(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX audit_versions_of_object ON audit_versions(type, namespace, name);
"""
# Spans of other tracing systems: what came of one trace at once is a part, ``foreign_joins`` are the values by which it
# is found. ``received`` is when the last part came: senders' clocks have no say in how long something is kept.
THIRD = """
CREATE TABLE foreign_traces(id INTEGER PRIMARY KEY, trace BLOB NOT NULL UNIQUE, received INTEGER NOT NULL,
    joined INTEGER NOT NULL DEFAULT 0);
CREATE INDEX foreign_traces_by_receipt ON foreign_traces(joined, received);
CREATE TABLE foreign_parts(id INTEGER PRIMARY KEY, trace INTEGER NOT NULL, digest BLOB NOT NULL, spans INTEGER NOT NULL,
    content BLOB NOT NULL, UNIQUE(trace, digest));
CREATE TABLE foreign_joins(name TEXT NOT NULL, value TEXT NOT NULL, start INTEGER NOT NULL, trace INTEGER NOT NULL,
    UNIQUE(name, value, start, trace));
CREATE INDEX foreign_joins_of_trace ON foreign_joins(trace);
"""
# All rows of ``meta`` are there from the beginning: to change a value is possible where there is no room for a new row.
# ``removed`` counts spans, ``windows_removed`` windows, since the file was made; ``last_window`` is the highest number a
# window has had; ``era`` counts how often numbers of types, texts or dictionaries became free to mean something else.
FIRST_META = ("reach", "removed")
SECOND_META = ("windows_removed", "last_window", "era", "oldest_kept", "texts_swept")
THIRD_META = ("foreign_bytes",)  # of all parts together


def bring_up_to_date(connection: sqlite3.Connection, *, application: int) -> None:
    """Create what is missing, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version < 1:
            _create_first(connection, application)
        if version < 2:
            _create(connection, SECOND, SECOND_META)
        if version < 3:
            _create(connection, THIRD, THIRD_META)
        if version < SCHEMA_VERSION:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create_first(connection: sqlite3.Connection, application: int) -> None:
    _create(connection, FIRST, FIRST_META)
    values = [("install_key", secrets.token_bytes(32)), ("uid", secrets.token_hex(16))]
    connection.executemany("INSERT INTO meta(name, value) VALUES(?, ?)", values)
    connection.execute(f"PRAGMA application_id = {application}")


def _create(connection: sqlite3.Connection, tables: str, meta: tuple[str, ...]) -> None:
    for statement in tables.split(";\n"):
        connection.execute(statement)
    connection.executemany("INSERT INTO meta(name, value) VALUES(?, 0)", [(name,) for name in meta])
