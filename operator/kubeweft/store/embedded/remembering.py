"""Writing what a later run takes up: watch checkpoints, versions from audit logs, export positions, bookmarks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from kubeweft.store.embedded.bodies import BodyPacker
from kubeweft.store.embedded.bulk import ManyRows
from kubeweft.store.embedded.places import Places
from kubeweft.store.interfaces import AuditVersion, Checkpoint

_PUT_VERSIONS = ManyRows(
    "INSERT INTO versions(type, namespace, name, uid, version, snapshot_window, dictionary, body, owners) VALUES {} "
    "ON CONFLICT(type, uid) DO UPDATE SET namespace = excluded.namespace, name = excluded.name, "
    "version = excluded.version, snapshot_window = excluded.snapshot_window, dictionary = excluded.dictionary, "
    "body = excluded.body, owners = excluded.owners",
    width=9,
)
# Two answers may show one version in two API versions: that of the earlier request counts, whichever came first.
_EARLIER = "(excluded.time, excluded.api_version) < (time, api_version)"
_ADD_AUDIT_VERSIONS = ManyRows(
    "INSERT INTO audit_versions"
    "(cluster, type, namespace, name, uid, version, time, created, deleted, kind, api_version, body) VALUES {} "
    "ON CONFLICT(cluster, uid, version) DO UPDATE SET time = min(time, excluded.time), "
    "created = max(created, excluded.created), deleted = max(deleted, excluded.deleted), "
    + ", ".join(
        f"{name} = CASE WHEN {_EARLIER} THEN excluded.{name} ELSE {name} END"
        for name in ("kind", "api_version", "body")
    ),
    width=12,
)


class Rememberer:
    """Writes, inside a transaction of a writing connection."""

    def __init__(self, connection: sqlite3.Connection, *, places: Places, bodies: BodyPacker) -> None:
        """``places`` and ``bodies`` work on the same connection."""
        self._connection = connection
        self._places = places
        self._bodies = bodies

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write how far one watch has come; what it says is gone is forgotten."""
        connection = self._connection
        kind = self._places.type(checkpoint.cluster, checkpoint.group, checkpoint.resource).id
        connection.execute(
            "INSERT INTO progress(type, version, time) VALUES(?, ?, ?) "
            "ON CONFLICT(type) DO UPDATE SET version = excluded.version, time = excluded.time",
            (kind, checkpoint.version, checkpoint.time),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO watch_dictionaries(type, number, content) VALUES(?, ?, ?)",
            [(kind, number, content) for number, content in checkpoint.dictionaries],
        )
        gone = set(checkpoint.removed)
        if checkpoint.complete:
            stored = connection.execute("SELECT uid FROM versions WHERE type = ?", (kind,))
            gone |= {uid for (uid,) in stored} - {version.uid for version in checkpoint.versions}
        values = [
            value
            for version in checkpoint.versions
            for value in (kind, *version[:6], *map(bytearray, version[6:]))
        ]
        _PUT_VERSIONS.write(connection, values)
        connection.executemany(
            "DELETE FROM versions WHERE type = ? AND uid = ?", [(kind, uid) for uid in gone]
        )

    def forget_watches(self, cluster: str) -> None:
        """Forget every checkpoint under a cluster's name."""
        for table in ("progress", "versions", "watch_dictionaries"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE type IN "
                "(SELECT t.id FROM types t JOIN clusters c ON c.id = t.cluster WHERE c.name = ?)",
                (cluster,),
            )

    def add_audit_versions(self, versions: Iterable[AuditVersion]) -> None:
        """Write versions; of those that are known already, the earliest time counts."""
        values: list[object] = []
        for one in versions:
            kind = self._places.type(one.cluster, one.group, one.resource).id
            body = bytearray(self._bodies.pack(kind, one.body))
            values += (self._places.cluster(one.cluster), kind, *one[3:12], body)
        _ADD_AUDIT_VERSIONS.write(self._connection, values)

    def save_bookmark(self, name: str, value: bytes) -> None:
        """Write how far a source has read."""
        self._connection.execute(
            "INSERT INTO bookmarks(name, value) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def save_export_position(self, exporter: str, position: int) -> None:
        """Write how far an exporter has come; it never goes back."""
        self._connection.execute(
            "INSERT INTO exporters(name, position) VALUES(?, ?) "
            "ON CONFLICT(name) DO UPDATE SET position = max(position, excluded.position)",
            (exporter, position),
        )
