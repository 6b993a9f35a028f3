"""What limits left out, in words, the same for the terminal and for viewers; only how to see it is not.

Hints are written for the terminal, which has flags; a viewer has services, tags, a range of time and links.
"""

from __future__ import annotations

from kubeweft.display.tree.trees import Truncation

PLACES = {
    "objects": "owned by",
    "depth": "further down, under",
    "siblings": "beside what was asked for, under",
    "linked": "linked with",
    "linked_read": "linked with",
    "linked_facts": "linked with",
    "around": "of gaps and deleted collections around",
    "foreign": "that belong to",
    "foreign_traces": "that belong to",
}
THINGS = {
    "windows": ("older window", "older windows"),
    "around": ("older window", "older windows"),
    "facts": ("fact", "facts"),
    "foreign": ("span of other systems", "spans of other systems"),
    "foreign_traces": ("trace of other systems", "traces of other systems"),
    "linked_facts": ("fact of objects", "facts of objects"),
    "collections": ("request to empty a collection", "requests to empty a collection"),
}
OBJECTS = ("object", "objects")
IN_TIME = "narrow the time with --since and --until, or show one of its objects"
IN_SPACE = "show one of the objects in it"
EARLIER = "move the time with --since and --until"
LOWER = "show one of the lower objects"
LINKED = "show a linked object by itself, or one of the objects that it is linked with"
FULL = "add --select full"
OWNED = "add --select owned"
IN_VIEWERS = {
    IN_TIME: "search over less time (Lookback), or open the trace of one of its objects",
    IN_SPACE: "open the trace of one of the objects in it",
    EARLIER: "search over an earlier time (Lookback)",
    LOWER: "open the trace of one of the lower objects",
    LINKED: "follow the link to a linked object",
    FULL: "choose the service of this view with full, for example 'tree full'",
    OWNED: "choose the service of this view alone, for example 'tree'",
}


def words_of(cut: Truncation) -> str:
    """``312 more Pods owned by replicasets.apps/shop/web``: of which kinds, where that is known, else what it is."""
    if cut.what == "extension":  # nobody knows how many
        return f"spans of other systems in {cut.of}"
    if cut.what == "contents":  # a search tells only that there is more
        return f"more types of objects that were emptied in {cut.of.replace('//', '/')}"
    if cut.kinds:
        (name, count), *others = cut.kinds
        listed = [
            f"{count} more {plural(name, count)}",
            *(f"{more} {plural(kind, more)}" for kind, more in others),
        ]
    else:
        singular, many = THINGS.get(cut.what, OBJECTS)
        listed = [f"{cut.more} more {singular if cut.more == 1 else many}"]
    names = f"{', '.join(listed[:-1])} and {listed[-1]}" if len(listed) > 1 else listed[0]
    return f"{names} {PLACES.get(cut.what, 'of')} {cut.of.replace('//', '/')}"


def hint_in_viewers(hint: str) -> str:
    """A hint for those who look with a trace viewer, which has no flags."""
    for here, there in IN_VIEWERS.items():
        hint = hint.replace(here, there)
    return hint


def plural(kind: str, number: int) -> str:
    """A kind for so many; the plural resource names that stand where a kind is unknown stay as they are."""
    if number == 1 or "." in kind or kind.islower():
        return kind
    if kind.endswith("y") and kind[-2:-1] not in tuple("aeiou"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith(("s", "x", "ch", "sh")) else f"{kind}s"
