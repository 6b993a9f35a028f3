"""The recorded stories, and what is asked of each: every question has a golden text, ``tests/stories/STORY/NAME.txt``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml
from rich.console import Console

from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.declared.objects import LINK_RULES, DeclaredObject
from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import FOREVER, Tree
from kubeweft.display.views.choosing import choose_selection
from kubeweft.display.views.loading import builtin_views
from kubeweft.display.writing.text import write_tree
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.rules import LinkRule
from kubeweft.model.windows import NANOSECONDS
from kubeweft.store.interfaces import SpanReader
from other_clocks import with_clock
from replay import Arrival
from replay import read_story as read_recording

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "tests" / "stories"
SHIPPED = ROOT / "config" / "link-rules"
MINUTE = 60 * NANOSECONDS
VIEWS = tuple(builtin_views().views)


@dataclass(frozen=True)
class Question:
    """What ``kubeweft show`` may be asked; times are counted from the beginning of the story (0: from, or to, its end)."""

    key: ObjectKey
    view: str
    selection: str = "owned"
    after_minutes: int = 0
    before_minutes: int = 0


@dataclass(frozen=True)
class Story:
    """A folder of ``tests/stories``: asked in every view about ``key``, and a few questions of its own."""

    name: str
    key: ObjectKey
    more: Mapping[str, Question] = field(default_factory=dict)
    with_rules: bool = False
    recorded_as: str = ""
    clocks: Mapping[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its golden texts are, and its recording, unless it is that of another story with other clocks."""
        return STORIES / self.name

    def arrivals(self) -> list[Arrival]:
        """What was recorded, as it would be if clusters had these clocks (so many seconds ahead)."""
        recorded = read_recording(STORIES / (self.recorded_as or self.name))
        return [with_clock(arrival, self.clocks.get(arrival.cluster, 0)) for arrival in recorded]

    @property
    def rules(self) -> tuple[LinkRule, ...]:
        """All link rules that are shipped, or none."""
        return shipped_rules() if self.with_rules else ()

    @property
    def questions(self) -> dict[str, Question]:
        """By the name of the golden text."""
        return {view: Question(self.key, view) for view in VIEWS} | dict(self.more)


def _web(cluster: str = "local", namespace: str = "shop") -> ObjectKey:
    return ObjectKey(cluster, "apps", "deployments", namespace, "web")


ROLLOUT = Story(
    "rollout",
    ObjectKey("local", "apps", "deployments", "story", "demo"),
    {
        "replica-set-ancestors": Question(
            ObjectKey("local", "apps", "replicasets", "story", "demo-86dd8bc6d"), "tree", "ancestors"
        )
    },
)
CONFLICT_STORM = Story("conflict_storm", _web())
RECREATED_POD = Story(
    "recreated_pod",
    ObjectKey("local", "apps", "statefulsets", "shop", "db"),
    {"pod-grouping": Question(ObjectKey("local", "", "pods", "shop", "db-0"), "grouping")},
)
DELETED_NAMESPACE = Story(
    "deleted_namespace",
    _web(namespace="team-a"),
    {"namespace": Question(ObjectKey("local", "", "namespaces", "", "team-a"), "tree")},
)
FOUR_HOURS = Story(
    "four_hours", _web(), {"second-hour": Question(_web(), "tree", after_minutes=60, before_minutes=120)}
)
CROSS_CLUSTER = Story(
    "cross_cluster",
    _web("hub"),
    {"member-alone": Question(_web("east"), "tree", "object")},
    with_rules=True,
)
SCALED_BACK = Story("scaled_back", _web())
DEAD_NODE = Story(
    "dead_node",
    _web(),
    {"node": Question(ObjectKey("local", "", "nodes", "", "node-2"), "tree", "neighbours")},
    with_rules=True,
)
ACCOUNT_BY_HAND = Story("account_by_hand", _web())
EMPTIED_NAMESPACE = Story(
    "emptied_namespace",
    _web(namespace="team-b"),
    {
        "namespace": Question(ObjectKey("local", "", "namespaces", "", "team-b"), "tree"),
        "pod": Question(ObjectKey("local", "", "pods", "team-b", "shell"), "tree"),
        "config-map": Question(ObjectKey("local", "", "configmaps", "team-b", "settings"), "tracing"),
    },
)
OTHER_CLOCKS = Story(
    "other_clocks", _web("hub"), with_rules=True, recorded_as=CROSS_CLUSTER.name, clocks={"east": -3}
)
ALL = (
    ROLLOUT,
    CONFLICT_STORM,
    RECREATED_POD,
    DELETED_NAMESPACE,
    FOUR_HOURS,
    CROSS_CLUSTER,
    SCALED_BACK,
    DEAD_NODE,
    ACCOUNT_BY_HAND,
    EMPTIED_NAMESPACE,
    OTHER_CLOCKS,
)


def golden_of(story: Story, name: str) -> Path:
    """The reviewed text of the answer to one of a story's questions; the README links to one by its own name."""
    return story.folder / ("expected.trace.txt" if (story, name) == (ROLLOUT, "tree") else f"{name}.txt")


def tree_of(reader: SpanReader, question: Question, *, began: int = 0) -> Tree:
    """The answer to a question about a story that ``began`` at a time in nanoseconds."""
    views = builtin_views()
    return read_story(
        reader,
        question.key,
        view=views.view(question.view),
        selection=choose_selection(question.selection, views),
        since=began + question.after_minutes * MINUTE if question.after_minutes else 0,
        until=began + question.before_minutes * MINUTE if question.before_minutes else FOREVER,
        kinds=Kinds(),
    )


def text_of(tree: Tree) -> str:
    """A tree as a pipe gets it."""
    out = io.StringIO()
    write_tree(tree, Console(file=out, width=140, soft_wrap=True, highlight=False))
    return out.getvalue()


@cache
def shipped_rules() -> tuple[LinkRule, ...]:
    """The rules of ``config/link-rules``."""
    made = []
    for file in sorted(SHIPPED.glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        if document.get("kind") == "LinkRule":
            verdict = compile_rule(DeclaredObject.from_body(LINK_RULES, document))
            assert verdict.rule is not None, verdict
            made.append(verdict.rule)
    return tuple(made)
