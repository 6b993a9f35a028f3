"""What only shown spans have: the names of attributes and tags that views add, beside the vocabulary of stored spans.

``docs/views.md`` lists them and a test compares the two. Values of tags are text, because viewers search text.
"""

from __future__ import annotations

from typing import Final

from kubeweft.display.tree.trees import USUAL, Fact, Label, Node, facts_of, is_gathered, is_of_namespace

# On spans that a view made to gather facts (source ``group``).
GROUP_BY: Final = "kubeweft.group.by"  # what its facts have in common: source, actor, object, life, verb …
GROUP_VALUE: Final = "kubeweft.group.value"  # and which one it is, in words
GROUP_FACTS: Final = "kubeweft.group.facts"
GROUP_OBJECTS: Final = "kubeweft.group.objects"  # of how many objects
GROUP_WRITES: Final = "kubeweft.group.writes"  # that were carried out
GROUP_CONFLICTS: Final = "kubeweft.group.conflicts"  # refused with 409
GROUP_FAILURES: Final = "kubeweft.group.failures"  # failed otherwise
GROUP_WARNINGS: Final = "kubeweft.group.warnings"  # Warning Events
GROUP_AGENT: Final = "kubeweft.group.agent"  # the program of an actor
GROUP_UID: Final = "kubeweft.group.uid"  # of a life

# Tags on facts that a view did not leave as they were.
SHOWN_BECAUSE: Final = "kubeweft.shown.because"  # why it stands under what it stands under
SHOWN_MOVED: Final = "kubeweft.shown.moved"  # nanoseconds by which it is shown later (or earlier) than it was
SHOWN_PLACED: Final = (
    "kubeweft.shown.placed"  # what tells the time within the second: name, creation or version
)
SHOWN_SKEW: Final = "kubeweft.shown.skew"  # the same where a clock is to blame: 2.1s
SHOWN_LIFE: Final = "kubeweft.shown.life"  # of which life it is, where several are not told in groups
SHOWN_TAKEN: Final = (
    "kubeweft.shown.taken_by"  # of an end: who deleted the whole collection that the object went with
)
SHOWN_FOLDED: Final = "kubeweft.shown.folded"  # what was folded into it
SHOWN_REPLACED: Final = (
    "kubeweft.shown.replaced_by"  # of a conflict: what replaced the version that it was against
)

# On spans that say what was left out (service ``more``).
LEFT_SHOWN: Final = "kubeweft.left.shown"  # how many are shown, or were looked at
LEFT_MORE: Final = "kubeweft.left.more"  # how many more there are
LEFT_HINT: Final = "kubeweft.left.hint"  # how to see them


def tag(label: Label, name: str) -> str:
    """The value of a tag, empty where the label has none."""
    if label is USUAL:
        return ""
    return next((value for tag_name, value in label.tags if tag_name == name), "")


def with_tags(label: Label, *tags: tuple[str, str]) -> Label:
    """The label with these tags beside its own; of the same name the new one holds."""
    new = dict(tags)
    kept = [(name, value) for name, value in label.tags if name not in new]
    return Label(label.service, label.operation, (*kept, *new.items()))


def true_start(part: Fact | Node) -> int:
    """When it really began, also where a view shows it elsewhere on the axis of time."""
    return part.start - int(tag(part.label, SHOWN_MOVED) or 0)


def has_lives_apart(node: Node) -> bool:
    """Whether the facts of an object are to be told by its lives: it has several, and no view arranged them otherwise."""
    return len(node.lives) > 1 and not any(_is_arranged(fact, node) for fact in node.facts)


def _is_arranged(fact: Fact, node: Node) -> bool:
    key = fact.span.key
    is_of_other = key != node.key and bool(key.name) and not is_of_namespace(fact, node.key)
    return is_gathered(fact) or is_of_other or _holds_another_life(fact)


def _holds_another_life(fact: Fact) -> bool:
    """Whether something of another life of the same object stands under it: one life ended, so the next began."""
    return any(
        (below.span.key == fact.span.key and below.life != fact.life) for below in facts_of(fact.children)
    )


def changes_made(request: Fact) -> list[Fact]:
    """The changes that a request made itself, without those that only followed from it."""
    return [child for child in request.children if is_made_by(child, request)]


def is_made_by(child: Fact, request: Fact) -> bool:
    """Whether a child is a change that the request made, and no later consequence."""
    is_change = child.span.source == "change" and request.span.source == "request"
    return is_change and not tag(child.label, SHOWN_BECAUSE)
