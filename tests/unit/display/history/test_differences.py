"""One object at two moments, and who changed it in between."""

from __future__ import annotations

import difflib
import io
from typing import Any

import jsonpatch
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kubeweft.display.history.difference_shapes import as_json, as_patch, as_unified
from kubeweft.display.history.difference_text import write_difference
from kubeweft.display.history.differences import Difference, difference
from kubeweft.display.history.manifest import manifest_at, manifest_yaml
from kubeweft.model import changes
from kubeweft.model.errors import UserError
from kubeweft.model.observations import Observation
from kubeweft.model.timestamps import parse_timestamp
from memory_reader import MemoryReader
from span_builders import at, change, key, request, uid, weave

IT, ME = key("deployments", "it"), uid(1)


def state(replicas: int, image: str = "nginx:1", me: str = ME, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "web", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "it", "uid": me},
        "spec": {"replicas": replicas, "template": template, **spec},
    }


def step(versions: str, old: dict[str, Any], new: dict[str, Any], clock: str, **more: Any) -> Observation:
    """From one state to the next; ``versions`` as ``1-2``."""
    before, _, after = versions.partition("-")
    patch = changes.diff(old, new)
    more.setdefault("patch", patch)
    return change(
        IT,
        "Modified",
        clock,
        uid=ME,
        old=before,
        version=after,
        words=changes.describe(old, new, patch),
        **more,
    )


def added(clock: str, version: int, body: dict[str, Any], me: str = ME) -> Observation:
    return change(IT, "Added", clock, uid=me, version=str(version), body=body)


def asked(since: str, until: str, *story: Observation) -> Difference:
    return difference(MemoryReader(weave(*story)), IT, since=at(since), until=at(until))


def written(found: Difference, **more: Any) -> str:
    output = io.StringIO()
    write_difference(found, Console(file=output, width=200), **more)
    return output.getvalue()


STORY: list[Observation] = [
    added("10:00:00", 1, state(2)),
    step("1-2", state(2), state(4), "10:01:00"),
    request(IT, "patch", "10:01:00.250", uid=ME, version="2", user="alice"),
    step("2-3", state(4), state(4, "nginx:2"), "10:02:00", manager="argocd"),
    step("3-4", state(4, "nginx:2"), state(4, "nginx:2", paused=True), "10:03:00"),
    step("4-5", state(4, "nginx:2", paused=True), state(5, "nginx:2"), "10:40:00"),
    request(IT, "update", "10:40:00.100", uid=ME, version="5", base="4", user="bob"),
]


def by(found: Difference) -> dict[str, list[str]]:
    """For each field, its writers as (user or field manager)."""
    return {
        one["words"]: [who["user"] or who["field_manager"] for who in one["by"]]
        for one in as_json(found)["fields"]
    }


def test_every_field_is_told_with_all_who_wrote_it() -> None:
    assert by(asked("10:00:30", "11:00:00", *STORY)) == {
        "spec.replicas 2 → 5": ["alice", "bob"],
        "spec.template.spec.containers[web].image nginx:1 → nginx:2": ["argocd"],
    }


def test_only_what_lies_between_counts() -> None:
    found = asked("10:01:00.250", "10:02:30", *STORY)
    assert by(found) == {"spec.template.spec.containers[web].image nginx:1 → nginx:2": ["argocd"]}
    assert (found.old.version, found.new.version, len(found.writings)) == ("2", "3", 1)


def test_what_was_changed_back_is_named() -> None:
    found = asked("10:02:30", "11:00:00", *STORY)
    assert found.changed_back == ("spec.paused",)
    assert "changed in between, and as before: spec.paused" in written(found)


def test_nothing_different() -> None:
    found = asked("10:03:30", "10:30:00", *STORY)
    assert found.is_same
    assert "nothing is different" in written(found)
    assert (list(as_unified(found)), as_patch(found)) == ([], [])


def test_the_unified_diff_is_that_of_yaml() -> None:
    found = asked("10:00:30", "10:01:30", *STORY)
    lines = list(as_unified(found))
    assert lines[0] == "--- deployments.apps/default/it\t2026-11-21T10:00:30.000000000Z"
    assert [line for line in lines[2:] if line[0] in "+-"] == [
        "-  resourceVersion: '1'",
        "+  resourceVersion: '2'",
        "-  replicas: 2",
        "+  replicas: 4",
    ]


def test_the_unified_diff_is_between_the_manifests_that_show_writes() -> None:
    reader = MemoryReader(weave(*STORY))
    old, new = [
        manifest_yaml(manifest_at(reader, IT, at(time))).splitlines() for time in ("10:00:30", "10:01:30")
    ]
    between = difflib.unified_diff(old, new, lineterm="")
    found = as_unified(asked("10:00:30", "10:01:30", *STORY))
    assert list(found)[2:] == list(between)[2:]


