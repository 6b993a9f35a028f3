"""What every span store has to do beside keeping spans: forget wrong ones, remember for the next run, know its limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeweft.model.errors import BadInput, NotNow
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import AuditVersion, Batch, Checkpoint, StoredVersion
from kubeweft.store.sqlite import SqliteStore
from store_benches import BENCHES, Bench
from store_samples import NINE, fact, key_of, object_span


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    one: Bench = request.param(tmp_path / "store.db")
    yield one
    one.close()


# ------------------------------------------------------------------------------------------------------------ removing


def test_removed_spans_are_gone_and_their_positions_never_used_again(bench: Bench) -> None:
    first, wrong = fact(key_of(), 1), fact(key_of(), 2)
    bench.write(object_span(key_of()), first, wrong)
    position = bench.store.newest_position()
    bench.store.write(Batch(removed=((wrong.trace_id, wrong.span_id), (b"?" * 16, b"?" * 8))))
    assert bench.everything() == [object_span(key_of()), first]
    assert bench.store.spans_of([wrong.trace_id]) == [object_span(key_of()), first]
    assert bench.store.statistics().spans == 2

    better = [fact(key_of(), 3), fact(key_of(), 4)]
    assert bench.write(*better) == 2
    assert [at for at, _ in bench.store.spans_after(position, limit=9)] == [position + 1, position + 2]
    assert bench.write(wrong) == 1  # it may come back
    assert bench.store.statistics().spans == 5


def test_a_batch_removes_before_it_adds_and_batches_keep_their_order(bench: Bench) -> None:
    one, two = fact(key_of(), 1), fact(key_of(), 2)
    ids = (one.trace_id, one.span_id)
    bench.store.write(Batch(spans=(one, two), removed=(ids,)))
    assert bench.everything() == [one, two]
    bench.store.write_group([Batch(removed=(ids,)), Batch(spans=(one,)), Batch(removed=(ids,))])
    assert bench.everything() == [two]
    bench.store.write_group([Batch(removed=(ids,)), Batch(spans=(one,))])
    assert bench.everything() == [two, one]


# ---------------------------------------------------------------------------------------------------------- remembering


def version_of(
    uid: str, version: str = "1", name: str = "web", body: bytes = b"\x28\xb5\0z"
) -> StoredVersion:
    return StoredVersion("shop", name, uid, version, NINE, 1, body, b"owners\0")


def test_a_watch_resumes_where_its_checkpoint_was(bench: Bench) -> None:
    assert bench.store.resume("prod", "apps", "deployments") is None
    first = Checkpoint(
        "prod", "apps", "deployments", "10", 5, (version_of("a"), version_of("b")), (), ((1, b"dict"),)
    )
    bench.store.write(Batch(checkpoints=(first,)))
    resume = bench.store.resume("prod", "apps", "deployments")
    assert resume is not None
    assert (resume.version, resume.time) == ("10", 5)
    assert list(resume.versions) == [version_of("a"), version_of("b")]
    assert list(resume.dictionaries) == [(1, b"dict")]

    changed, new = version_of("a", "11", body=b"new"), version_of("c", "12", name="żółw")
    second = Checkpoint(
        "prod", "apps", "deployments", "12", 6, (changed, new), ("b", "never-seen"), ((2, b"more"),)
    )
    bench.store.write(Batch(checkpoints=(second,)))
    resume = bench.store.resume("prod", "apps", "deployments")
    assert resume is not None
    assert (resume.version, list(resume.versions)) == ("12", [changed, new])
    assert list(resume.dictionaries) == [(1, b"dict"), (2, b"more")]


def test_a_complete_checkpoint_forgets_what_it_does_not_name(bench: Bench) -> None:
    many = tuple(version_of(f"{number:03}") for number in range(300))
    bench.store.write(Batch(checkpoints=(Checkpoint("prod", "", "pods", "1", 1, many, complete=True),)))
    kept = (version_of("007", "9"), version_of("x", "9"))
    bench.store.write(Batch(checkpoints=(Checkpoint("prod", "", "pods", "9", 2, kept, complete=True),)))
    resume = bench.store.resume("prod", "", "pods")
    assert resume is not None
    assert tuple(resume.versions) == kept
    bench.store.write(Batch(checkpoints=(Checkpoint("prod", "", "pods", "10", 3, complete=True),)))
    resume = bench.store.resume("prod", "", "pods")
    assert resume is not None
    assert list(resume.versions) == []


def test_what_is_removed_in_a_checkpoint_is_not_kept_by_it(bench: Bench) -> None:
    gone = Checkpoint("prod", "", "pods", "3", 1, (version_of("a", "2"), version_of("b")), ("a",))
    bench.store.write(Batch(checkpoints=(gone,)))
    resume = bench.store.resume("prod", "", "pods")
    assert resume is not None
    assert list(resume.versions) == [version_of("b")]


def test_watches_do_not_touch_each_other(bench: Bench) -> None:
    places = [("prod", "", "events"), ("prod", "events.k8s.io", "events"), ("edge", "", "events")]
    bench.store.write(
        Batch(
            checkpoints=[
                Checkpoint(
                    *place,
                    str(number),
                    number,
                    (version_of("same", str(number)),),
                    (),
                    ((1, bytes([number])),),
                )
                for number, place in enumerate(places)
            ]
        )
    )
    bench.store.write(Batch(checkpoints=(Checkpoint(*places[1], "9", 9, complete=True),)))
    for number, place in enumerate(places):
        resume = bench.store.resume(*place)
        assert resume is not None
        assert resume.dictionaries == [(1, bytes([number]))]
        assert [one.version for one in resume.versions] == ([] if number == 1 else [str(number)])


def audit_version(
    version: str, *, cluster: str = "prod", uid: str = "u", body: bytes = b'{"a":1}'
) -> AuditVersion:
    return AuditVersion(
        cluster=cluster,
        group="apps",
        resource="deployments",
        namespace="shop",
        name="web",
        uid=uid,
        version=version,
        time=NINE,
        created=False,
        deleted=version == "9",
        kind="Deployment",
        api_version="apps/v1",
        body=body,
    )


def test_audit_versions_are_kept_once_and_come_in_the_order_of_their_versions(bench: Bench) -> None:
    versions = [
        audit_version(version, body=b'{"version":"%s"}' % version.encode() * 50)
        for version in ("100", "9", "10")
    ]
    bench.store.write(Batch(audit_versions=versions))
    bench.store.write(Batch(audit_versions=(audit_version("9", body=b"another"), audit_version("11"))))
    bench.store.write(
        Batch(audit_versions=(audit_version("1", cluster="edge"), audit_version("1", uid="other")))
    )

    kept = bench.store.audit_versions("prod", "u")
    assert kept == [versions[1], versions[2], audit_version("11"), versions[0]]
    assert kept[0].deleted is True
    assert [one.version for one in bench.store.audit_versions("edge", "u")] == ["1"]
    assert bench.store.audit_versions("nowhere", "u") == []


def test_a_name_that_stands_for_another_cluster_has_no_watch_to_resume(bench: Bench) -> None:
    def seen(cluster: str, resource: str, version: str) -> Checkpoint:
        return Checkpoint(cluster, "apps", resource, version, 5, (version_of("a"),), (), ((1, b"dict"),))

    bench.write(fact(key_of(), 1))
    former = [seen("prod", "deployments", "10"), seen("prod", "jobs", "11"), seen("test", "jobs", "12")]
    bench.store.write(Batch(checkpoints=former))
    bench.store.write(Batch(replaced=("prod", "never-seen"), checkpoints=(seen("prod", "jobs", "3"),)))
    assert bench.store.resume("prod", "apps", "deployments") is None
    newer, untouched = bench.store.resume("prod", "apps", "jobs"), bench.store.resume("test", "apps", "jobs")
    assert newer is not None
    assert untouched is not None
    assert (newer.version, untouched.version) == ("3", "12")
    bench.store.write(Batch(replaced=("prod",), bookmarks=(("who", b"new"),)))
    assert bench.store.resume("prod", "apps", "jobs") is None
    assert bench.everything() == [fact(key_of(), 1)]  # spans are retention's business


def test_of_one_audit_version_the_earliest_time_counts_in_any_order(bench: Bench) -> None:
    create = audit_version("1")._replace(created=True, time=NINE + 5)
    earlier = audit_version("1")._replace(deleted=True, time=NINE + 3)
    for order in ((create, earlier), (earlier, create), (create, earlier)):
        bench.store.write(Batch(audit_versions=order))
        assert bench.store.audit_versions("prod", "u") == [create._replace(time=NINE + 3, deleted=True)]
    bench.store.write(Batch(audit_versions=(audit_version("1")._replace(time=NINE + 9),)))
    assert bench.store.audit_versions("prod", "u") == [create._replace(time=NINE + 3, deleted=True)]


def test_a_bookmark_is_what_was_saved_last(bench: Bench) -> None:
    assert bench.store.bookmark("log") is None
    for value in (b"one", b"", b"\0two"):
        bench.store.write(Batch(bookmarks=(("log", value), ("other", b"else"))))
        assert bench.store.bookmark("log") == value
    with pytest.raises(BadInput):
        bench.store.write(Batch(bookmarks=(("log", b"three"), ("\ud800", b""))))
    assert bench.store.bookmark("log") == b"\0two"


# ------------------------------------------------------------------------------------------------------------ exporting


def test_the_first_exporter_begins_at_the_beginning_and_others_now(bench: Bench) -> None:
    bench.write(fact(key_of(), 1), fact(key_of(), 2))
    assert bench.store.export_position("first") == 0
    bench.store.save_export_position("first", 1)
    assert bench.store.export_position("second") == 2
    bench.write(fact(key_of(), 3))
    assert bench.store.export_position("second") == 2
    assert bench.store.export_position("first") == 1
    bench.store.save_export_position("first", 0)  # a late answer of an earlier send
    assert bench.store.export_position("first") == 1
    assert bench.store.statistics().positions == {"first": 1, "second": 2}


def test_exporters_that_come_together_begin_together(bench: Bench) -> None:
    bench.write(fact(key_of(), 1))
    bench.store.activate_exporters(["b", "a"])
    assert bench.store.statistics().positions == {"a": 0, "b": 0}
    bench.store.activate_exporters(["c", "a"])
    assert bench.store.statistics().positions == {"a": 0, "b": 0, "c": 1}


def spans_from(number: int, count: int) -> list[Span]:
    return [fact(key_of(), number + one) for one in range(count)]


def test_what_an_active_exporter_has_not_sent_is_bounded(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db", max_pending=10) as store:
        store.write(Batch(spans=spans_from(0, 24)))  # nobody waits for them
        assert not store.statistics().full
        store.activate_exporters(["otlp", "slow"])
        store.save_export_position("otlp", 24)
        store.save_export_position("slow", 20)
        assert store.statistics().pending == 4

        with pytest.raises(NotNow, match="'slow' has 4 spans") as refused:
            store.write(Batch(spans=spans_from(100, 7)))
        assert refused.value.delay == 5
        assert store.statistics().full
        assert store.newest_position() == 24
        store.write(
            Batch(checkpoints=(Checkpoint("prod", "", "pods", "1", 1),))
        )  # no spans: nothing to hold up

        store.save_export_position("slow", 22)
        store.write(Batch(spans=spans_from(100, 7)))
        assert not store.statistics().full


def test_a_batch_over_the_bound_may_go_alone_and_inactive_exporters_do_not_count(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db", max_pending=10) as store:
        store.activate_exporters(["otlp"])
        store.write(Batch(spans=spans_from(0, 30)))
        assert store.statistics().pending == 30
        with pytest.raises(NotNow):
            store.write(Batch(spans=spans_from(100, 1)))
        store.activate_exporters([])
        store.write(Batch(spans=spans_from(100, 30)))
        assert store.statistics().pending == 0


def fill(store: SqliteStore) -> tuple[list[Span], NotNow]:
    """Write until the store refuses; what it has taken, and how it refused."""
    written: list[Span] = []
    while len(written) < 100_000:
        many = range(len(written), len(written) + 100)
        spans = [fact(key_of(f"o{n % 50}"), n, attributes={"x": f"{n}" * 40}) for n in many]
        try:
            store.write(Batch(spans=spans))
        except NotNow as refused:
            return written, refused
        written += spans
    raise AssertionError("the store has no limit")


def test_a_full_store_takes_nothing_and_recovers_with_more_room(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path, max_bytes=1_000_000) as store:
        store.export_position("otlp")
        written, refused = fill(store)
        assert "store full" in str(refused)
        assert refused.delay == 5
        statistics = store.statistics()
        assert statistics.full
        assert 900_000 < statistics.bytes <= 1_000_000
        assert statistics.spans == len(written) > 1000
        assert [span for _, span in store.spans_after(0, limit=10**6)] == written
        store.save_export_position("otlp", statistics.position)
        assert store.export_position("otlp") == statistics.position

    more = [fact(key_of("more"), n) for n in range(100)]
    with SqliteStore(path, max_bytes=2_000_000) as store:
        assert store.write(Batch(spans=more)).added == 100
        assert not store.statistics().full
        assert [span for _, span in store.spans_after(0, limit=10**6)] == [*written, *more]
