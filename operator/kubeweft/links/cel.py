"""CEL for link rules: a thin interface over Google's evaluator, with the guards that it lacks.

Expressions are written by administrators, the data by anybody who may create an object. Measured dangers of the
evaluator, and what is done here: deeply nested data ends the process (depth is measured first, ``cel_data``), string
functions and ``+`` can make gigabytes (``cel_functions`` meters them, ``cel_cost`` bounds the rest before the
evaluation), failures come as values (they become :class:`EvaluationFailed`), and strings end at a NUL byte (refused).
Nothing here knows rules; it never raises for what an expression does except ``EvaluationFailed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional

from kubeweft.links import cel_data
from kubeweft.links.cel_cost import Cost, cost_of
from kubeweft.links.cel_functions import METER, METERED
from kubeweft.links.cel_shortcuts import shortcut_of
from kubeweft.links.cel_tree import Node, read_tree
from kubeweft.model.errors import BadInput, KubeweftError

LONGEST_EXPRESSION: Final = 4096
LONGEST_RESULT: Final = 4096  # values in one result, all levels together
LONGEST_MESSAGE: Final = 300
_VARIABLES: Final = frozenset({"object", "cluster", "namespaceObject", "oldObject"})
_CHARACTERS: Final = 256  # so many characters of text count as one more value of a result


class EvaluationFailed(KubeweftError):
    """The expression gives no usable value for this object; the message says why, in one line."""


class ClusterFacts(NamedTuple):
    """What expressions see of the cluster of an object: the variable ``cluster``."""

    name: str
    labels: Mapping[str, str]


class Reads(NamedTuple):
    """What an expression reads: the variables, and of ``object`` the top-level fields, None for any."""

    names: frozenset[str]
    fields: frozenset[str] | None


class Scene:
    """One object with what surrounds it, as expressions see it; what of it they read is converted at most once."""

    def __init__(
        self,
        object: Mapping[str, Any],  # noqa: A002 — the name that expressions use
        *,
        cluster: ClusterFacts,
        namespace_object: Mapping[str, Any] | None = None,
        old_object: Mapping[str, Any] | None = None,
    ) -> None:
        """The mappings are parsed JSON and are not changed; None is ``null``."""
        self.object = object
        self._cluster = cluster
        self._namespace_object = namespace_object
        self._old_object = old_object
        self._ready: dict[Reads, tuple[cel.Activation, cel_data.Size] | str] = {}

    def prepared(self, reads: Reads) -> tuple[cel.Activation, cel_data.Size]:
        """The values for the evaluator and how large they are. Raises ``EvaluationFailed`` for what it cannot take.

        What is not read is neither measured nor converted: it can do no harm.
        """
        ready = self._ready.get(reads)
        if ready is None:
            try:
                ready = self._prepare(reads)
            except cel_data.Unfit as unfit:
                ready = str(unfit)
            self._ready[reads] = ready
        if isinstance(ready, str):
            raise EvaluationFailed(ready)
        return ready

    def _prepare(self, reads: Reads) -> tuple[cel.Activation, cel_data.Size]:
        size = cel_data.Size()
        values = {}
        for name in sorted(reads.names):
            fields = reads.fields if name == "object" else None
            values[name] = cel_data.fitted(self._variable(name), size, fields=fields)
        return _ENVIRONMENT.Activation(values), size

    def _variable(self, name: str) -> Mapping[str, Any] | None:
        if name == "object":
            return self.object
        if name == "cluster":
            return {"name": self._cluster.name, "labels": dict(self._cluster.labels)}
        return self._namespace_object if name == "namespaceObject" else self._old_object


class Expression:
    """A compiled expression; make it with :func:`compile_expression`."""

    __slots__ = ("_compiled", "_cost", "_shortcut", "_unwrapped", "boolean", "reads", "returns", "text")

    def __init__(self, text: str, compiled: cel.Expression, *, tree: Node, cost: Cost, boolean: bool) -> None:
        """``compiled`` is what the evaluator made of ``text``, ``tree`` how that looks inside."""
        self.text = text
        fields = None if cost.fields is None else frozenset(cost.fields)
        self.reads = Reads(frozenset(cost.names & _VARIABLES), fields)
        self._shortcut = shortcut_of(tree)
        self.boolean = boolean
        self.returns: str = compiled.return_type().name()
        self._compiled = compiled
        self._cost = cost
        self._unwrapped: cel.Expression | None = None

    def evaluate(self, scene: Scene) -> Any:
        """The value as plain Python; an absent optional is None. Raises ``EvaluationFailed``."""
        answer = self._shortcut(scene.object) if self._shortcut is not None else None
        if answer is not None:
            return answer
        activation, size = scene.prepared(self.reads)
        excess = self._cost.excess(size)
        if excess:
            raise EvaluationFailed(excess)
        METER.reset()
        value = self._plain(activation)
        if self.boolean and not isinstance(value, bool):
            raise EvaluationFailed(f"the expression must give true or false, not {_kind(value)}")
        return value

    def _plain(self, activation: cel.Activation) -> Any:
        value = _run(self._compiled, activation)
        if value.type() == cel.Type.ERROR:
            error = _error_of(value)
            if error is not None:
                raise EvaluationFailed(error)
            return self._optional(activation)
        return _plain(value, [LONGEST_RESULT])

    def _optional(self, activation: cel.Activation) -> Any:
        """The evaluator cannot hand out an optional; inside a list it takes it apart itself."""
        if self._unwrapped is None:
            try:
                self._unwrapped = _ENVIRONMENT.compile(f"[?({self.text}\n)]")
            except RuntimeError as error:
                raise EvaluationFailed(_short(str(error))) from None
        METER.reset()
        found = _plain(_run(self._unwrapped, activation), [LONGEST_RESULT])
        return found[0] if found else None


def compile_expression(text: str, *, boolean: bool = False) -> Expression:
    """The expression, ready to be evaluated any number of times. Raises ``BadInput`` with a message for its author.

    Variables are ``object``, ``cluster``, ``namespaceObject`` and ``oldObject``. ``boolean``: it has to give true or
    false, as match conditions do.
    """
    if len(text) > LONGEST_EXPRESSION:
        raise BadInput(f"the expression must be at most {LONGEST_EXPRESSION} characters, not {len(text)}")
    if not text.strip():
        raise BadInput("the expression must not be empty")
    if not cel_data.is_fit_text(text):
        raise BadInput("the expression must not hold NUL or half of a surrogate pair")
    try:
        compiled = _ENVIRONMENT.compile(text)
    except RuntimeError as error:
        raise BadInput(_short(str(error))) from None
    returns = compiled.return_type().name()
    if boolean and returns not in {"BOOL", "DYN"}:
        raise BadInput(f"the expression must give true or false, not {returns.lower()}")
    tree = read_tree(compiled.serialize())
    cost = cost_of(tree)
    if cost.refusal:
        raise BadInput(cost.refusal)
    return Expression(text, compiled, tree=tree, cost=cost, boolean=boolean)


def _run(compiled: cel.Expression, activation: cel.Activation) -> cel.Value:
    try:
        return compiled.eval(activation)
    except (RuntimeError, MemoryError) as error:
        raise EvaluationFailed(_short(str(error))) from None


def _error_of(value: cel.Value) -> str | None:
    """The text of an error value, or None for an optional, which calls itself an error too."""
    try:
        return _short(str(value.value()))
    except TypeError:
        return None


def _plain(value: cel.Value, left: list[int]) -> Any:
    """Lists and maps are taken apart level by level, so that a huge result is noticed before it is made."""
    left[0] -= 1
    try:
        bare = value.value()
    except (TypeError, RuntimeError, SystemError):
        raise EvaluationFailed(
            "the result holds a value that has no plain form, such as an optional"
        ) from None
    if isinstance(bare, list):
        _allow(len(bare), left)
        return [_plain(item, left) for item in bare]
    if isinstance(bare, dict):
        _allow(len(bare), left)
        return {str(key): _plain(item, left) for key, item in bare.items()}
    if value.type() == cel.Type.ERROR:
        raise EvaluationFailed(_short(str(bare)))
    if isinstance(bare, str):
        _allow(len(bare) // _CHARACTERS, left)
        left[0] -= len(bare) // _CHARACTERS
        return bare
    if bare is None or isinstance(bare, bool | int | float):
        return bare
    raise EvaluationFailed(f"the result holds {_kind(bare)}, which names no object")


def _allow(count: int, left: list[int]) -> None:
    if count > left[0]:
        raise EvaluationFailed(f"the result is larger than {LONGEST_RESULT} values")


def _kind(value: Any) -> str:
    """What a value is, in the words of CEL."""
    names = {
        bool: "bool", int: "int", float: "double", str: "string", bytearray: "bytes", bytes: "bytes",
        list: "list", dict: "map", type(None): "null",
    }  # fmt: skip
    return names.get(type(value), type(value).__name__)


def _short(message: str) -> str:
    """The first line of the evaluator's message without its code."""
    line = message.split("\n", 1)[0].strip()
    for prefix in ("INVALID_ARGUMENT: ", "NOT_FOUND: ", "UNKNOWN: ", "INTERNAL: ", "ERROR: <input>:"):
        line = line.removeprefix("OUT_OF_RANGE: ").removeprefix(prefix)
    return line[:LONGEST_MESSAGE]


_ENVIRONMENT: Final = cel.NewEnv(
    variables=dict.fromkeys(_VARIABLES, cel.Type.DYN),
    extensions=[ext_optional.ExtOptional(), METERED],
)
