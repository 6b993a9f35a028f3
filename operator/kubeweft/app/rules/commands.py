"""``kubeweft rules``, put together: where rules and objects come from, what is done with them, and the exit status.

0: all is well. 1: a rule does not do what ``--fail-on`` demands. What cannot be used at all is a ``UserError``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import click
from rich.console import Console

from kubeweft.app.rules import writing
from kubeweft.app.rules.documents import Document, read_documents
from kubeweft.app.rules.rulebook import GROUP, DeclaredRule, awake, is_rule, read_rules, refuse_broken
from kubeweft.app.rules.trying import Limits, Outcome, try_rules
from kubeweft.app.rules.world import LOCAL, World
from kubeweft.display.reading.resolving import parse_argument, resources_of
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey, ResourceType
from kubeweft.model.rules import LinkRule

FailOn = Literal["none", "unlinked", "unresolved"]
Form = Literal["text", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where rules and objects are: in files, else in the cluster that a kubeconfig names.

    ``elsewhere`` are (cluster, path): files with objects of other clusters.
    """

    files: tuple[str, ...] = ()
    elsewhere: tuple[tuple[str, str], ...] = ()
    recursive: bool = False
    kubeconfig: str = ""
    context: str = ""
    cluster: str = LOCAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which sources somebody asks about: KIND/NAME, a namespace, or nothing in particular."""

    words: tuple[str, ...] = ()
    namespace: str = ""


def test(place: Place, question: Question, *, fail_on: FailOn, form: Form, console: Console) -> int:
    """Write what the rules would link."""
    documents = read_documents(place.files, recursive=place.recursive)
    others = [(name, d) for name, path in place.elsewhere for d in read_documents([path])]
    objects = [document for document in documents if not is_rule(document)]
    declared = read_rules(documents)
    if objects or others:
        if not declared:
            raise UserError("there is no LinkRule in these files: name one with -f")
        rules = _usable(declared)
        outcomes = _in_files(place, question, rules=rules, objects=objects, others=others)
    else:
        outcomes = _in_cluster(place, question, declared)
    if question.words:  # about one object: rules that do not concern it are of no interest
        outcomes = [outcome for outcome in outcomes if outcome.matched] or outcomes[:1]
    if form == "json":
        writing.write_json({"rules": [writing.outcome_as_json(outcome) for outcome in outcomes]})
    else:
        writing.write_outcomes(outcomes, console, cluster=place.cluster)
    return int(not _is_good(outcomes, fail_on, any_rule=bool(question.words)))


def check(place: Place, *, form: Form, console: Console) -> int:
    """Write what is wrong with the rules in files; raises ``UserError`` if anything is."""
    rules = read_rules(read_documents(place.files, recursive=place.recursive))
    if not rules:
        raise UserError("there is no LinkRule in these files")
    if form == "json":
        writing.write_json({"rules": [writing.rule_as_json(rule) for rule in rules]})
        return 2 * any(not rule.verdict.accepted for rule in rules)
    refuse_broken(rules)
    writing.write_rules(rules, console, live=False)
    return 0


def list_rules(place: Place, *, form: Form, console: Console) -> int:
    """Write a table of the rules in files, or of those in a cluster with their status."""
    rules = _declared(place)
    if form == "json":
        writing.write_json({"rules": [writing.rule_as_json(rule) for rule in rules]})
    elif rules:
        writing.write_rules(rules, console, live=not place.files)
    else:
        click.echo(
            "there are no LinkRules; kubectl apply -k config/link-rules adds those that come with Kubeweft",
            err=True,
        )
    return 0


def explain(place: Place, names: Sequence[str], *, form: Form, console: Console) -> int:
    """Write what rules do in plain words; ``names`` may hold ``*``, and without any all are meant."""
    rules = _declared(place)
    for name in names:
        if not any(fnmatch.fnmatchcase(rule.name, name) for rule in rules):
            known = ", ".join(sorted(rule.name for rule in rules)[:20]) or "none"
            raise UserError(f"there is no LinkRule {name!r}; there are: {known}")
    meant = [rule for rule in rules if not names or any(fnmatch.fnmatchcase(rule.name, n) for n in names)]
    if not meant:
        raise UserError("there are no LinkRules to explain: name a file with -f, or a rule of the cluster")
    if form == "json":
        writing.write_json({"rules": [writing.explanation_as_json(rule) for rule in meant]})
        return 0
    for number, rule in enumerate(meant):
        if number:
            click.echo()
        writing.write_explanation(rule, console)
    return 0


def _usable(declared: Sequence[DeclaredRule]) -> list[LinkRule]:
    """The compiled rules, suspended ones too. Raises ``UserError`` if one is refused."""
    refuse_broken(declared)
    for rule in declared:
        if rule.verdict.suspended:
            click.echo(f"LinkRule {rule.name!r} is suspended; it is tried as if it were not", err=True)
    return [rule.verdict.rule for rule in map(awake, declared) if rule.verdict.rule is not None]


def _sound(declared: Sequence[DeclaredRule]) -> list[DeclaredRule]:
    """Rules of a cluster without those that do not work there either."""
    for rule in declared:
        if not rule.verdict.accepted:
            click.echo(f"LinkRule {rule.name!r} is left out: {rule.verdict.message}", err=True)
    return [rule for rule in declared if rule.verdict.accepted]


def _in_files(
    place: Place,
    question: Question,
    *,
    rules: Sequence[LinkRule],
    objects: Sequence[Document],
    others: Sequence[tuple[str, Document]],
) -> list[Outcome]:
    world = World(Kinds(), namespace=question.namespace or "default")
    world.learn([*objects, *(document for _, document in others)])
    for cluster, document in [*((place.cluster, document) for document in objects), *others]:
        world.put(document, cluster=cluster)
    limits = _limits(
        question, world.kinds, lambda t: any(k[1:3] == (t.group, t.resource) for k in world.objects)
    )
    if limits.name and not any(_is_meant(limits, key) for key in world.objects):
        where = f" in namespace {limits.namespace}" if limits.namespace else ""
        raise UserError(f"the files have no {limits.type} {limits.name!r}{where}")
    described = {place.cluster, *(key.cluster for key in world.objects)}
    return try_rules(rules, world, limits=limits, unread=lambda key: key.cluster not in described)


def _in_cluster(place: Place, question: Question, declared: Sequence[DeclaredRule]) -> list[Outcome]:
    """With the rules of the cluster itself, where no file has any."""
    from kubeweft.app.rules.cluster import connect
    from kubeweft.app.rules.gathering import Gathering

    notes: list[str] = []
    with writing.progress() as tell:
        cluster = connect(kubeconfig=place.kubeconfig, context=place.context, tell=tell)
        rules = _usable(declared or _sound(_rules_of(cluster.types(), cluster.objects)))
        if not rules:
            raise UserError("there is no LinkRule, neither in files nor in the cluster: name one with -f")
        world = World(Kinds())
        world.clusters[place.cluster] = {}
        cluster.teach(world.kinds)
        served = cluster.types()
        limits = _limits(question, world.kinds, lambda t: (t.group, t.resource) in served)
        gathering = Gathering(
            cluster, world, rules=rules, limits=limits, name=place.cluster, note=notes.append
        )
        outcomes = gathering.outcomes()
    for note in dict.fromkeys(notes):
        click.echo(note, err=True)
    return outcomes


def _declared(place: Place) -> list[DeclaredRule]:
    if place.files:
        return read_rules(read_documents(place.files, recursive=place.recursive))
    from kubeweft.app.rules.cluster import connect

    with writing.progress() as tell:
        cluster = connect(kubeconfig=place.kubeconfig, context=place.context, tell=tell)
        return _rules_of(cluster.types(), cluster.objects)


def _rules_of(
    types: Mapping[tuple[str, str], ResourceType], objects: Callable[[ResourceType], Iterable[Document]]
) -> list[DeclaredRule]:
    served = types.get((GROUP, "linkrules"))
    if served is None:
        raise UserError("the cluster knows no LinkRules: 'kubeweft crds --apply' installs their definition")
    return read_rules(objects(served))


def _limits(question: Question, kinds: Kinds, exists: Callable[[ResourceType], bool]) -> Limits:
    """What is asked about; of several types that a word can mean, the first that exists."""
    if not question.words:
        return Limits(namespace=question.namespace)
    word, name = parse_argument(question.words)
    candidates = kinds.lookup(word)
    candidates += [t for _, r in resources_of(word, kinds) for t in kinds.lookup(r) if t not in candidates]
    found = next((type_ for type_ in candidates if exists(type_)), None)
    if found is None:
        raise UserError(f"there is no object of a type {word!r} here")
    return Limits(namespace=question.namespace, type=found, name=name)


def _is_meant(limits: Limits, key: ObjectKey) -> bool:
    return (
        limits.type is not None
        and key[1:3] == (limits.type.group, limits.type.resource)
        and key.name == limits.name
        and (not limits.namespace or not key.namespace or key.namespace == limits.namespace)
    )


def _is_good(outcomes: Sequence[Outcome], fail_on: FailOn, *, any_rule: bool) -> bool:
    """``any_rule``: it is enough that one of the rules links something."""
    if fail_on == "none":
        return True
    linking = [bool(outcome.links) for outcome in outcomes]
    if any(outcome.errors for outcome in outcomes) or not (any(linking) if any_rule else all(linking)):
        return False
    return fail_on == "unlinked" or all(outcome.is_resolved for outcome in outcomes)
