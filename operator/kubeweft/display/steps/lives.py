"""Tell the lives of a re-created name apart, by UID.

Changes and answers to requests carry a UID that can be trusted. That of an Event counts only if it looks like one: the
kubelet writes a Node's name there, and for a mirror Pod a hash. What carries none belongs to the life of its time.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

import msgspec

from kubeweft.display.steps.nesting import TOLERANCE
from kubeweft.display.tree.trees import Fact, Life, Node, Tree, each_node, is_of_namespace, succeeded, text_of
from kubeweft.model import vocabulary as v
from kubeweft.model.spans import Span
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
    told = [(fact, [] if is_of_namespace(fact, node.key) else _uids(fact)) for fact in node.facts]
    witnesses: dict[str, list[Fact]] = {}
    for fact, uids in told:
        for uid in uids:
            witnesses.setdefault(uid, []).append(fact)
    if len(witnesses) < 2:
        only = [_life(uid, facts) for uid, facts in witnesses.items()] or [Life(uid="")]
        return msgspec.structs.replace(node, lives=tuple(only))
    lives = sorted(
        [(_life(uid, facts), min(f.start for f in facts)) for uid, facts in witnesses.items()],
        key=lambda known: (known[1] if known[0].created is None else known[0].created, known[0].uid),
    )
    number = {life.uid: index for index, (life, _) in enumerate(lives)}
    begins = [first if life.created is None else min(life.created, first) for life, first in lives]
    facts = [_in_life(fact, number[uids[0]] if uids else _life_of(fact, begins)) for fact, uids in told]
    known = [_asked_for(life, number, facts) for number, (life, _) in enumerate(lives)]
    return msgspec.structs.replace(node, facts=tuple(facts), lives=tuple(known))


def _asked_for(life: Life, number: int, facts: Iterable[Fact]) -> Life:
    """The life from when its creation was asked for, also where the answer carries no UID."""
    asked = [fact.start for fact in facts if fact.life == number and _is_creation(fact.span)]
    if life.created is None or not asked or min(asked) > life.created:
        return life
    return dataclasses.replace(life, created=min(asked))


def _in_life(fact: Fact, life: int) -> Fact:
    if fact.life == life:  # all are of the first until they are told apart
        return fact
    children = tuple([_in_life(child, life) for child in fact.children])
    return msgspec.structs.replace(fact, life=life, children=children)


def _uids(fact: Fact) -> list[str]:
    """The UIDs of which a fact is a witness: its own, and those of what stands under it."""
    uids: list[str] = []
    for part in (fact, *fact.children):
        uid = part.text(v.UID)
        if uid and uid not in uids and (part.span.source != "event" or UUID.fullmatch(uid)):
            uids.append(uid)
    return uids


def _life_of(fact: Fact, begins: list[int]) -> int:
    """The life of a fact that carries no UID. What a creation begins may be told to have begun a little later."""
    if _is_creation(fact.span):
        soon = [index for index, begin in enumerate(begins) if fact.start <= begin <= fact.start + TOLERANCE]
        if soon:
            return soon[0]
    return _life_at(fact.start, begins)


def _life_at(time: int, begins: list[int]) -> int:
    """The life of something that carries no UID: the last that had begun when, or in the second in which, it was."""
    moment = time if time % NANOSECONDS else time + NANOSECONDS - 1
    return max([0, *(index for index, begin in enumerate(begins) if begin <= moment)])


def _life(uid: str, facts: Iterable[Fact]) -> Life:
    """From the first that tells of its creation, in whatever order facts are, to the last that tells of its end."""
    created: list[int] = []
    asked: list[int] = []
    told: list[int] = []
    deleted: list[int] = []
    for fact in _with_children(facts):
        if fact.span.source == "change":
            change_type = fact.text(v.CHANGE_TYPE)
            if change_type == "Added":
                created.append(fact.start)
            elif change_type == "Deleted":
                deleted.append(fact.start)
            if fact.span.body and not told and (time := _creation_time(fact.span.body)):
                told.append(time)  # every body tells the same
        elif _is_creation(fact.span):
            asked.append(fact.start)
    first = next((min(times) for times in (created, asked, told) if times), None)
    return Life(uid=uid, created=first, deleted=max(deleted, default=None))


def _is_creation(span: Span) -> bool:
    """Whether a request created the object."""
    return text_of(span, v.VERB) == "create" and not text_of(span, v.SUBRESOURCE) and succeeded(span)


def _with_children(facts: Iterable[Fact]) -> Iterable[Fact]:
    for fact in facts:
        yield fact
        yield from fact.children


def _creation_time(body: bytes) -> int | None:
    try:
        return parse_timestamp(_body_decoder.decode(body).metadata.creationTimestamp or "") or None
    except msgspec.DecodeError:
        return None
