"""Whether the expressions of a rule compile: asked at admission, at compiling and by the command line.

It finds every fault, not only the first, and evaluates nothing.
"""

from __future__ import annotations

from kubeweft.links.cel import compile_expression
from kubeweft.model.errors import BadInput
from kubeweft.model.rules import ByExpression, LinkRule

_NAMES = ("STRING", "LIST", "MAP", "DYN", "NULL", "optional_type")


def check_rule(rule: LinkRule) -> list[str]:
    """Every expression that does not compile, after the name of its field: ``targets[x].cel.expression: …``."""
    problems = []
    for condition in rule.source.conditions:
        where = f"source.matchConditions[{condition.name}].expression"
        problems += _faults(where, condition.expression, boolean=True)
    for target in rule.targets:
        if isinstance(target.finder, ByExpression):
            problems += _faults(f"targets[{target.name}].cel.expression", target.finder.expression)
    if rule.cluster.mode == "CEL":
        problems += _faults("cluster.expression", rule.cluster.expression)
    return problems


def _faults(where: str, text: str, *, boolean: bool = False) -> list[str]:
    try:
        returns = compile_expression(text, boolean=boolean).returns
    except BadInput as fault:
        return [f"{where}: {fault}"]
    if not boolean and not returns.startswith(_NAMES):
        return [f"{where}: the expression must give a string, a map or a list of them, not {returns.lower()}"]
    return []