def test_the_patch_makes_the_later_of_the_earlier() -> None:
    found = asked("10:00:30", "11:00:00", *STORY)
    assert found.old.manifest is not None
    assert jsonpatch.apply_patch(found.old.manifest, as_patch(found)) == found.new.manifest


GONE: list[Observation] = [
    change(IT, "Deleted", "10:50:00", uid=ME, old="5", version="6", body=state(5, "nginx:2")),
    request(IT, "delete", "10:50:00.010", uid=ME, version="6", user="carol"),
]
AGAIN: list[Observation] = [
    added("10:55:00", 9, state(1, me=uid(2)), me=uid(2)),
    request(IT, "create", "10:55:00.020", uid=uid(2), version="9", code=201, user="dave"),
]


def test_a_deletion_in_between_is_said_with_who_did_it() -> None:
    found = asked("10:45:00", "10:52:00", *STORY, *GONE)
    assert (found.new.presence, found.is_same) == ("deleted", False)
    text = written(found, with_diff=False)
    assert "to   2026-11-21 10:52:00.000 UTC  deleted 10:50:00.010" in text
    assert "deleted 2026-11-21 10:50:00.010: delete by carol" in text
    assert "- spec" in text


def test_a_creation_in_between_is_said() -> None:
    found = asked("09:59:00", "10:00:30", *STORY)
    assert (found.old.presence, found.new.presence) == ("not there yet", "there")
    assert "from 2026-11-21 09:59:00.000 UTC  not there yet" in written(found)
    assert "created 2026-11-21 10:00:00: created" in written(found)
    fields = written(found, with_diff=False)
    assert "\n+ spec" in fields
    assert "\n+ kind" not in fields


def test_an_object_created_again_is_another_one() -> None:
    found = asked("10:45:00", "11:00:00", *STORY, *GONE, *AGAIN)
    assert not found.is_same
    text = written(found)
    assert "it is another object of the same name" in text
    assert text.index("delete by carol") < text.index("create by dave")


def test_the_same_content_under_another_uid_is_not_the_same() -> None:
    again = added("10:55:00", 9, state(5, "nginx:2", me=uid(2)), me=uid(2))
    assert not asked("10:45:00", "11:00:00", *STORY, *GONE, again).is_same


def test_there_at_neither_moment() -> None:
    found = asked("10:51:00", "10:52:00", *STORY, *GONE)
    assert found.is_same
    assert "at neither" in written(found)


def test_what_was_written_before_it_was_created_again_is_lost() -> None:
    found = asked("10:00:30", "11:00:00", *STORY, *GONE, *AGAIN)
    assert found.old.uid != found.new.uid
    assert {who for names in by(found).values() for who in names} == {"dave"}


def test_what_was_there_in_between_only_is_not_as_before() -> None:
    found = asked("09:00:00", "10:52:00", *STORY, *GONE)
    assert found.is_same
    assert (found.changed_back, len(found.lives)) == ((), 2)
    assert "not there yet, created 10:00:00" in written(found)


def test_a_cut_patch_is_told_by_its_words_and_one_without_words_is_counted() -> None:
    new = state(4, "nginx:2")
    story = [
        added("10:00:00", 1, state(2)),
        step("1-2", state(2), state(4), "10:01:00", patch=None, truncated=True, manager="hpa"),
        change(IT, "Modified", "10:02:00", uid=ME, old="2", version="3", truncated=True),
        change(IT, "Sighting", "10:03:00", uid=ME, version="3", body=new),
    ]
    found = asked("10:00:30", "10:05:00", *story)
    assert by(found)["spec.replicas 2 → 4"] == ["hpa"]
    assert by(found)["spec.template.spec.containers[web].image nginx:1 → nginx:2"] == []
    assert found.unread == 1
    assert "nobody was seen changing it" in written(found)
    assert "! 1 change in between cannot be read" in written(found)


def annotated(a: str, b: str) -> dict[str, Any]:
    body = state(1)
    return {**body, "metadata": {**body["metadata"], "annotations": {"x.io/a": a, "x.io/b": b}}}


def test_who_changed_another_key_of_a_map_is_not_named() -> None:
    cut = change(
        IT, "Modified", "10:02:00", uid=ME, old="1", version="2", truncated=True, words=("… 12 more",)
    )
    story = [
        added("10:00:00", 1, annotated("1", "1")),
        cut,
        request(IT, "patch", "10:02:00.000", uid=ME, version="2", user="mallory"),
        change(IT, "Sighting", "10:03:00", uid=ME, version="2", body=annotated("2", "1")),
        step("2-3", annotated("2", "1"), annotated("2", "2"), "10:04:00"),
        request(IT, "patch", "10:04:00.000", uid=ME, version="3", user="alice"),
    ]
    found = asked("10:01:00", "10:10:00", *story)
    assert by(found) == {
        "metadata.annotations['x.io/a'] 1 → 2": [],
        "metadata.annotations['x.io/b'] 1 → 2": ["alice"],
    }
    assert found.unread == 1


