"""What the store forgets on the word of a policy, while an operator runs on it: by size, then by age.

The past comes from an audit log that was imported, so that nobody has to wait for it.
"""

from __future__ import annotations

import base64
import datetime
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_events import MISSING, audit_event, reference, status
from cluster_requests import Cluster, Json
from controlplane.plane import ControlPlane
from controlplane.testing import wait_until
from kubeweft.store.sqlite_reader import SqliteReader
from ledger import StoredSpans
from operator_process import KUBEWEFT, OperatorProcess, shown
from policy_stage import CONFIG_MAPS, Stage

PAST = "past"
OBJECTS, MESSAGE_BYTES = 7500, 3_000
STEP = datetime.timedelta(minutes=20)
WINDOW = 60
MEBIBYTE = 1024**2
LARGEST = 8  # MiB
APPLIED_WITHIN = 45.0  # seconds: retention looks every 15


def in_the_past(number: int, now: datetime.datetime) -> datetime.datetime:
    """When the config map of this number was written: one every ``STEP``, the last of them a day ago."""
    return now - datetime.timedelta(days=1) - STEP * (OBJECTS - 1 - number)


def written(number: int, at: datetime.datetime) -> Json:
    """The audit event of a request that failed with a message that hardly compresses."""
    time = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return audit_event(
        auditID=f"audit-{number}",
        level="Metadata",
        objectRef=reference("configmaps", f"old-{number:04}", namespace=PAST),
        requestURI=f"/api/v1/namespaces/{PAST}/configmaps/old-{number:04}",
        responseStatus=status(422, reason="Invalid", message=random_words(MESSAGE_BYTES)),
        requestObject=MISSING,
        responseObject=MISSING,
        requestReceivedTimestamp=time,
        stageTimestamp=time,
    )


def random_words(size: int) -> str:
    letters = base64.b85encode(os.urandom(size)).decode()
    return " ".join(letters[begin : begin + 40] for begin in range(0, len(letters), 40))


@pytest.fixture(scope="module")
def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def stage(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, now: datetime.datetime
) -> Iterator[Stage]:
    """An operator on a store that has a past."""
    folder = tmp_path_factory.mktemp("retention")
    log, store = folder / "past.log", folder / "kubeweft.db"
    with log.open("w") as lines:
        lines.writelines(json.dumps(written(n, in_the_past(n, now))) + "\n" for n in range(OBJECTS))
    windows = f"--window-seconds={WINDOW}"
    subprocess.run(
        [str(KUBEWEFT), "import", str(log), f"--store={store}", windows, "-q"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    options = {"window-seconds": WINDOW, "without-policy": "nothing"}
    with Cluster(control_plane.kubeconfig) as cluster:
        cluster.install_crds()
        with OperatorProcess(folder, control_plane.kubeconfig, options=options, watched=()) as operator:
            assert operator.store == store
            yield Stage(cluster, operator)


def kept(store: Path) -> list[int]:
    """The numbers of the config maps of the past that are left, each with all of its spans."""
    spans = StoredSpans(store, PAST).now()
    found = sorted({int(span.key.name.removeprefix("old-")) for span in spans if span.key.name})
    sources = {n: {s.source for s in spans if s.key.name == f"old-{n:04}"} for n in (found[:1] + found[-1:])}
    assert all(s == {"object", "request"} for s in sources.values()), sources
    return found


def oldest_kept(store: Path) -> float:
    """The time before which something has been removed, in seconds."""
    with SqliteReader(store) as reader:
        return reader.oldest_kept() / 1e9


def test_the_store_forgets_by_size_and_by_age_and_what_is_left_can_be_read(
    stage: Stage, now: datetime.datetime
) -> None:
    store = stage.operator.store
    before = store.stat().st_size
    assert before > 20 * MEBIBYTE
    assert kept(store) == list(range(OBJECTS))
    assert oldest_kept(store) == 0

    def check(left: list[int]) -> None:
        """The oldest have gone, and the store says up to when."""
        assert left == list(range(left[0], OBJECTS))
        begin, removed = in_the_past(left[0], now).timestamp(), in_the_past(left[0] - 1, now).timestamp()
        assert removed < oldest_kept(store) <= begin
        assert removed - WINDOW < oldest_kept(store) - WINDOW <= removed
        name = f"old-{left[0]:04}"
        options = ("-n", PAST, "--since", in_the_past(left[0] - 1, now).strftime("%Y-%m-%dT%H:%M:%SZ"))
        assert name in json.dumps(shown(store, f"configmap/{name}", *options))

    with stage.cluster.namespace(pods=False) as here:
        match = {"resources": [CONFIG_MAPS], "namespaces": [here]}
        with stage.policy(match=match, retention={"maxBytes": f"{LARGEST}Mi"}) as path:
            stage.create(here, "new")
            stage.wait_created(here, "new")
            wait_until(
                lambda: store.stat().st_size < 1.2 * LARGEST * MEBIBYTE,
                f"the store to shrink from {before}",
                seconds=APPLIED_WITHIN,
            )
            by_size = kept(store)
            assert OBJECTS // 10 < len(by_size) < OBJECTS // 2
            check(by_size)

            middle = by_size[len(by_size) // 2]
            age = datetime.datetime.now(datetime.UTC) - in_the_past(middle, now) - STEP / 2
            stage.change(path, match=match, retention={"maxAge": f"{age.total_seconds() // 60:.0f}m"})
            wait_until(lambda: kept(store)[0] > middle, "the older half to go", seconds=APPLIED_WITHIN)
            by_age = kept(store)
            check(by_age)
            assert by_age[0] == middle + 1

            version = stage.merge(here, "new", {"data": {"step": "2"}})
            stage.wait_version(here, "new", version)
            assert "data" in json.dumps(shown(store, "configmap/new", "-n", here))
        assert list(itertools.islice(kept(store), 1)) == [middle + 1], "without a policy nothing more goes"
