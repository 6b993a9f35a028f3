"""Tell the lives of a re-created name apart, by UID.

Changes and answers to requests carry a UID that can be trusted. That of an Event counts only if it looks like one: the
kubelet writes a Node's name there, and for a mirror Pod a hash. What carries none belongs to the life of its time.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

import msgspec

from kubeweft.display.trees import Fact, Life, Node, Tree, each_node, succeeded
from kubeweft.model import vocabulary as v
from kubeweft.model.timestamps import parse_timestamp
from kubeweft.model.windows import NANOSECONDS

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Metadata(msgspec.Struct):
    creationTimestamp: str | None = None  # noqa: N815  as Kubernetes writes it


class _Body(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


_body_decoder = msgspec.json.Decoder(_Body)


def split_lives(tree: Tree) -> Tree:
    """Every object knows its lives, oldest first, and every fact the life it belongs to."""
    return each_node(tree, _split)


def _split(node: Node) -> Node:
    witnesses: dict[str, list[Fact]] = {}
    for fact in node.facts:
        for uid in dict.fromkeys(_uids(fact)):
            witnesses.setdefault(uid, []).append(fact)
    if not witnesses:
        return dataclasses.replace(node, lives=(Life(uid=""),))
    lives = sorted(
        [(_life(uid, facts), min(f.start for f in facts)) for uid, facts in witnesses.items()],
        key=lambda known: (known[1] if known[0].created is None else known[0].created, known[0].uid),
    )
    number = {life.uid: index for index, (life, _) in enumerate(lives)}
    begins = [first if life.created is None else min(life.created, first) for life, first in lives]
    facts = [dataclasses.replace(f, life=_life_of(f, number, begins)) for f in node.facts]
    return dataclasses.replace(node, facts=tuple(facts), lives=tuple([life for life, _ in lives]))


def _uids(fact: Fact) -> Iterable[str]:
    """The UIDs of which a fact is a witness: its own, and those of what stands under it."""
    for part in (fact, *fact.children):
        uid = part.text(v.UID)
        if uid and (part.span.source != "event" or UUID.fullmatch(uid)):
            yield uid


def _life_of(fact: Fact, number: dict[str, int], begins: list[int]) -> int:
    for uid in _uids(fact):
        return number[uid]
    moment = fact.start if fact.start % NANOSECONDS else fact.start + NANOSECONDS - 1
    return max([0, *(i for i, begin in enumerate(begins) if begin <= moment)])


def _life(uid: str, facts: Iterable[Fact]) -> Life:
    created: int | None = None
    asked: int | None = None
    told: int | None = None
    deleted: int | None = None
    for fact in _with_children(facts):
        change_type = fact.text(v.CHANGE_TYPE)
        if change_type == "Added":
            created = fact.start
        elif change_type == "Deleted":
            deleted = fact.start
        if change_type and fact.span.body and told is None:
            told = _creation_time(fact.span.body)
        if fact.text(v.VERB) == "create" and not fact.text(v.SUBRESOURCE) and succeeded(fact.span):
            asked = fact.start
    return Life(
        uid=uid, created=next((t for t in (created, asked, told) if t is not None), None), deleted=deleted
    )


def _with_children(facts: Iterable[Fact]) -> Iterable[Fact]:
    for fact in facts:
        yield fact
        yield from fact.children


def _creation_time(body: bytes) -> int | None:
    try:
        return parse_timestamp(_body_decoder.decode(body).metadata.creationTimestamp or "") or None
    except msgspec.DecodeError:
        return None
