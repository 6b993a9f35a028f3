"""What a person sees. ``rollout.txt`` is reviewed like code; with ``UPDATE_GOLDEN=1`` the test writes it anew."""

from __future__ import annotations

import io
import os
import random
import re
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from kubeweft.display.reading.following import Limits
from kubeweft.display.reading.searching import query_of, search
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import Tree
from kubeweft.display.writing.text import write_found, write_tree
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import Observation, TraceContext
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from memory_reader import MemoryReader, story_of
from span_builders import at, change, event, gap, key, owner, related, request, to, uid, weave

GOLDEN = Path(__file__).parent / "rollout.txt"
IT, ME = key("configmaps", "it"), uid(1)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def piped(tree: Tree, *, zone: tzinfo = UTC, encoding: str = "utf-8") -> str:
    """The text as another program reads it."""
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    write_tree(tree, console, zone=zone)
    return raw.getvalue().decode(encoding)


def on_terminal(tree: Tree, width: int) -> str:
    """The text as a terminal of that width gets it."""
    file = io.StringIO()
    write_tree(
        tree,
        Console(file=file, force_terminal=True, width=width, color_system="standard", legacy_windows=False),
    )
    return file.getvalue()


def lines_of(*observations: Observation, target: Any = IT) -> list[str]:
    """The piped lines below the head, without times and guides."""
    text = piped(story_of(target, weave(*observations)))
    return [line[14:].lstrip("│├└─ ") for line in text.splitlines()[4:]]


def test_the_rollout_reads_as_reviewed(rollout: list[Span]) -> None:
    text = piped(story_of(key("deployments", "demo"), rollout))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_piped_text_has_no_colour_no_bar_and_nothing_is_cut() -> None:
    message = "a very long message " * 50
    text = piped(story_of(IT, weave(event(IT, "Long", "10:00:00", message=message))))
    assert "\x1b" not in text
    assert message.strip() in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_an_output_that_takes_ascii_only_gets_ascii(rollout: list[Span]) -> None:
    text = piped(story_of(key("deployments", "demo"), rollout), encoding="ascii")
    assert "spec.template.spec.containers[web].image nginx:1.26 -> nginx:1.27" in text
    assert "BackOff x7" in text


def test_the_zone_is_named_and_used() -> None:
    tree = story_of(IT, weave(request(IT, "patch", "23:30:00.000")))
    text = piped(tree, zone=timezone(timedelta(hours=2), "EAST"))
    assert "times in EAST" in text
    assert "\n2026-11-22\n01:30:00 " in text


def test_a_new_day_has_a_line_of_its_own() -> None:
    observations: list[Observation] = [
        change(IT, "Sighting", "23:59:59", uid=ME, version="1"),
        request(IT, "patch", "00:00:01.000", uid=ME, version="2"),
    ]
    spans = [_tomorrow(span) if span.name == "patch" else span for span in weave(*observations)]
    text = piped(story_of(IT, spans))
    assert [line for line in text.splitlines() if line.startswith("2026")] == ["2026-11-21", "2026-11-22"]


def test_a_terminal_folds_long_lines_and_loses_nothing(rollout: list[Span]) -> None:
    tree = story_of(key("deployments", "demo"), rollout)
    for width in (60, 80, 119, 120, 200):
        plain = ANSI.sub("", on_terminal(tree, width))
        assert max(len(line) for line in plain.splitlines()[3:]) <= width
        words = re.sub(r"[\s│├└─●━]+", "", plain)
        assert "Operationcannotbefulfilledondeployments.apps" in words
        assert ("●" in plain) == (width >= 120)


def test_the_bar_is_in_the_same_columns_on_every_line(rollout: list[Span]) -> None:
    for width, first in ((120, 100), (150, 110), (220, 180)):
        plain = ANSI.sub("", on_terminal(story_of(key("deployments", "demo"), rollout), width))
        bars = [match for line in plain.splitlines() if (match := re.search(r"[●━]+$", line))]
        assert min(match.start() for match in bars) == first
        assert max(match.end() for match in bars) == width


