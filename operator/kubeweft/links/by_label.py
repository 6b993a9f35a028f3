"""Targets named by the value of a label."""

from __future__ import annotations

from kubeweft.links.naming import Find, Named
from kubeweft.model.rules import ByLabel


def compile_finder(finder: ByLabel) -> Find:
    """What finds the name in the label; an object without it names nothing."""
    key = finder.key
    return lambda subject: [Named(subject.labels[key])] if subject.labels.get(key) else []
