"""What ``kubeweft rules`` writes: tables on a terminal, aligned lines elsewhere, JSON on request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubeweft.app.rules.explaining import Line, explain
from kubeweft.app.rules.rulebook import DeclaredRule
from kubeweft.app.rules.trying import Link, Outcome
from kubeweft.app.rules.wording import count, name_object, name_target
from kubeweft.model.references import ObjectKey

Json = dict[str, Any]
MOST_FAILED: Final = 5
_STYLES: Final = {"missing": "yellow", "not read": "dim", "refused": "red", "accepted": "green"}
_COUNTERS: Final = ("matchedObjects", "resolvedLinks", "unresolvedLinks", "overLimit", "evaluationErrors")


def write_json(value: Any) -> None:
    """One JSON document, indented."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def write_outcomes(outcomes: Sequence[Outcome], console: Console, *, cluster: str) -> None:
    """For each rule a line that sums up, then its links. ``cluster`` is the one that need not be named."""
    apart = False
    for outcome in outcomes:
        longer = bool(outcome.links or outcome.failed)
        if apart or (longer and outcome is not outcomes[0]):
            click.echo()
        apart = longer
        click.echo(f"{outcome.rule.name}: {sum_up(outcome)}")
        if outcome.links:
            rows = [_row(link, cluster) for link in outcome.links]
            write_table(console, ("OBJECT", "IS LINKED TO", "ROLE", "CLASS", "TARGET IS"), rows, indent="  ")
        for key in outcome.failed[:MOST_FAILED]:
            click.echo(f"  failed for {name_object(key, seen_from=cluster)}")
        if len(outcome.failed) > MOST_FAILED:
            click.echo(f"  and for {count(len(outcome.failed) - MOST_FAILED, 'more object')}")
        if outcome.failed:
            click.echo(f"  the first error: {outcome.first_error}")


def sum_up(outcome: Outcome) -> str:
    """``3 objects matched, 5 links, of which 1 to an object that is missing``."""
    text = f"{count(len(outcome.matched), 'object')} matched, {count(len(outcome.links), 'link')}"
    for state in ("missing", "not read"):
        number = sum(link.state == state for link in outcome.links)
        text += f", {number} to what is {state}" if number else ""
    if outcome.unknown:
        text += f", {count(outcome.unknown, 'target')} of unknown type or cluster"
    if outcome.over_limit:
        text += f", {count(outcome.over_limit, 'target')} beyond 'maxTargets' not linked"
    return text + (f", {count(outcome.errors, 'failed expression')}" if outcome.errors else "")


def outcome_as_json(outcome: Outcome) -> Json:
    """What one rule does, for scripts: a shape that only ever grows."""
    return {
        "rule": outcome.rule.name,
        "matchedObjects": [_key(key) for key in outcome.matched],
        "links": [_link(link) for link in outcome.links],
        "unknownTargets": outcome.unknown,
        "overLimit": outcome.over_limit,
        "errors": {
            "count": outcome.errors,
            "objects": [_key(key) for key in outcome.failed],
            "first": outcome.first_error,
        },
    }


def write_rules(rules: Iterable[DeclaredRule], console: Console, *, live: bool) -> None:
    """A table of rules; ``live`` ones have a status."""
    if live:
        heads = (
            "NAME",
            "READY",
            "REASON",
            "ROLE",
            "CLASS",
            "MATCHED",
            "LINKS",
            "UNRESOLVED",
            "OVER LIMIT",
            "ERRORS",
        )
        write_table(console, heads, [_live_row(rule) for rule in rules])
        return
    rows = [
        (rule.name, verdict_word(rule), _declared(rule, "role"), _declared(rule, "class"), rule.place)
        for rule in rules
    ]
    write_table(console, ("NAME", "VERDICT", "ROLE", "CLASS", "FILE"), rows)


def rule_as_json(rule: DeclaredRule) -> Json:
    """One rule with the verdict on it, for scripts."""
    status = rule.status
    return {
        "name": rule.name,
        "place": rule.place,
        "verdict": verdict_word(rule),
        "problems": [
            {"reason": p.reason, "field": p.field, "message": p.message} for p in rule.verdict.problems
        ],
        "role": _declared(rule, "role"),
        "class": _declared(rule, "class"),
        "conditions": list(status.get("conditions") or ()),
        **{name: status[name] for name in _COUNTERS if name in status},
    }


def verdict_word(rule: DeclaredRule) -> str:
    """``accepted``, ``suspended`` or ``refused``."""
    if not rule.verdict.accepted:
        return "refused"
    return "suspended" if rule.verdict.suspended else "accepted"


def write_explanation(rule: DeclaredRule, console: Console) -> None:
    """What one rule does, a line for each field."""
    click.echo(f"LinkRule {rule.name}")
    write_table(console, None, explain(rule), indent="  ")


def explanation_as_json(rule: DeclaredRule) -> Json:
    """The same, for scripts."""
    return {"name": rule.name, "lines": [{"about": about, "text": text} for about, text in explain(rule)]}


def write_table(
    console: Console,
    heads: Sequence[str] | None,
    rows: Sequence[Sequence[str]] | Sequence[Line],
    *,
    indent: str = "",
) -> None:
    """On a terminal folded to its width; elsewhere nothing is cut, and a row is a line."""
    if not console.is_terminal:
        for line in _aligned([heads, *rows] if heads else rows):
            click.echo(indent + line)
        return
    table = Table(box=None, show_header=heads is not None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads or [""] * len(rows[0] if rows else ()):
        table.add_column(head, header_style="bold", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(link: Link, cluster: str) -> tuple[str, ...]:
    relation = link.relation
    source = name_object(link.source, seen_from=cluster)
    same_trace = ", same trace" if relation.same_trace else ""
    return source, name_target(link), relation.role + same_trace, relation.link_class, link.state


def _live_row(rule: DeclaredRule) -> tuple[str, ...]:
    ready: Json = next((c for c in rule.status.get("conditions") or () if c.get("type") == "Ready"), {})
    told = (str(ready.get("status", "")), str(ready.get("reason", "")))
    counters = [str(rule.status.get(name, "")) for name in _COUNTERS]
    return (rule.name, *told, _declared(rule, "role"), _declared(rule, "class"), *counters)


def _declared(rule: DeclaredRule, field: str) -> str:
    """As it is written; what is no text is refused by the verdict."""
    link = rule.spec.get("link")
    defaults = {"role": "Peer", "class": "References"}
    return str(link.get(field, defaults[field])) if isinstance(link, dict) else defaults[field]


def _link(link: Link) -> Json:
    relation = link.relation
    return {
        "source": _key(link.source),
        "target": _key(relation.target),
        "targetState": link.state,
        "role": relation.role,
        "class": relation.link_class,
        "direction": relation.direction,
        "sameTrace": relation.same_trace,
    }


def _key(key: ObjectKey) -> Json:
    return dict(zip(key._fields, key, strict=True))


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Where progress is told: on a terminal, beside what is written as the result; else nowhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("asking the cluster") as status:
        yield status.update