def test_colours_tell_success_warning_and_failure(rollout: list[Span]) -> None:
    text = on_terminal(story_of(key("deployments", "demo"), rollout), 200)
    red, green, yellow = "\x1b[31m", "\x1b[32m", "\x1b[33m"
    assert f"{green} → 201" in text
    assert f"{red} → 409" in text
    assert f"{yellow}Warning " in text
    assert f"{red}nginx:1.26" in text
    assert f"{green}nginx:1.27" in text


def test_nothing_that_somebody_wrote_can_drive_the_terminal() -> None:
    nasty = "no\u00a0break \x1b[2J\x1b]0;owned\x07 line\nbreak \u202etxt.exe \x9b31m [bold red]no markup[/] \ud800"
    tree = story_of(
        IT,
        weave(
            event(IT, "Bad\x1b[31m", "10:00:00", message=nasty, reporter="\x1b"),
            request(IT, "patch", "10:00:01.000", user=nasty, agent="\x1b]8;;evil", code=500, message=nasty),
            change(
                IT, "Modified", "10:00:02", uid=ME, old="1", version="2", words=("spec.a\x1b[1m 1 → \x1b[2m",)
            ),
        ),
    )
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", piped(tree))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", ANSI.sub("", on_terminal(tree, 150)))
    assert "[bold red]no markup[/]" in piped(tree)
    assert "no\u00a0break \\x1b[2J" in piped(tree)


def test_lives_stand_apart() -> None:
    spans = weave(
        request(IT, "create", "10:00:00.100", code=201, uid=uid(1), version="1"),
        change(IT, "Added", "10:00:00", uid=uid(1), version="1"),
        request(IT, "delete", "10:01:00.100", uid=uid(1)),
        change(IT, "Deleted", "10:01:00", uid=uid(1), old="1", version="2"),
        change(IT, "Added", "10:02:00", uid=uid(2), version="3", manager="kubectl"),
    )
    assert piped(story_of(IT, spans)).splitlines()[4:] == [
        "10:00:00.100  ConfigMap default/it  2 lives",
        f"10:00:00.100  ├─ life 1 · uid {uid(1)}  created · deleted 10:01:00.100 after 1m00s",
        "10:00:00.100  │  ├─ create by kubernetes-admin (kubectl) → 201 12ms",
        "10:01:00.100  │  └─ delete by kubernetes-admin (kubectl) → 200 12ms",
        "              │        the object is gone",
        "10:02:00      └─ life 2 · uid 00000000-0000-4000-8000-000000000002  created",
        "10:02:00         └─ created by kubectl (Update)",
    ]


def test_gaps_are_marked() -> None:
    assert lines_of(
        gap(IT, "WatchExpired", "10:00:00", "10:01:30", message="410 Gone", count=3),
        gap(key("configmaps", "", namespace=""), "Down", "10:02:00", "10:02:00"),
    )[1:] == ["gap WatchExpired: 410 Gone (3 missed) 1m30s", "gap of all configmaps Down"]


def test_requests_say_who_and_how_it_went() -> None:
    assert lines_of(
        request(IT, "patch", "10:00:00.000", user="admin", impersonated="alice", agent=""),
        request(
            IT, "update", "10:00:01.000", code=422, reason="Invalid", message="no such field", dry_run=True
        ),
        request(IT, "patch", "10:00:02.000", code=0, took=0, user=""),
    )[1:] == [
        "patch by admin as alice → 200 12ms",
        "update (dry run) by kubernetes-admin (kubectl) → 422 Invalid 12ms",
        "no such field",
        "patch by somebody (kubectl) → no answer",
    ]


