"""Importing audit logs: to the same spans, byte for byte, whatever the order of lines and files."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from audit_log import CANARY, DAY, WORLD, body, deployment, import_lines, line, pod, recorded, stored, told
from kubeweft.display.stories import read_story
from kubeweft.display.writing.json_shape import tree_as_json
from kubeweft.model import vocabulary as v
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Change
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.model.timestamps import parse_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.store.interfaces import Batch
from kubeweft.store.sqlite import SqliteStore
from kubeweft.weaving import weaver
from kubeweft.weaving.weaver import Weaver

Spans = dict[tuple[bytes, bytes], Span]
WEB = ObjectKey("local", "apps", "deployments", "shop", "web")
POD = ObjectKey("local", "", "pods", "shop", "web-1-a")
WIDGET = ObjectKey("local", "example.com", "widgets", "shop", "w1")
ZONE = ObjectKey("local", "example.com", "zones", "", "z1")


def at(clock: str) -> int:
    return parse_timestamp(f"{DAY}T{clock}Z")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Spans:
    file = tmp_path_factory.mktemp("world") / "kubeweft.db"
    import_lines(file, WORLD)
    return stored(file)


@pytest.fixture(scope="module")
def team() -> list[bytes]:
    lines = recorded("team-6")
    assert len(lines) > 2000
    return lines


@pytest.fixture(scope="module")
def team_spans(team: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Spans:
    file = tmp_path_factory.mktemp("team") / "kubeweft.db"
    import_lines(file, team)
    return stored(file)


def changes_of(spans: Spans, key: ObjectKey) -> list[tuple[str, str, str]]:
    found = [span for span in spans.values() if span.key == key and span.source == "change"]
    return sorted(
        (
            str(span.attributes[v.CHANGE_TYPE]),
            str(span.attributes.get(v.OLD_VERSION, "")),
            str(span.attributes[v.RESOURCE_VERSION]),
        )
        for span in found
    )


def parents_of(spans: Spans, key: ObjectKey) -> dict[int, set[str]]:
    """The owners that are linked in each window."""
    windows: dict[int, set[str]] = {}
    for span in spans.values():
        if span.key == key and span.source == "object":
            windows.setdefault(span.start, set())
    for span in spans.values():
        if span.key == key and span.attributes.get(v.LINK_ROLE) == "Parent":
            names = (v.LINK_RESOURCE, v.LINK_NAMESPACE, v.LINK_NAME)
            windows[span.start].add("/".join(str(span.attributes[name]) for name in names))
    return windows


# ------------------------------------------------------------------------------------------- what comes of it


def test_every_write_is_a_request_and_every_step_a_change(world: Spans) -> None:
    assert changes_of(world, WEB) == [
        ("Added", "", "10"),
        ("Deleted", "30", ""),
        ("Modified", "10", "16"),
        ("Modified", "16", "30"),
        ("Sighting", "", "30"),
    ]
    requests = Counter(str(span.attributes[v.VERB]) for span in world.values() if span.source == "request")
    audited = Counter(orjson.loads(one)["verb"] for one in WORLD if b'"resource":"events"' not in one)
    del audited["get"]
    assert requests == audited


def test_a_deletion_in_two_steps_ends_with_the_second(world: Spans) -> None:
    assert changes_of(world, POD) == [
        ("Added", "", "12"),
        ("Deleted", "31", "32"),
        ("Modified", "12", "15"),
        ("Modified", "15", "31"),
        ("Sighting", "", "31"),
    ]


def test_a_change_has_the_time_of_the_earliest_request_that_answered_with_it(world: Spans) -> None:
    (scaled,) = [s for s in world.values() if s.attributes.get(v.OLD_VERSION) == "10"]
    assert scaled.start == at("10:00:03.000000")
    assert scaled.attributes[v.WORDS] == "spec.replicas 2 → 4"


def test_kinds_and_scopes_are_learned_from_the_stream(world: Spans) -> None:
    reasons = {(str(span.key), span.name) for span in world.values() if span.source == "event"}
    assert ("widgets.example.com/shop/w1", "Planned") in reasons
    assert ("zones.example.com//z1", "Opened") in reasons
    assert at("10:00:00") in parents_of(world, ZONE)
    assert parents_of(world, WIDGET)[at("10:00:00")] == {"zones//z1"}


def test_cluster_scoped_owners_get_no_namespace(world: Spans) -> None:
    owners = {"replicasets/shop/web-1", "nodes//n1", "zones//z1"}
    assert parents_of(world, POD)[at("10:00:00")] == owners
    assert {span.key.namespace for span in world.values() if span.key.resource in ("nodes", "zones")} == {""}


def test_every_window_of_an_object_is_linked_to_its_owners(world: Spans) -> None:
    """Also one in which only an Event and a conflict tell that it was there, which say nothing about owners."""
    windows = parents_of(world, POD)
    assert set(windows) == {at("10:00:00"), at("10:30:00"), at("11:00:00")}
    assert windows[at("11:00:00")] == {"replicasets/shop/web-1", "nodes//n1", "zones//z1"}
    replica_set_key = ObjectKey("local", "apps", "replicasets", "shop", "web-1")
    assert parents_of(world, replica_set_key)[at("11:00:00")] == {"deployments/shop/web"}


def test_the_tree_of_the_deployment_is_whole(world: Spans, tmp_path: Path) -> None:
    file = tmp_path / "kubeweft.db"
    import_lines(file, WORLD)
    with SqliteStore.open_reader(file) as reader:
        shown = tree_as_json(read_story(reader, WEB, kinds=Kinds()))["spans"]
    assert {span["object"] for span in shown} >= {str(WEB), "replicasets.apps/shop/web-1", str(POD)}
    by_id = {span["span_id"]: span for span in shown}
    (scaled,) = [span for span in shown if span["attributes"].get(v.OLD_VERSION) == "10"]
    assert by_id[scaled["parent_span_id"]]["attributes"][v.VERB] == "patch"


def test_secrets_and_managed_fields_are_nowhere(world: Spans, tmp_path: Path) -> None:
    file = tmp_path / "kubeweft.db"
    import_lines(file, WORLD)
    with SqliteStore(file) as store:
        kept = [one for name in ("s1", "web") for one in store.audit_versions("local", f"uid-{name}")]
    assert len(kept) >= 4
    for text in [*map(str, world.values()), *map(str, kept)]:
        assert CANARY not in text
        assert "managedFields" not in text
    assert CANARY.encode() not in file.read_bytes()


def test_every_span_hangs_under_the_root_of_its_trace(world: Spans, team_spans: Spans) -> None:
    for spans in (world, team_spans):
        for span in spans.values():
            if span.parent_span_id:
                assert spans[span.trace_id, span.parent_span_id].source == "object"


# ------------------------------------------------------------------------------------------- order and repeats


def test_importing_twice_adds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "kubeweft.db"
    first, second = import_lines(file, WORLD, WORLD)
    assert first.new_spans == len(stored(file)) > 80
    assert second.new_spans == 0
    assert (second.requests, second.events, second.changes) == (first.requests, first.events, first.changes)


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_lines_give_the_same_bytes(world: Spans, tmp_path: Path, seed: int) -> None:
    lines = list(WORLD)
    random.Random(seed).shuffle(lines)
    import_lines(tmp_path / "kubeweft.db", lines)
    assert stored(tmp_path / "kubeweft.db") == world


@pytest.mark.parametrize("seed", range(2))
def test_a_shuffled_recording_gives_the_same_bytes(
    team: list[bytes], team_spans: Spans, tmp_path: Path, seed: int
) -> None:
    lines = list(team)
    random.Random(seed).shuffle(lines)
    import_lines(tmp_path / "kubeweft.db", lines)
    assert stored(tmp_path / "kubeweft.db") == team_spans


def without_custom_kinds(lines: Sequence[bytes]) -> list[bytes]:
    """Owners and Events of custom kinds can only be resolved by an import that has met the kind."""
    return [one for one in lines if b"example.com" not in one]


BUILT_IN = (
    told("Pod", "web-1-a", "Started", "10:00:09.000000"),
    *without_custom_kinds(WORLD),
    line(
        "create",
        "pods",
        "10:00:01.200000",
        body("Pod", "web-1-a", 12, owners=[("apps/v1", "ReplicaSet", "web-1", True)]),
    ),
    line(
        "patch",
        "pods",
        "12:00:00.000000",
        body("Pod", "web-1-b", 50, owners=[("apps/v1", "ReplicaSet", "web-1", True)]),
    ),
)


@pytest.mark.parametrize("seed", range(12))
def test_parts_in_any_order_give_the_same_bytes(tmp_path: Path, seed: int) -> None:
    """Owners told in one part hold for the windows of another, through objects that neither part touches."""
    import_lines(tmp_path / "whole.db", BUILT_IN)
    choice = random.Random(seed)
    parts: list[list[bytes]] = [[], [], []]
    for one in BUILT_IN:
        choice.choice(parts).append(one)
    import_lines(tmp_path / "parts.db", *parts)
    assert stored(tmp_path / "parts.db") == stored(tmp_path / "whole.db")


def test_two_halves_of_a_recording_in_either_order(
    team: list[bytes], team_spans: Spans, tmp_path: Path
) -> None:
    half = len(team) // 2
    import_lines(tmp_path / "one.db", team[:half], team[half:])
    import_lines(tmp_path / "two.db", team[half:], team[:half])
    assert stored(tmp_path / "one.db") == team_spans
    assert stored(tmp_path / "two.db") == team_spans


def test_a_version_that_comes_late_replaces_the_step_it_splits(tmp_path: Path) -> None:
    file = tmp_path / "kubeweft.db"
    lines = [
        line("create", "deployments.apps", "10:00:01.000000", deployment(10, 2), code=201),
        line("patch", "deployments.apps", "10:00:03.000000", deployment(30, 4)),
    ]
    between = line("patch", "deployments.apps", "10:00:02.000000", deployment(20, 3))
    import_lines(file, lines)
    assert changes_of(stored(file), WEB) == [("Added", "", "10"), ("Modified", "10", "30")]
    import_lines(file, [between])
    assert changes_of(stored(file), WEB) == [
        ("Added", "", "10"),
        ("Modified", "10", "20"),
        ("Modified", "20", "30"),
    ]


def test_a_version_told_late_by_an_earlier_write_gets_its_time(tmp_path: Path) -> None:
    """The no-op write is known first, and its window with it; the write that made the version comes later."""
    file = tmp_path / "kubeweft.db"
    created = line("create", "deployments.apps", "10:00:01.000000", deployment(10, 2), code=201)
    scaled = line("patch", "deployments.apps", "10:00:03.000000", deployment(16, 4))
    no_op = line("update", "deployments.apps", "10:31:00.000000", deployment(16, 4))
    import_lines(file, [created, no_op])
    (before,) = [s for s in stored(file).values() if s.attributes.get(v.OLD_VERSION) == "10"]
    assert before.start == at("10:31:00.000000")
    import_lines(file, [scaled])
    import_lines(tmp_path / "whole.db", [created, scaled, no_op])
    assert stored(file) == stored(tmp_path / "whole.db")
    (after,) = [s for s in stored(file).values() if s.attributes.get(v.OLD_VERSION) == "10"]
    assert after.start == at("10:00:03.000000")


@pytest.mark.parametrize("turned", [False, True])
def test_one_version_in_two_api_versions_comes_to_the_same(tmp_path: Path, turned: bool) -> None:
    """A write that changes nothing may answer in another API version than the one that made the version."""

    def autoscaler(version: int, api: str, size: int) -> dict[str, object]:
        return body(
            "HorizontalPodAutoscaler", "web", version, api=f"autoscaling/{api}", spec={f"max-{api}": size}
        )

    resource = "horizontalpodautoscalers.autoscaling"
    lines = [
        line("create", resource, "10:00:01.000000", autoscaler(10, "v2", 1), code=201),
        line("patch", resource, "10:00:02.000000", autoscaler(11, "v2", 2)),
        line("update", resource, "10:00:03.000000", autoscaler(11, "v1", 2)),
    ]
    import_lines(tmp_path / "one.db", lines)
    import_lines(tmp_path / "two.db", *[[one] for one in (lines[::-1] if turned else lines)])
    assert stored(tmp_path / "one.db") == stored(tmp_path / "two.db")


def test_two_clusters_in_one_store_stay_apart(world: Spans, tmp_path: Path) -> None:
    file = tmp_path / "kubeweft.db"
    import_lines(file, WORLD)
    import_lines(file, WORLD, cluster="other")
    spans = stored(file)
    assert len(spans) == 2 * len(world)
    assert {name: spans[name] for name in world} == world


def test_a_store_tells_the_kinds_that_an_earlier_import_has_learned(tmp_path: Path) -> None:
    widgets = [one for one in WORLD if b"/zones" in one or b"/widgets" in one]
    owned = [line("create", "pods", "10:00:01.200000", pod(12, "Pending"), code=201)]
    events = [told("Zone", "z1", "Opened", "10:00:00.200000", api="example.com/v1", namespace="")]
    _, report = import_lines(tmp_path / "kubeweft.db", widgets, [*owned, *events])
    assert (report.unresolved, report.unlinked) == (0, 0)
    spans = stored(tmp_path / "kubeweft.db")
    assert "zones//z1" in parents_of(spans, POD)[at("10:00:00")]
    assert {str(span.key) for span in spans.values() if span.name == "Opened"} == {"zones.example.com//z1"}


def test_long_logs_forget_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a running operator windows that are long over are forgotten; a log of a week is read in any order."""
    long = [*BUILT_IN, told("Pod", "elsewhere", "Started", "23:00:00.000000")]
    import_lines(tmp_path / "whole.db", long)
    monkeypatch.setattr(weaver, "PRUNE_EVERY", 1)
    for seed in range(3):
        random.Random(seed).shuffle(long)
        import_lines(tmp_path / f"{seed}.db", long)
        assert stored(tmp_path / f"{seed}.db") == stored(tmp_path / "whole.db")


