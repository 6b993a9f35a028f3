"""What is read of a real store grows with what is shown, and not with what is stored beside."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from kubeweft.display.stories import read_story
from kubeweft.display.tree.trees import Tree, nodes_of
from kubeweft.display.views.loading import builtin_views
from kubeweft.model.references import ObjectKey
from kubeweft.model.windows import DEFAULT_WINDOW
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.sqlite_reader import SqliteReader
from large_stores import NINE, WINDOWS, cluster_objects, cluster_spans, crowd, crowd_spans, fill

SELECTIONS = ("owned", "ancestors", "full", "neighbours")
STEP = 100  # operations of SQLite's virtual machine between two calls of its progress handler


class Cost(NamedTuple):
    """What one tree took: statements, and operations that SQLite carried out for them."""

    tree: Tree
    statements: int
    operations: int


def read(path: Path, key: ObjectKey, selection: str) -> Cost:
    """Read a tree by a fresh reader, counting."""
    statements: list[str] = []
    steps: list[None] = []
    with SqliteReader(path) as reader:
        with reader._reading() as reading:  # the connection goes back, and is the one that is used next
            reading.connection.set_trace_callback(statements.append)
            reading.connection.set_progress_handler(lambda: steps.append(None), STEP)
        statements.clear()
        steps.clear()
        tree = read_story(reader, key, selection=builtin_views().selection(selection))
    return Cost(tree, len(statements), len(steps) * STEP)


def store_with(path: Path, *, pods: int, others: int, crowds: int = 1) -> Path:
    """A Deployment with Pods, and beside it other Deployments like it and other objects."""
    store = SqliteStore(path)
    for number in range(crowds):
        fill(store, crowd_spans(crowd(f"web-{number}" if number else "web", pods=pods)))
    objects = cluster_objects(others)
    for window in range(WINDOWS):
        fill(store, cluster_spans(objects, NINE + window * DEFAULT_WINDOW))
    store.close()
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    return {
        "small": store_with(folder / "small.db", pods=40, others=60),
        "ten times as much": store_with(folder / "large.db", pods=40, others=600, crowds=10),
        "twice as many shown": store_with(folder / "wide.db", pods=80, others=60),
    }


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("asked", ["deployment", "pod"])
def test_reading_does_not_grow_with_what_is_stored(
    stores: dict[str, Path], asked: str, selection: str
) -> None:
    of = crowd(pods=40)
    key = of.deployment if asked == "deployment" else of.pods[7]
    small, large = read(stores["small"], key, selection), read(stores["ten times as much"], key, selection)
    assert [node.key for node in nodes_of(small.tree.root)] == [
        node.key for node in nodes_of(large.tree.root)
    ]
    assert large.statements == small.statements
    assert large.operations <= small.operations * 1.2 + 5 * STEP


def test_reading_grows_with_what_is_shown_and_statements_with_its_levels(stores: dict[str, Path]) -> None:
    key = crowd().deployment
    few, many = read(stores["small"], key, "owned"), read(stores["twice as many shown"], key, "owned")
    assert len(list(nodes_of(many.tree.root))) == len(list(nodes_of(few.tree.root))) + 40
    assert few.statements < 90
    assert many.statements < few.statements * 1.3, "a statement takes hundreds of objects"
    assert few.operations * 1.4 < many.operations < few.operations * 2.2
