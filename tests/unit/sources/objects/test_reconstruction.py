"""Whatever happens to an object, every version can be told from the spans of its own window alone."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from kubeweft.model.changes import apply
from kubeweft.model.observations import Change
from kubeweft.model.plan import Plan
from kubeweft.model.timestamps import format_timestamp
from kubeweft.model.windows import DEFAULT_WINDOW, NANOSECONDS
from kubeweft.sources.objects.audited import changes_of
from kubeweft.store.interfaces import AuditVersion
from watched_objects import UID, WIDGETS, Json, at, differ_of, tree

START = at("08:00:00")
MOST_PATCH_BYTES = 120  # so that some patches are cut

names = st.sampled_from(["a", "b", "c/d", "e~f", "name", "uid"])
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, 2.5])
    | st.sampled_from(["", "x", "é" * 30]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
fields = st.dictionaries(st.sampled_from(["spec", "status", "data", "rules"]), values, min_size=1)
seconds = st.integers(0, 3 * DEFAULT_WINDOW // NANOSECONDS)
versions = st.lists(st.tuples(fields, seconds, st.integers(1, 3)), min_size=1, max_size=8)


def story_of(steps: list[tuple[Json, int, int]]) -> list[tuple[str, int, Json]]:
    """Versions with their times, which need not grow with them: writers' clocks and requests overtake each other."""
    version, story = 0, []
    for content, time, step in steps:
        version += step
        story.append((str(version), START + time * NANOSECONDS, content))
    return story


def object_of(version: str, time: int, content: Json) -> Json:
    entry = {"manager": "me", "operation": "Update", "time": format_timestamp(time)[:19] + "Z"}
    return tree(version, "", resource=WIDGETS, metadata={"managedFields": [entry]}, **content)


def body_of(version: str, time: int, content: Json) -> Json:
    obj = object_of(version, time, content)
    del obj["metadata"]["managedFields"], obj["metadata"]["resourceVersion"]
    return obj


def rebuilt(changes: list[Change]) -> dict[str, Json]:
    """Every version that these changes, which are those of one window, tell of."""
    found: dict[str, Json] = {}
    for change in changes:
        if change.type in ("Added", "Sighting"):
            found[change.version] = orjson.loads(change.body)
        elif change.type == "Deleted" and change.old_version:
            found.setdefault(change.old_version, orjson.loads(change.body))
    for change in changes:
        if change.type == "Modified" and change.old_version in found and not change.patch_truncated:
            patch = orjson.loads(change.patch) if change.patch else []
            told = apply(patch, found[change.old_version])
            assert same(found.setdefault(change.version, told), told)
    return found


def same(one: Json, other: Json) -> bool:
    """Equal as JSON, where ``true``, ``1`` and ``1.0`` are three values."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def assert_told_by_each_window(story: list[tuple[str, int, Json]], changes: list[Change]) -> None:
    windows: dict[int, list[Change]] = defaultdict(list)
    for change in changes:
        windows[change.time // DEFAULT_WINDOW].append(change)
    for version, time, content in story:
        found = rebuilt(windows[time // DEFAULT_WINDOW])
        assert same(found[version], body_of(version, time, content))


def assert_one_step_each(story: list[tuple[str, int, Json]], changes: list[Change]) -> None:
    steps = [(c.old_version, c.version) for c in changes if c.type != "Sighting"]
    known = ["", *(version for version, _, _ in story)]
    assert steps == list(pairwise(known))


@given(versions)
def test_a_watch_tells_every_version(steps: list[tuple[Json, int, int]]) -> None:
    story = story_of(steps)
    differ = differ_of(WIDGETS, plan=Plan(max_patch_bytes=MOST_PATCH_BYTES))
    changes: list[Change] = []
    for number, (version, time, content) in enumerate(story):
        kind = "MODIFIED" if number else "ADDED"
        raw = orjson.dumps(object_of(version, time, content))
        changes += differ.absorb(kind, raw, received=START)[1]
        if number % 3 == 0:
            differ.settle([UID])
    assert_told_by_each_window(story, changes)
    assert_one_step_each(story, changes)


@given(versions, fields)
def test_a_deletion_tells_the_last_version_and_the_way_there(
    steps: list[tuple[Json, int, int]], last: Json
) -> None:
    differ = differ_of(WIDGETS, plan=Plan(max_patch_bytes=10**6))
    *_, (version, time, content) = story = story_of(steps)
    for one in story:
        differ.absorb("MODIFIED", orjson.dumps(object_of(*one)), received=START)
    gone = object_of(str(int(version) + 1), time, last)
    (deleted,) = differ.absorb("DELETED", orjson.dumps(gone), received=START)[1]
    assert same(orjson.loads(deleted.body), body_of(version, time, content))
    patch = orjson.loads(deleted.patch) if deleted.patch else []
    assert same(apply(patch, orjson.loads(deleted.body)), body_of(version, time, last))


@given(versions, st.randoms(use_true_random=False))
def test_an_audit_log_tells_every_version_in_any_order(
    steps: list[tuple[Json, int, int]], choice: Any
) -> None:
    story = story_of(steps)
    known = [
        AuditVersion(
            cluster="local",
            group="example.com",
            resource="widgets",
            namespace="default",
            name="demo",
            uid=UID,
            version=version,
            time=time,
            created=number == 0,
            deleted=False,
            kind="Widget",
            api_version="example.com/v1",
            body=orjson.dumps(body_of(version, time, content)),
        )
        for number, (version, time, content) in enumerate(story)
    ]
    changes = list(changes_of(known, window_length=DEFAULT_WINDOW, max_bytes=MOST_PATCH_BYTES))
    choice.shuffle(known)
    assert list(changes_of(known, window_length=DEFAULT_WINDOW, max_bytes=MOST_PATCH_BYTES)) == changes
    assert_told_by_each_window(story, changes)
    assert_one_step_each(story, changes)