def test_items_without_names_are_told_with_all_who_wrote_their_list() -> None:
    def of(*items: int) -> dict[str, Any]:
        return state(1, args=[{"x": item} for item in items])

    story = [
        added("10:00:00", 1, of(1, 2)),
        change(
            IT, "Modified", "10:01:00", uid=ME, old="1", version="2", truncated=True, manager="m",
            words=("spec.args[1].x 2 → 5",),
        ),
        change(IT, "Sighting", "10:03:00", uid=ME, version="2", body=of(4, 2)),
    ]  # fmt: skip
    assert by(asked("10:00:30", "10:05:00", *story)) == {"spec.args[0].x 1 → 4": ["m"]}


def test_a_change_of_which_nothing_is_kept_has_nothing_to_read() -> None:
    story = [
        added("10:00:00", 1, state(1)),
        change(IT, "Modified", "10:05:00", uid=ME, old="1", version="2"),
        step("2-3", state(1), state(2), "10:06:00"),
    ]
    found = asked("10:01:00", "10:10:00", *story)
    assert (found.unread, len(found.fields)) == (0, 1)


def test_a_change_that_is_told_in_part_is_counted() -> None:
    words = ("spec.replicas 2 → 4", "… 3 more")
    story = [
        added("10:00:00", 1, state(2)),
        change(IT, "Modified", "10:01:00", uid=ME, old="1", version="2", truncated=True, words=words),
        change(IT, "Sighting", "10:03:00", uid=ME, version="2", body=state(4, "nginx:2")),
    ]
    assert asked("10:00:30", "10:05:00", *story).unread == 1


def test_too_much_in_between_is_refused() -> None:
    with pytest.raises(UserError, match=r"more than 3 spans\): narrow --from and --to"):
        difference(MemoryReader(weave(*STORY)), IT, since=at("10:00:30"), until=at("11:00:00"), most_spans=3)


def test_two_observers_of_one_version_are_one_writing() -> None:
    large = step("1-3", state(2), state(4, "nginx:2"), "10:02:00", manager="late")
    found = asked("10:00:30", "10:02:30", *STORY, large)
    assert by(found)["spec.replicas 2 → 4"] == ["alice"]


def test_before_anything_is_known_the_error_says_since_when_it_is() -> None:
    seen = change(IT, "Sighting", "10:10:00", uid=ME, version="1", body=state(1))
    with pytest.raises(UserError, match="nothing is known about"):
        asked("10:00:00", "10:20:00", seen)


def test_on_a_terminal_it_has_colours_and_nothing_that_drives_it() -> None:
    evil = [
        added("10:00:00", 1, state(2, "a\x1b[2J")),
        step("1-2", state(2, "a\x1b[2J"), state(2, "b"), "10:01:00"),
    ]
    output = io.StringIO()
    console = Console(file=output, width=200, force_terminal=True, color_system="standard")
    write_difference(asked("10:00:30", "10:02:00", *evil), console)
    text = output.getvalue()
    assert "\x1b[31m" in text  # red: what was
    assert "\x1b[32m" in text  # green: what is
    assert "\x1b[2J" not in text


def test_json_and_yaml_hold_plain_values() -> None:
    shape = as_json(asked("10:00:30", "11:00:00", *STORY))
    assert yaml.safe_load(yaml.safe_dump(shape)) == shape
    assert shape["object"]["kind"] == "Deployment"
    assert parse_timestamp(shape["fields"][0]["by"][0]["time"]) == at("10:01:00.250")


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b"])), min_size=2, max_size=8), st.data())
def test_whatever_happened_the_ends_are_those_and_every_field_has_a_writer(
    states: list[tuple[int, str]], data: st.DataObject
) -> None:
    bodies = [state(*one) for one in states]
    story = [added("10:00:00", 1, bodies[0])]
    story += [
        step(f"{n}-{n + 1}", bodies[n - 1], bodies[n], f"10:{n:02d}:00", manager=f"m{n}")
        for n in range(1, len(bodies))
    ]
    first = data.draw(st.integers(0, len(bodies) - 1))
    last = data.draw(st.integers(first, len(bodies) - 1))
    found = asked(f"10:{first:02d}:30", f"10:{last:02d}:30", *story)
    assert (found.old.manifest, found.new.manifest) == (bodies[first], bodies[last])
    assert found.is_same == (bodies[first] == bodies[last])
    for history in found.fields:
        assert history.by, history.field
    assert jsonpatch.apply_patch(bodies[first], as_patch(found)) == bodies[last]
