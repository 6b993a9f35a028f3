"""The largest snapshot that is exported fits into the pickiest of stores: Badger makes a key of each attribute."""

from __future__ import annotations

import json
from pathlib import Path

from kubeweft.otlp.attributes import LARGEST_SNAPSHOT
from kubeweft.store.opening import open_reader
from store_samples import NINE, fact, key_of, object_span
from trace_stores import export, remote_storage


def test_the_largest_snapshot_is_read_back_from_badger(tmp_path: Path) -> None:
    key = key_of("large" * 40, namespace="n" * 63)  # what Badger's key holds beside it
    empty = json.dumps({"data": ""}, separators=(",", ":"))
    body = json.dumps({"data": "x" * (LARGEST_SNAPSHOT - len(empty))}, separators=(",", ":")).encode()
    assert len(body) == LARGEST_SNAPSHOT
    spans = [object_span(key), fact(key, 1, source="change", body=body)]
    with remote_storage(tmp_path, "badger") as store, open_reader(f"{store.address}?fresh=0") as remote:
        export(store.receiver, spans)
        (window,) = remote.windows_of(key, since=NINE, until=NINE)
        assert [len(span.body) for span in remote.spans_of([window.trace_id])] == [0, LARGEST_SNAPSHOT]
