"""The steps that views are made of. Their order, and why it is this one, stands in ``views/builtin.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
from kubeweft.display.trees import Tree

STEPS: Mapping[str, Callable[..., Tree]] = {
    "fold-duplicates": fold_duplicates,
    "merge-event-series": merge_event_series,
    "nest-changes": nest_changes,
    "keep-deleting-collections": keep_deleting_collections,
    "group-conflicts": group_conflicts,
    "split-lives": split_lives,
    "hide-known-sightings": hide_known_sightings,
    "order-facts": order_facts,
    "clip-to-range": clip_to_range,
    "consume-links": consume_links,
    "choose-linked": choose_linked,
    "fit-objects": fit_objects,
}
"""Every step by the name it has in views; parameters beside the tree are those of the function."""
