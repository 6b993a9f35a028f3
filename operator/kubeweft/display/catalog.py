"""The steps that make a raw tree readable, in order, and why in this order."""

from __future__ import annotations

from kubeweft.display.assembling import KindNames, assemble
from kubeweft.display.following import DEFAULT_LIMITS, Limits
from kubeweft.display.steps.clipping import clip_to_range
from kubeweft.display.steps.conflicts import group_conflicts
from kubeweft.display.steps.duplicates import fold_duplicates
from kubeweft.display.steps.fitting import fit_objects
from kubeweft.display.steps.linked import choose_linked
from kubeweft.display.steps.lives import split_lives
from kubeweft.display.steps.nesting import nest_changes
from kubeweft.display.steps.ordering import order_facts
from kubeweft.display.steps.relations import consume_links
from kubeweft.display.steps.series import merge_event_series
from kubeweft.display.steps.sightings import hide_known_sightings
from kubeweft.display.steps.surroundings import keep_deleting_collections
from kubeweft.display.trees import FOREVER, LinkedMode, Step, Tree
from kubeweft.model.references import ObjectKey
from kubeweft.store.interfaces import SpanReader

TREE_STEPS: tuple[Step, ...] = (
    fold_duplicates,  # first: no later step has to think of a span that is there twice
    merge_event_series,
    nest_changes,
    keep_deleting_collections,  # after nesting: it asks which deletions have found no request
    group_conflicts,  # after nesting, which looks at requests one by one
    split_lives,  # after nesting: when an object was created is told best by the request
    hide_known_sightings,  # after the lives, which read from snapshots when an object was created
    order_facts,  # by life, and with the times that nesting gave
    clip_to_range,  # after all that joins: what caused a change may lie outside
    consume_links,  # after clipping: a link is told by the nesting only if its other end is still there
    choose_linked,  # after the links, which tell what is linked with an object that is still there
    fit_objects,  # last: objects enclose what is left
)


def arrange(tree: Tree, steps: tuple[Step, ...] = TREE_STEPS) -> Tree:
    """The tree after all steps."""
    for step in steps:
        tree = step(tree)
    return tree


def read_story(
    reader: SpanReader,
    key: ObjectKey,
    *,
    since: int = 0,
    until: int = FOREVER,
    limits: Limits = DEFAULT_LIMITS,
    kinds: KindNames | None = None,
    linked: LinkedMode = "auto",
) -> Tree:
    """The readable tree of one object and its children; raises ``UserError`` where nothing is stored of it."""
    return arrange(assemble(reader, key, since=since, until=until, limits=limits, kinds=kinds, linked=linked))
