"""The steps that views are made of. Their order, and why it is this one, stands in ``views/builtin.yaml``.

``docs/views.md`` tells what each does; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kubeweft.display.steps.causes import nest_causes
from kubeweft.display.steps.clamping import clamp_clocks
from kubeweft.display.steps.clipping import clip_to_range
from kubeweft.display.steps.cluster_names import name_clusters
from kubeweft.display.steps.collapsing import collapse
from kubeweft.display.steps.compacting import compact_durations
from kubeweft.display.steps.conflicts import group_conflicts
from kubeweft.display.steps.duplicates import fold_duplicates
from kubeweft.display.steps.enclosing import enclose_children
from kubeweft.display.steps.fitting import fit_objects
from kubeweft.display.steps.grafting import graft_foreign
from kubeweft.display.steps.grouping import group
from kubeweft.display.steps.hiding import hide_sources
from kubeweft.display.steps.linked import choose_linked
from kubeweft.display.steps.lives import split_lives
from kubeweft.display.steps.nesting import nest_changes
from kubeweft.display.steps.ordering import order_facts
from kubeweft.display.steps.pruning import prune_childless
from kubeweft.display.steps.recreated import split_recreated
from kubeweft.display.steps.relations import consume_links
from kubeweft.display.steps.renaming import rename
from kubeweft.display.steps.series import merge_event_series
from kubeweft.display.steps.sightings import hide_known_sightings
from kubeweft.display.steps.surroundings import keep_deleting_collections
from kubeweft.display.steps.tagging import change_tags
from kubeweft.display.steps.timeline import flatten
from kubeweft.display.tree.trees import Tree

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
    "graft-foreign": graft_foreign,
    "fit-objects": fit_objects,
    "flatten": flatten,
    "nest-causes": nest_causes,
    "clamp-clocks": clamp_clocks,
    "enclose-children": enclose_children,
    "group": group,
    "split-recreated": split_recreated,
    "collapse": collapse,
    "compact-durations": compact_durations,
    "prune-childless": prune_childless,
    "hide-sources": hide_sources,
    "rename": rename,
    "cluster-names": name_clusters,
    "tags": change_tags,
}
"""Every step by the name it has in views; parameters beside the tree are those of the function."""
