"""``docs/vocabulary.md`` lists every attribute, and says rightly on which spans it is."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from kubeweft.model import vocabulary
from kubeweft.model.references import group_resource
from kubeweft.model.spans import SOURCES, Span
from kubeweft.otlp.attributes import LARGEST_SNAPSHOT, resource_attributes, span_attributes
from span_builders import change, event, gap, key, owner, request, uid, weave

ROOT = Path(__file__).parents[3]
ROWS = re.findall(
    r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs/vocabulary.md").read_text(), re.MULTILINE
)
ON = {name: set(SOURCES) if on == "all" else set(on.split(", ")) for name, on, _ in ROWS}
NAMES = {name: text for name, text in vars(vocabulary).items() if name.isupper() and isinstance(text, str)}


def test_the_page_lists_every_attribute_once() -> None:
    listed = [name for name, _, _ in ROWS]
    assert len(listed) == len(set(listed))
    assert set(listed) == {*NAMES.values(), *vocabulary.NAMES_OF_KINDS.values()}


def test_the_page_names_kinds_of_spans_that_there_are() -> None:
    assert set().union(*ON.values()) == set(SOURCES)


def test_names_of_kinds_stand_beside_their_kinds() -> None:
    meanings = {name: meaning for name, _, meaning in ROWS}
    for (group, resource), name in vocabulary.NAMES_OF_KINDS.items():
        assert meanings[name] == group_resource(group, resource)


def test_no_two_attributes_share_a_name() -> None:
    assert len(set(NAMES.values())) == len(NAMES)


def test_every_attribute_is_written_or_read_by_somebody() -> None:
    code = "\n".join(
        file.read_text() for file in (ROOT / "operator").rglob("*.py") if file.name != "vocabulary.py"
    )
    used = set(re.findall(r"\b(?:v|vocabulary)\.([A-Z_]+)", code))
    assert set(NAMES) <= used, set(NAMES) - used


def one_of_everything() -> list[Span]:
    pod, rs = key("pods", "p"), key("replicasets", "rs")
    owners = (owner(rs, uid(1)), owner(key("nodes", "n1"), uid(2), controller=False))
    plain = request(pod, "get", "10:00:00", reason="", took=1)
    told = request(
        pod,
        "patch",
        "10:00:01",
        code=409,
        uid=uid(3),
        version="9",
        base="8",
        subresource="status",
        impersonated="somebody",
        reason="Conflict",
        message="it has changed",
        kind="Pod",
        dry_run=True,
    )
    body: dict[str, object] = {"kind": "Pod"}
    large: dict[str, object] = {"data": "x" * LARGEST_SNAPSHOT}
    return weave(
        plain,
        told,
        change(pod, "Added", "10:00:02", uid=uid(3), version="8", body=body, owners=owners),
        change(
            pod,
            "Modified",
            "10:00:03",
            uid=uid(3),
            version="9",
            old="8",
            words=("a 1 → 2",),
            patch=[{"op": "remove", "path": "/a"}],
            manager="kubectl",
            subresource="status",
        ),
        change(pod, "Modified", "10:00:04", uid=uid(3), version="10", old="9", truncated=True, receipt=True),
        change(pod, "Sighting", "10:00:04", uid=uid(3), version="10", body=large),
        event(pod, "BackOff", "10:00:05", message="m", uid=uid(3), count=3, skew=7),
        gap(pod, "Expired", "10:00:06", "10:00:09", message="too old", count=2),
    )


def test_spans_carry_only_what_the_page_says() -> None:
    written: dict[str, set[str]] = defaultdict(set)
    for span in one_of_everything():
        written[span.source].update(span_attributes(span), resource_attributes(span.key, span.source))
    assert set(written) == set(SOURCES)
    for source, names in written.items():
        assert {name for name in names if source not in ON[name]} == set(), source


def test_most_of_what_the_page_says_is_seen_on_these_few_spans() -> None:
    """So that the test before this one means something."""
    written = {
        (span.source, name)
        for span in one_of_everything()
        for name in {**span_attributes(span), **resource_attributes(span.key, span.source)}
    }
    promised = {(source, name) for name, sources in ON.items() for source in sources}
    missing = {name for _, name in promised - written} - set(vocabulary.NAMES_OF_KINDS.values())
    rare = {
        vocabulary.AUDIT_STAGE,
        vocabulary.BODY_TRUNCATED,
        vocabulary.URL_QUERY,
        vocabulary.EVENT_ACTION,
        vocabulary.EVENT_FIELD_PATH,
        vocabulary.GENERATION,
        vocabulary.API_VERSION,
        vocabulary.LINK_ANNOTATION,
        vocabulary.LINK_GROUPING,
    }
    assert missing == rare
