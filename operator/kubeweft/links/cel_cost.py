"""How much work and memory an expression can take, bounded before it is evaluated.

The evaluator stops after 10,000 steps of loops, but one step may join long strings or compare whole objects. So the
compiled form is read once, the costly steps in it are counted, apart for those inside loops, and what they can cost
for an object of known size is compared with a budget. The bound is generous, not exact: it is meant to hold back
seconds and gigabytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kubeweft.links.cel_data import Size
from kubeweft.links.cel_functions import METERED_NAMES
from kubeweft.links.cel_tree import Call, Const, Ident, Listing, Loop, Node, Select

MOST_STEPS: Final = 10_000  # the evaluator's own limit on steps of loops
MOST_JOINED: Final = 256_000_000  # characters that "+" may copy in one evaluation
MOST_COMPARED: Final = 20_000_000  # characters' worth of comparing, about a second
_LARGEST_VALUE: Final = 16_000_000
_BESIDE: Final = 16  # memory of a value in a list, in characters
_MATCHING: Final = 4  # matching an expression costs this many times what reading does
_EQUALITIES: Final = frozenset({"_==_", "_!=_", "@in"})
_OBJECT: Final = Ident("object")
_OPTIONAL_SELECT: Final = "_?._"
_READERS: Final = frozenset(
    {
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "string",
        "bytes",
        "timestamp",
        "duration",
        "int",
        "uint",
        "double",
    }
)


class Bound(NamedTuple):
    """An upper bound in characters: ``units`` times the longest of the data, and ``text`` from the expression."""

    units: float = 0.0
    text: float = 0.0

    def plus(self, other: Bound) -> Bound:
        """Both together."""
        return Bound(self.units + other.units, self.text + other.text)

    def most(self, other: Bound) -> Bound:
        """Whichever is larger."""
        return Bound(max(self.units, other.units), max(self.text, other.text))

    def at(self, unit: float) -> float:
        """The bound in characters for data of this size."""
        return self.units * unit + self.text


class Cost:
    """What an expression costs: counted per depth of loops, the depth being the index."""

    __slots__ = ("compares", "fields", "joins", "literal", "makes_lists", "matches", "names", "refusal")

    def __init__(self) -> None:
        """Nothing counted yet. ``names`` are the variables read, ``fields`` those of ``object``, None where it is all."""
        self.joins: dict[int, Bound] = {}
        self.compares: dict[int, int] = {}
        self.matches: dict[int, Bound] = {}
        self.literal = 1
        self.makes_lists = False
        self.refusal = ""
        self.names: set[str] = set()
        self.fields: set[str] | None = set()

    def excess(self, size: Size) -> str:
        """Why an object of this size is too large for the expression, or nothing."""
        unit = float(max(size.longest, _BESIDE * size.largest, 1))
        joined = sum(bound.at(unit) * self._steps(depth, size) for depth, bound in self.joins.items())
        if joined > MOST_JOINED:
            return "the expression joins too many or too long strings or lists for an object of this size"
        whole = size.total + _BESIDE * size.values
        compared = sum(count * whole * self._steps(depth, size) for depth, count in self.compares.items())
        compared += sum(bound.at(unit) * self._steps(depth, size) for depth, bound in self.matches.items())
        if compared > MOST_COMPARED:
            return "the expression compares too much in loops for an object of this size"
        return ""

    def _steps(self, depth: int, size: Size) -> float:
        if not depth:
            return 1
        if self.makes_lists:
            return MOST_STEPS
        return float(min(MOST_STEPS, max(size.largest, self.literal, 1) ** depth))


def cost_of(tree: Node) -> Cost:
    """The cost of an expression."""
    cost = Cost()
    _Counter(cost).bound(tree, {}, 0)
    largest = max([bound.at(256.0) for bound in cost.joins.values()], default=0.0)
    if largest > _LARGEST_VALUE:
        cost.refusal = "the expression doubles strings or lists too often"
    return cost


class _Counter:
    """Walks the tree once; gives for each part how large its value can be."""

    def __init__(self, cost: Cost) -> None:
        self._cost = cost

    def bound(self, node: Node, names: dict[str, Bound], depth: int) -> Bound:
        """The size of the value of ``node``, where ``names`` gives those of the variables of loops."""
        if isinstance(node, Const):
            return Bound(0.0, float(len(node.text)))
        if isinstance(node, Ident):
            self._note(node.name, names)
            return names.get(node.name, Bound(1.0))
        if isinstance(node, Select):
            return self._select(node, names, depth)
        if isinstance(node, Listing):
            return self._listing(node, names, depth)
        if isinstance(node, Loop):
            return self._loop(node, names, depth)
        return self._call(node, names, depth)

    def _select(self, node: Select, names: dict[str, Bound], depth: int) -> Bound:
        if node.operand == _OBJECT and "object" not in names:
            self._cost.names.add("object")
            if self._cost.fields is not None:
                self._cost.fields.add(node.field)
            return Bound(1.0)
        return self.bound(node.operand, names, depth)

    def _note(self, name: str, names: dict[str, Bound]) -> None:
        if name not in names:
            self._cost.names.add(name)
            if name == "object":
                self._cost.fields = None

    def _listing(self, node: Listing, names: dict[str, Bound], depth: int) -> Bound:
        self._cost.literal = max(self._cost.literal, len(node.items))
        largest = Bound(0.0, float(_BESIDE * len(node.items)))
        for item in node.items:
            largest = largest.most(self.bound(item, names, depth))
        return largest

    def _loop(self, node: Loop, names: dict[str, Bound], depth: int) -> Bound:
        inner = dict(names)
        over = self.bound(node.range, names, depth)
        inner[node.variable] = over
        if node.second:
            inner[node.second] = over
        inner[node.result] = self.bound(node.start, names, depth)
        self.bound(node.condition, inner, depth + 1)
        step = self.bound(node.step, inner, depth + 1)
        inner[node.result] = inner[node.result].most(step)
        return step.most(self.bound(node.outcome, inner, depth))

    def _call(self, node: Call, names: dict[str, Bound], depth: int) -> Bound:
        if node.function == _OPTIONAL_SELECT and isinstance(node.items[1], Const):
            node = Call(node.function, (Select(node.items[0], node.items[1].text), node.items[1]))
        sizes = [self.bound(item, names, depth) for item in node.items]
        largest = Bound()
        for each in sizes:
            largest = largest.most(each)
        if node.function == "_+_":
            return self._sum(node, sizes, largest, depth)
        if node.function in METERED_NAMES:
            self._cost.makes_lists |= node.function == "split"
            return Bound(1.0).most(largest)
        if node.function in _EQUALITIES and not any(map(_is_plain, node.items)):
            self._cost.compares[depth] = self._cost.compares.get(depth, 0) + 1
        elif node.function == "matches":
            self._read(largest, depth, _MATCHING)
        elif node.function in _READERS or node.function in _EQUALITIES:
            self._read(largest, depth, 0.1)
        return largest

    def _sum(self, node: Call, sizes: list[Bound], largest: Bound, depth: int) -> Bound:
        """What macros collect grows by one item a step, and in place: that is no joining."""
        if any(isinstance(item, Ident) and item.name.startswith("@") for item in node.items):
            return largest
        total = Bound()
        for each in sizes:
            total = total.plus(each)
        self._cost.makes_lists = True
        self._cost.joins[depth] = self._cost.joins.get(depth, Bound()).plus(total)
        return total

    def _read(self, size: Bound, depth: int, times: float) -> None:
        weighted = Bound(size.units * times, size.text * times)
        self._cost.matches[depth] = self._cost.matches.get(depth, Bound()).plus(weighted)


def _is_plain(node: Node) -> bool:
    """A literal, or a list of them: what compares with it stops at the first difference."""
    if isinstance(node, Listing):
        return all(isinstance(item, Const) for item in node.items)
    return isinstance(node, Const)