def test_a_storm_says_who_failed_how_often() -> None:
    storm = [
        request(IT, "update", f"10:00:0{n}.000", code=409, base="7", user=user, reason="Conflict", agent="")
        for n, user in enumerate(("bob", "alice", "bob"))
    ]
    assert lines_of(*storm)[1:] == [
        "update by bob and others → 409 Conflict ×3 against version 7 2.0s",
        "1 by alice, 2 by bob",
    ]


def test_words_are_written_as_they_are() -> None:
    words = (
        "metadata.annotations['a b'] x y → z",
        "+ spec.nodeName = node-1",
        "- spec.paused (was true)",
        "… 3 more",
    )
    assert lines_of(change(IT, "Modified", "10:00:00", uid=ME, old="1", version="2", words=words))[
        2:
    ] == list(words)


def test_numbers_that_a_store_gave_back_as_text_are_numbers() -> None:
    def as_text(span: Span) -> Span:
        return msgspec.structs.replace(
            span, attributes={name: str(value) for name, value in span.attributes.items()}
        )

    spans = [
        as_text(span) if span.source != "object" else span
        for span in weave(request(IT, "patch", "10:00:00.000"))
    ]
    assert "patch by kubernetes-admin (kubectl) → 200 12ms" in piped(story_of(IT, spans))


def test_changes_say_how_much_is_known() -> None:
    body: dict[str, object] = {"metadata": {"creationTimestamp": "2026-11-01T08:00:00Z"}}
    assert lines_of(
        change(IT, "Sighting", "10:00:00", uid=ME, version="4", body=body),
        change(
            IT,
            "Modified",
            "10:00:01",
            uid=ME,
            old="4",
            version="5",
            receipt=True,
            truncated=True,
            words=("… 3 more",),
        ),
    ) == [
        "ConfigMap default/it  created 2026-11-01 08:00:00",
        "seen as version 4",
        "changed (time of receipt)",
        "… 3 more",
        "(the patch was too long to be kept)",
    ]


def test_events_say_how_often_and_whose_clock_is_wrong() -> None:
    assert lines_of(
        event(IT, "Failed", "10:05:00", type="Warning", message="no", count=4, first="10:01:00"),
        event(IT, "Ahead", "10:06:00", skew=3600),
    )[1:] == [
        "Warning Failed ×4 since 10:01:00 no (kubelet)",
        "Normal Ahead (kubelet) (its clock was 3600s ahead)",
    ]


def test_other_owners_have_a_line() -> None:
    owners = (owner(key("deployments", "top"), uid(5), controller=False),)
    assert lines_of(change(IT, "Added", "10:00:00", uid=ME, version="1", owners=owners))[1] == (
        "owner: deployments.apps/default/top (Owns)"
    )


def federated() -> list[Span]:
    """A Deployment with a copy in another cluster that refers back to it, a Pod on a Node, and a Helm release."""
    hub, member = key("deployments", "web"), key("deployments", "web", cluster="member-1")
    pod, node = key("pods", "web-1", cluster="member-1"), key("nodes", "n1", cluster="member-1")
    secrets = [ObjectKey("member-1", "", "secrets", "kube-system", f"s{number}") for number in range(11)]
    release = ObjectKey("demo", "helm.sh", "releases", "default", "shop")
    return weave(
        change(hub, "Added", "10:00:00", uid=uid(1), version="1"),
        change(member, "Added", "10:00:01", uid=uid(2), version="1"),
        change(pod, "Added", "10:00:02", uid=uid(3), version="2", owners=(owner(member, uid(2)),)),
        event(node, "NodeNotReady", "10:00:09", type="Warning", reporter="node-controller"),
        related(hub, to(member, "Child", "Federates"), to(release, "Parent", "Installs")),
        related(member, to(hub, "Parent", "Federates", "back"), to(hub, "Child", "Reports")),
        related(pod, to(node, "Peer", "RunsOn"), *[to(secret, "Peer", "Mounts") for secret in secrets]),
    )