# ---------------------------------------------------------------------------------------------------- trouble


def test_a_bad_line_among_good_ones_is_counted_and_told(world: Spans, tmp_path: Path) -> None:
    broken = [
        *WORLD[:5],
        b"{",
        *WORLD[5:20],
        WORLD[3][:100],
        b'{"kind":"Pod"}',
        b'["no","event"]',
        b"\xff\xfe",
        *WORLD[20:],
        b'{"kind":"Event","apiVersion":"v1","metadata":{"name":"a-kubernetes-event"}}',
    ]
    (report,) = import_lines(tmp_path / "kubeweft.db", broken)
    assert stored(tmp_path / "kubeweft.db") == world
    assert report.lines == len(WORLD) + 6
    assert sum(report.bad.values()) == 6
    assert set(report.first_bad) == set(report.bad)
    assert ("log", 6) in report.first_bad.values()


def test_a_line_may_hold_a_list(world: Spans, tmp_path: Path) -> None:
    """What a webhook was sent, written down."""
    half = len(WORLD) // 2
    lists = [
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[' + b",".join(part) + b"]}"
        for part in (WORLD[:half], WORLD[half:])
    ]
    (report,) = import_lines(tmp_path / "kubeweft.db", lists)
    assert stored(tmp_path / "kubeweft.db") == world
    assert (report.lines, report.bad) == (2, Counter())


def test_what_nothing_tells_the_kind_of_is_counted(tmp_path: Path) -> None:
    lines = [
        line("create", "pods", "10:00:01.200000", pod(12, "Pending"), code=201),
        told("Widget", "w1", "Planned", "10:00:00.100000", api="example.com/v1"),
    ]
    (report,) = import_lines(tmp_path / "kubeweft.db", lines)
    assert (report.unresolved, report.unlinked) == (1, 1)


def test_nothing_comes_of_nothing(tmp_path: Path) -> None:
    (report,) = import_lines(tmp_path / "kubeweft.db", [])
    assert (report.lines, report.new_spans, report.objects) == (0, 0, 0)


def test_metadata_level_logs_give_requests_without_changes(tmp_path: Path) -> None:
    lines = [
        orjson.dumps({**orjson.loads(one), "responseObject": None, "level": "Metadata"}) for one in WORLD
    ]
    (report,) = import_lines(tmp_path / "kubeweft.db", lines)
    assert report.requests > 15
    spans = stored(tmp_path / "kubeweft.db")
    (deleted,) = [s for s in spans.values() if s.key == WEB and s.source == "change"]
    assert {v.KIND, v.API_VERSION}.isdisjoint(deleted.attributes)  # an empty kind would hide the true one
    assert changes_of(spans, WEB) == [("Deleted", "", "")]  # the Status of a delete names the object


def test_what_a_watch_has_seen_is_left_to_it(tmp_path: Path) -> None:
    """Diffs of a watch have every version; those of an audit log would be larger steps beside them."""
    file = tmp_path / "kubeweft.db"
    seen = Change(
        key=WEB,
        kind="Deployment",
        api_version="apps/v1",
        uid="uid-web",
        old_version="12",
        version="13",
        type="Modified",
        time=at("10:00:02"),
        time_source="object",
    )
    with SqliteStore(file) as store:
        store.write(Batch(spans=Weaver(window_length=DEFAULT_WINDOW, kinds=Kinds()).weave([seen])))
    import_lines(file, WORLD)
    assert changes_of(stored(file), WEB) == [("Modified", "12", "13")]
    assert len(changes_of(stored(file), WIDGET)) == 3
