"""How objects, links and rules are called when a person reads about them."""

from __future__ import annotations

from kubeweft.app.rules.trying import Link
from kubeweft.model.references import ObjectKey, group_resource
from kubeweft.model.selectors import LabelSelector, Requirement, ResourcePattern


def name_object(key: ObjectKey, *, seen_from: str) -> str:
    """``pods shop/web-1``; in another cluster than ``seen_from``: ``pods shop/web-1 in east``."""
    place = f"{key.namespace}/{key.name}" if key.namespace else key.name
    elsewhere = f" in {key.cluster}" if key.cluster != seen_from else ""
    return f"{group_resource(key.group, key.resource)} {place}{elsewhere}"


def name_target(link: Link) -> str:
    """The target of a link, as seen from its source."""
    return name_object(link.relation.target, seen_from=link.source.cluster)


def name_types(patterns: tuple[ResourcePattern, ...]) -> str:
    """``pods, deployments.apps``; a star is a word here."""
    words = []
    for pattern in patterns:
        if "*" in pattern.resources:
            groups = sorted(pattern.groups)
            words.append("all types" if "*" in groups else "all types of " + ", ".join(map(_group, groups)))
            continue
        for group in sorted(pattern.groups):
            words += [
                f"{resource} of any API group" if group == "*" else group_resource(group, resource)
                for resource in sorted(pattern.resources)
            ]
    return ", ".join(words)


def name_selector(selector: LabelSelector | None) -> str:
    """``app=web, tier in (a, b)``; empty where it selects everything."""
    return ", ".join(map(_requirement, selector.requirements)) if selector else ""


def count(number: int, word: str) -> str:
    """``1 link``, ``2 links``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _requirement(requirement: Requirement) -> str:
    key, operator, values = requirement
    if operator == "Exists":
        return key
    if operator == "DoesNotExist":
        return f"no {key}"
    if operator == "In" and len(values) == 1:
        return f"{key}={next(iter(values))}"
    return f"{key} {'in' if operator == 'In' else 'not in'} ({', '.join(sorted(values))})"


def _group(group: str) -> str:
    return group or "the core group"