def test_links_that_rules_made_and_the_cluster_of_each_object() -> None:
    text = piped(story_of(key("deployments", "web"), federated(), kinds=Kinds()))
    names = ", ".join(f"secret/s{number} in kube-system" for number in (0, 1, 10, 2, 3, 4, 5, 6))
    assert text.splitlines() == [
        "Deployment default/web  in cluster demo",
        "3 objects · 1 linked · 4 facts · 1 window · 2.0s · times in UTC · uid 00000000-0000-4000-8000-000000000001",
        "",
        "2026-11-21",
        "10:00:00      [demo] Deployment default/web  created",
        "              │  ↑ Installs releases.helm.sh/shop",
        "              │  ↑ Reports [member-1] deployment/web",
        "10:00:00      ├─ created",
        "10:00:01      ├─ [member-1] Deployment default/web (Federates)  created",
        "              │  │  ↓ Reports [demo] deployment/web",
        "10:00:01      │  ├─ created",
        "10:00:02      │  └─ [member-1] Pod default/web-1  created",
        f"              │     │  ↔ Mounts {names} and 3 more",
        "              │     │  ↔ RunsOn node/n1",
        "10:00:02      │     └─ created",
        "              └─ linked objects",
        "10:00:09         └─ [member-1] Node n1 (RunsOn)",
        "                    │  linked with pod/web-1 in default",
        "10:00:09            └─ Warning NodeNotReady (node-controller)",
    ]


def test_whatever_order_spans_arrive_in_the_text_is_the_same() -> None:
    spans = federated()
    expected = piped(story_of(key("deployments", "web"), spans, linked="full"))
    for seed in range(10):
        shuffled = spans * 2
        random.Random(seed).shuffle(shuffled)
        assert piped(story_of(key("deployments", "web"), shuffled, linked="full")) == expected


def test_a_kind_that_one_object_told_names_others_of_its_type() -> None:
    one, two = key("widgets", "one"), key("widgets", "two")
    spans = weave(
        change(one, "Added", "10:00:00", uid=ME, version="1"), related(one, to(two, "Peer", "Near"))
    )
    assert "↔ Near widget/two" in piped(story_of(one, spans, linked="full"))


def test_one_cluster_is_named_once() -> None:
    text = piped(story_of(key("pods", "web-1", cluster="member-1"), federated()))
    assert text.count("member-1") == 1
    assert "[demo]" not in text


def test_an_owner_elsewhere_says_in_which_cluster() -> None:
    text = piped(story_of(key("deployments", "web", cluster="member-1"), federated(), linked="none"))
    assert "[demo] Deployment default/web (Reports)" in text


def test_links_in_ascii() -> None:
    text = piped(story_of(key("deployments", "web"), federated()), encoding="ascii")
    assert "^ Installs releases.helm.sh/shop" in text
    assert "v Reports [demo] deployment/web" in text
    assert "<-> RunsOn node/n1" in text


def test_linked_objects_are_on_the_axis_of_time() -> None:
    tree = story_of(key("deployments", "web"), federated())
    plain = ANSI.sub("", on_terminal(tree, 150))
    (warning,) = [line for line in plain.splitlines() if "NodeNotReady" in line]
    assert warning.rstrip().endswith("●")
    assert len(warning.rstrip()) == 150, "the last of everything shown"
    assert [line for line in plain.splitlines() if line.rstrip().endswith("10:00:09.000")]


def test_spans_of_other_tracing_systems_are_named() -> None:
    context = TraceContext(b"\x4b" * 16, b"\x0f" * 8, "tracing.k8s.io/traceparent")
    line = f"⇢ trace {'4b' * 16} span {'0f' * 8} (tracing.k8s.io/traceparent)"
    added = change(IT, "Added", "10:00:00", uid=ME, version="1", contexts=(context,))
    assert lines_of(added)[1:] == ["created", line]
    by_request = request(IT, "create", "10:00:00.100", code=201, uid=ME, version="1")
    assert lines_of(by_request, added)[1:] == ["create by kubernetes-admin (kubectl) → 201 12ms", line]


