"""The tree as lines in order, before anything is known of the width they are written in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from kubeweft.display.tree.made import has_lives_apart, true_start
from kubeweft.display.tree.trees import FOREVER, Fact, Life, Node, Tree
from kubeweft.display.words.link_wording import word_linkers, word_links
from kubeweft.display.words.pens import Pen
from kubeweft.display.words.wording import is_detail, word_fact, word_life, word_object
from kubeweft.model import vocabulary as v
from kubeweft.model.windows import NANOSECONDS

BRANCH, LAST_BRANCH, LINE, BLANK = "├─ ", "└─ ", "│  ", "   "


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree before it is laid out; ``hang`` guides the lines into which it may be folded."""

    content: Text
    guide: str
    hang: str
    time: int | None = None
    whole_second: bool = False
    bar: tuple[int, int] | None = None
    style: str = ""


@dataclass(frozen=True, slots=True)
class _LifeOf:
    life: Life
    number: int
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class _Linked:
    """The objects beside the tree, which stand last under the root."""

    nodes: tuple[Node, ...]


_Part = Fact | Node | _LifeOf | _Linked


def tree_rows(tree: Tree, pen: Pen) -> Iterator[Row]:
    """All lines of a tree, those of linked objects last."""
    yield from _node_rows(tree.root, "", "", pen, linked=tree.linked)


def _node_rows(
    node: Node, guide: str, rest: str, pen: Pen, *, linked: tuple[Node, ...] = ()
) -> Iterator[Row]:
    parts = (*_parts(node), _Linked(linked)) if linked else _parts(node)
    begin = _begin(node)
    under = rest + (LINE if parts else BLANK)
    yield Row(
        word_object(node, begin, pen),
        guide,
        under,
        time=begin,
        whole_second=begin % NANOSECONDS == 0,
        bar=_lifetime(node),
        style="cyan",
    )
    for line in word_links(node, pen):
        yield Row(line, under, under)
    yield from _branches(parts, node, rest, pen)


def _begin(node: Node) -> int:
    """When the object was created, if that is in the tree, else when it is first heard of."""
    created = node.lives[0].created if node.lives else None
    return created if created is not None and node.start <= created <= node.end else node.start


def _lifetime(node: Node) -> tuple[int, int]:
    """From creation to deletion; what nobody saw deleted was there to the end."""
    if not node.facts:
        return node.start, node.end
    deleted = node.lives[-1].deleted if node.lives else None
    created = node.lives[0].created if node.lives else None
    return node.start if created is None else created, FOREVER if deleted is None else deleted


def _parts(node: Node) -> Sequence[_Part]:
    if not has_lives_apart(node):
        return (*node.facts, *node.children)
    lives = [
        _LifeOf(life, index + 1, tuple([f for f in node.facts if f.life == index]))
        for index, life in enumerate(node.lives)
    ]
    lives = [life for life in lives if life.facts]  # of the others nothing is in the time or the view
    return (*lives, *node.children)


def _branches(
    parts: Sequence[_Part], node: Node, rest: str, pen: Pen, *, of: Fact | None = None
) -> Iterator[Row]:
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        guide, under = rest + (LAST_BRANCH if is_last else BRANCH), rest + (BLANK if is_last else LINE)
        if isinstance(part, Fact):
            yield from _fact_rows(part, node, (guide, under), pen, of=of)
        elif isinstance(part, Node):
            yield from _node_rows(part, guide, under, pen)
        elif isinstance(part, _Linked):
            yield Row(pen.write(("linked objects", "bold")), guide, under + LINE)
            for number, beside in enumerate(part.nodes):
                yield from _linked_rows(beside, under, pen, is_last=number == len(part.nodes) - 1)
        else:
            yield from _life_rows(part, node, guide, under, pen)


def _linked_rows(node: Node, rest: str, pen: Pen, *, is_last: bool) -> Iterator[Row]:
    below = rest + (BLANK if is_last else LINE)
    head, *rows = _node_rows(node, rest + (LAST_BRANCH if is_last else BRANCH), below, pen)
    yield head
    yield Row(word_linkers(node, pen), head.hang, head.hang)
    yield from rows


def _life_rows(part: _LifeOf, node: Node, guide: str, rest: str, pen: Pen) -> Iterator[Row]:
    first = part.facts[0].start
    created = part.life.created
    start = created if created is not None and node.start <= created <= node.end else first
    end = max([start, *(fact.end for fact in part.facts)])
    yield Row(
        word_life(part.life, part.number, start, pen),
        guide,
        rest + LINE,
        time=start,
        whole_second=start % NANOSECONDS == 0,
        bar=(start, end),
        style="magenta",
    )
    yield from _branches(part.facts, node, rest, pen)


def _fact_rows(
    fact: Fact, node: Node, guides: tuple[str, str], pen: Pen, *, of: Fact | None
) -> Iterator[Row]:
    guide, rest = guides
    wording = word_fact(fact, node, pen, under=of)
    below = [child for child in fact.children if not is_detail(child, fact)]
    under = rest + (LINE if below else BLANK)
    begin = true_start(fact)
    yield Row(
        wording.headline,
        guide,
        under,
        time=begin,
        whole_second=begin % NANOSECONDS == 0 and _tells_seconds(fact),
        bar=(fact.start, fact.end),
        style=wording.style,
    )
    for detail in wording.details:
        yield Row(detail, under, under + BLANK)
    yield from _branches(below, node, rest, pen, of=fact)


def _tells_seconds(fact: Fact) -> bool:
    """Whether no more than the second is known of when the fact began."""
    source = fact.span.source
    if source == "event":
        return fact.folds == "series" or fact.span.start == fact.span.end
    if source == "change":
        return fact.text(v.TIME_SOURCE) in ("object", "")
    return source in ("object", "group")
