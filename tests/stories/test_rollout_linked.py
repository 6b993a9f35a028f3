"""The recorded rollout under link rules: the same links however arrivals are shuffled, doubled, or cut by a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kubeweft.control.compiling.rules import compile_rule
from kubeweft.control.declared.objects import LINK_RULES, DeclaredObject
from kubeweft.model import vocabulary as v
from kubeweft.model.rules import BySelector, LinkRule, SourceSelector, Target
from kubeweft.model.selectors import ResourcePattern
from kubeweft.model.spans import Span
from replay import Arrival, read_story, replay, shuffled

SHIPPED = Path(__file__).parents[2] / "config" / "link-rules"
SELECTED = LinkRule(
    name="deployment-pods",
    source=SourceSelector(resources=(ResourcePattern(frozenset({"apps"}), frozenset({"deployments"})),)),
    targets=(Target(name="pods", finder=BySelector(("spec", "selector")), resource="pods"),),
    role="Child",
    link_class="Selects",
)
Spans = dict[tuple[bytes, bytes], Span]


@pytest.fixture(scope="module")
def story() -> list[Arrival]:
    return read_story(Path(__file__).parent / "rollout")


@pytest.fixture(scope="module")
def rules() -> list[LinkRule]:
    """All that are shipped, and one whose links depend on two objects."""
    made = [SELECTED]
    for file in sorted(SHIPPED.glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        if document.get("kind") == "LinkRule":
            verdict = compile_rule(DeclaredObject.from_body(LINK_RULES, document))
            assert verdict.rule is not None, verdict
            made.append(verdict.rule)
    return made


@pytest.fixture
async def straight(tmp_path: Path, story: list[Arrival], rules: list[LinkRule]) -> Spans:
    spans = await replay(tmp_path / "straight.db", story, rules=rules)
    made = {str(s.attributes[v.LINK_RULE]) for s in spans.values() if s.source == "link"}
    assert {"owner", "pod-node", "pod-serviceaccount", "deployment-pods"} <= made
    return spans


async def test_what_is_not_a_link_is_as_without_rules(
    tmp_path: Path, story: list[Arrival], straight: Spans
) -> None:
    plain = await replay(tmp_path / "plain.db", story)
    assert {k: s for k, s in straight.items() if k in plain} == plain
    assert {s.source for k, s in straight.items() if k not in plain} == {"link", "object"}


async def test_doubled_arrivals_change_nothing(
    tmp_path: Path, story: list[Arrival], rules: list[LinkRule], straight: Spans
) -> None:
    assert await replay(tmp_path / "doubled.db", story, doubled=True, rules=rules) == straight


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_order_of_arrival_changes_nothing(
    seed: int, tmp_path: Path, story: list[Arrival], rules: list[LinkRule], straight: Spans
) -> None:
    assert await replay(tmp_path / "shuffled.db", shuffled(story, seed), rules=rules) == straight


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
async def test_a_kill_and_a_restart_change_nothing(
    share: float, tmp_path: Path, story: list[Arrival], rules: list[LinkRule], straight: Spans
) -> None:
    cut = int(len(story) * share)
    assert await replay(tmp_path / "cut.db", story[:cut], story[cut:], rules=rules) == straight