def test_what_rules_and_annotations_name_cannot_drive_the_terminal() -> None:
    nasty = ObjectKey("demo", "", "secrets", "default", "a\x1b[2Jb")
    text = piped(
        story_of(
            IT,
            weave(
                request(IT, "patch", "10:00:00.000"),
                related(IT, to(nasty, "Peer", "Cl\x1bass"), to(nasty, "Parent", "Cl\x1bass")),
            ),
            linked="full",
        )
    )
    assert "\x1b" not in text
    assert "↔ Cl\\x1bass secrets/a\\x1b[2Jb" in text


def test_limits_of_linked_objects_are_shown() -> None:
    peers = [key("nodes", f"n{number}") for number in range(6)]
    tree = story_of(
        IT,
        weave(
            request(IT, "patch", "10:00:00.000"),
            related(IT, *[to(peer, "Peer", "Uses") for peer in peers]),
            *[event(peer, f"E{n}", "10:00:01", type="Warning") for peer in peers for n in range(3)],
        ),
        limits=Limits(linked=2, linked_facts=1, linked_read=4),
    )
    assert [line.split(":")[0] for line in piped(tree).splitlines()[-3:]] == [
        "! 2 more Nodes linked with configmaps/default/it not looked into (4 looked into)",
        "! 2 more objects linked with configmaps/default/it not shown (2 shown)",
        "! 4 more facts of objects linked with configmaps/default/it not shown (1 of each shown)",
    ]


def test_limits_are_shown() -> None:
    rs = key("replicasets", "rs")
    pods = [
        change(key("pods", f"p{n}"), "Added", "10:00:00", uid=uid(n), version=str(n), owners=(owner(rs, ME),))
        for n in range(2, 9)
    ]
    tree = read_story(MemoryReader(weave(*pods)), rs, limits=Limits(objects=4))
    assert piped(tree).splitlines()[-1] == (
        "! 4 more Pods owned by replicasets.apps/default/rs not shown (3 shown):"
        " narrow the time with --since and --until, or show one of its objects"
    )


def test_an_empty_time_says_so() -> None:
    spans = weave(request(IT, "patch", "10:10:00.000"))
    assert "nothing happened to it in this time" in piped(story_of(IT, spans, since=at("10:20:00")))


def test_what_concerned_a_whole_type_has_a_name_all_the_same() -> None:
    every = IT._replace(name="")
    reader = MemoryReader(weave(request(every, "deletecollection", "10:00:00.000")))
    file = io.StringIO()
    write_found(search(reader, query_of(Kinds())), Console(file=file))
    assert file.getvalue().splitlines()[1].split()[3] == "(all)"


def test_found_objects_are_columns_that_are_never_cut() -> None:
    long = key("pods", "a-name-that-is-longer-than-a-terminal-" * 4)
    reader = MemoryReader(weave(request(IT, "patch", "10:00:00.000"), request(long, "patch", "10:00:01.000")))
    file = io.StringIO()
    write_found(search(reader, query_of(Kinds(), limit=1)), Console(file=file))
    head, first, more = file.getvalue().splitlines()
    assert head.split() == [
        "CLUSTER",
        "KIND",
        "NAMESPACE",
        "NAME",
        "FIRST",
        "(UTC)",
        "LAST",
        "(UTC)",
        "WINDOWS",
    ]
    assert first.split() == ["demo", "pods", "default", long.name, *["2026-11-21", "10:00:01"] * 2, "1"]
    assert more == "there are more: narrow the search, or raise --limit"


def _tomorrow(span: Span) -> Span:
    day = 86_400 * 1_000_000_000
    return msgspec.structs.replace(span, start=span.start + day, end=span.end + day)
