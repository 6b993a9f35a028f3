"""Views are data: what a file may say, and that every mistake in it is told in words that lead to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kubeweft.display.steps.parameters import Duration
from kubeweft.display.tree.trees import Tree
from kubeweft.display.views.catalog import STEPS
from kubeweft.display.views.loading import builtin_views, load_views, views_with
from kubeweft.model.errors import UserError
from memory_reader import story_of
from span_builders import event, key, request, weave

IT = key("configmaps", "it")


def steps(*lines: str) -> str:
    """A file with one view of these steps."""
    return "\n".join(
        ["views:", "- name: mine", "  number: 9", "  steps:", *[f"  - {line}" for line in lines]]
    )


def message(text: str) -> str:
    with pytest.raises(UserError) as raised:
        views_with([("team.yaml", text)])
    return str(raised.value)


def test_a_team_defines_its_own_view_on_top_of_a_shipped_one() -> None:
    text = """
    views:
      - name: people
        number: 9
        title: What people did.
        from: actors
        steps:
          - hide-sources: {sources: [event, gap]}
          - prune-childless
          - compact-durations: {longest-gap: 1m30s}
          - rename: {service: "{user}", operation: "{verb} {kind}", only: [request]}
    """
    view = views_with([("team.yaml", text)]).view("people")
    tree = story_of(IT, weave(request(IT, "patch", "10:00:00.000"), event(IT, "Seen", "10:01:00")), view=view)
    (group,) = tree.root.facts
    (patch,) = group.children
    assert (patch.label.service, patch.label.operation) == ("kubernetes-admin", "patch ConfigMap")


def test_a_later_file_replaces_a_view_of_the_same_name() -> None:
    first = "views: [{name: mine, number: 9, steps: [flatten]}]"
    second = "views: [{name: mine, number: 10, from: tree}]"
    views = load_views([("a", first.replace("[flatten]", "[]")), ("b", second.replace(", from: tree", ""))])
    assert views.view("mine").number == 10
    own = views_with([("c", "views: [{name: tree, number: 1, from: tree, steps: [flatten]}]")])
    assert len(own.view("tree").steps) == len(builtin_views().view("tree").steps) + 1


def test_a_file_that_says_there_are_none_adds_nothing() -> None:
    for text in ("views: []", "selections: []"):
        assert list(views_with([("team.yaml", text)]).views) == list(builtin_views().views)


def test_what_a_file_merges_in_may_be_said_anew() -> None:
    text = """
    views:
      - &first {name: first, number: 9, steps: [flatten]}
      - {<<: *first, name: second, number: 10}
    """
    views = views_with([("team.yaml", text)]).views
    assert len(views["second"].steps) == len(views["first"].steps) == 1


def test_parameters_come_as_what_the_step_takes() -> None:
    seen: list[object] = []

    def remember(tree: Tree, *, longest_gap: Duration, names: dict[str, str] | None = None) -> Tree:
        seen.append((longest_gap, names))
        return tree

    catalog: dict[str, Callable[..., Tree]] = {**STEPS, "remember": remember}
    text = steps("remember: {longest-gap: 2s, names: {a: b}}", "remember: {longest-gap: 1ms}")
    view = load_views([("team.yaml", text)], catalog=catalog).view("mine")
    view.arrange(story_of(IT, weave(request(IT, "patch", "10:00:00.000"))))
    assert seen == [(2_000_000_000, {"a": "b"}), (1_000_000, None)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "team.yaml says nothing: write `views:` or `selections:`, each with a list"),
        ("# nothing yet", "team.yaml says nothing"),
        ("{}", "team.yaml says nothing"),
        ("views: [", "team.yaml is no valid YAML"),
        ("views: 2026-13-01", "team.yaml is no valid YAML"),
        ("a: !!python/object:os.system {}", "team.yaml is no valid YAML"),
        ("views: []\nviews: []", "'views' stands twice in the same place: keep one"),
        (
            "views: [{name: mine, number: 9, steps: [flatten], steps: []}]",
            "'steps' stands twice in the same place: keep one",
        ),
        ("- tree", "team.yaml: it is a list, but has to be names with a value each"),
        ("0", "team.yaml: it is 0, but has to be names with a value each"),
        ("view: []", "team.yaml: there is no 'view' here: it takes views, selections"),
        ("views: {}", "team.yaml: views: it is names with values, but has to be a list"),
        ("views: [{name: mine}]", "team.yaml: view mine: it needs 'number': a whole number from 1 to 31"),
        ("views: [{number: 9}]", "team.yaml: views[0]: it needs 'name': small letters, digits and -"),
        (
            "views: [{name: Mine, number: 9}]",
            "team.yaml: view Mine: name: it is 'Mine', but has to be small letters",
        ),
        (
            "views: [{name: mine, number: 0}]",
            "team.yaml: view mine: number: it is 0, but has to be a whole number from 1 to 31",
        ),
        (
            "views: [{name: mine, number: 32}]",
            "view mine: number: it is 32, but has to be a whole number from 1 to 31",
        ),
        (
            "views: [{name: mine, number: '9'}]",
            "team.yaml: view mine: number: it is '9', but has to be a whole number",
        ),
        (
            "views: [{name: mine, number: 9, stpes: []}]",
            "view mine: there is no 'stpes' here: it takes name, number, title, from, steps",
        ),
        (
            "views: [{name: mine, number: 9, steps: [5]}]",
            "view mine: a step is its name, or its name and its parameters, as in `- group: {by: [actor]}`, not 5",
        ),
        (
            "views: [{name: mine, number: 9, steps: null}]",
            "view mine: steps: it is empty, but has to be a list",
        ),
        (
            "views: [{name: mine, number: 9, from: yours}]",
            "team.yaml: view mine: there is no view 'yours' to go on from: tree, timeline",
        ),
        (
            "views: [{name: mine, number: 2}]",
            "team.yaml: the views timeline and mine have the same number 2",
        ),
        (
            "views: [{name: mine, number: 9}, {name: mine, number: 10}]",
            "team.yaml: there are two views 'mine'",
        ),
        (
            "selections: [{name: mine, number: 7}, {name: mine, number: 6}]",
            "team.yaml: there are two selections 'mine'",
        ),
        (
            "selections: [{name: mine, number: 1}]",
            "team.yaml: the selections object and mine have the same number 1",
        ),
        (
            "selections: [{name: mine, number: 8}]",
            "team.yaml: selection mine: number: it is 8, but has to be a whole number from 0 to 7",
        ),
        (
            "selections: [{name: mine, number: 7, up: 99}]",
            "selection mine: up: it is 99, but has to be a whole number from 0 to 32",
        ),
        (
            "selections: [{name: mine, number: 7, linked: some}]",
            "selection mine: linked: it is 'some', but has to be one of auto, full, names, none",
        ),
        (
            "selections: [{name: mine, number: 7, roles: [Owner]}]",
            "mine: roles[0]: it is 'Owner', but has to be one of Child, Parent, Peer",
        ),
    ],
)
def test_what_is_no_file_of_views_is_refused(text: str, told: str) -> None:
    assert told in message(text)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("flaten", "team.yaml: view mine: there is no step 'flaten': fold-duplicates, merge-event-series"),
        ("{flatten: {}, group: {}}", "a step is its name, or its name and its parameters"),
        ("{}", "a step is its name, or its name and its parameters"),
        ("group: [source]", "step group: its parameters have names, as in `- group: {NAME: VALUE}`"),
        (
            "group:",
            "view mine: step group: it needs the parameter 'by': a list of actor, agent, cluster, kind, life",
        ),
        (
            "hide-sources:",
            "view mine: step hide-sources: it needs the parameter 'sources': a list of change, event",
        ),
        (
            "{hide-sources: , sources: [event]}",
            "its name and its parameters, as in `- group: {by: [actor]}`, not {'hide-",
        ),
        ("cluster-names: {names: {a: 5}}", "parameter 'names': something in it is wrong, it has to be text"),
        ("group", "team.yaml: view mine: step group: it needs the parameter 'by'"),
        ("group: {smallest: 1}", "step group: it needs the parameter 'by'"),
        (
            "group: {by: source}",
            "step group: parameter 'by': it is 'source', but has to be a list of actor, agent",
        ),
        (
            "group: {by: [colour]}",
            "step group: parameter 'by': it is 'colour', but has to be one of actor, agent",
        ),
        (
            "group: {by: [actor], smallest: few}",
            "step group: parameter 'smallest': it is 'few', but has to be a whole number",
        ),
        (
            "group: {by: [actor], size: 3}",
            "step group: it has no parameter 'size': it takes by, smallest, apart, links",
        ),
        ("group: {by: []}", "step group: parameter 'by': it is empty: say something, or leave it out"),
        ("group: {by: [actor], by: [life]}", "is no valid YAML: line 5, column 26: 'by' stands twice"),
        (
            "group: {by: [actor], smallest: -5}",
            "step group: parameter 'smallest': it is -5, but cannot be less than 0",
        ),
        ("hide-sources: {sources: []}", "step hide-sources: parameter 'sources': it is empty"),
        ("cluster-names: {names: {}}", "step cluster-names: parameter 'names': it is empty"),
        ("rename: {service: ''}", "step rename: parameter 'service': it is empty"),
        ("split-lives: {now: true}", "step split-lives: it has no parameter 'now': it takes none"),
        (
            "flatten: {linked: 'yes'}",
            "step flatten: parameter 'linked': it is 'yes', but has to be true or false",
        ),
        (
            "hide-sources: {sources: [changes]}",
            "step hide-sources: parameter 'sources': it is 'changes', but has to be one of change, event",
        ),
        (
            "rename: {service: '{knd}'}",
            "team.yaml: view mine: step rename: parameter 'service': there is no placeholder '{knd}' in '{knd}': {kind}, {cluster}",
        ),
        ("rename: {service: 7}", "step rename: parameter 'service': a name with placeholders is text, not 7"),
        (
            "rename: {operation: '{verb'}",
            "step rename: parameter 'operation': '{verb' is no name with placeholders",
        ),
        ("tags: {add: {team: '{who}'}}", "step tags: parameter 'add': there is no placeholder '{who}'"),
        ("tags: {remove: uid}", "step tags: parameter 'remove': it is 'uid', but has to be a list"),
        ("compact-durations: {longest-gap: 10}", "a duration is written like 10s or 2h30m, not 10"),
        ("compact-durations: {longest-gap: soon}", "'soon' is no duration: write it like 10m, 2h30m or 1d"),
        ("nest-causes: {within: -5s}", "'-5s' is no duration"),
        (
            "cluster-names: {names: [a]}",
            "step cluster-names: parameter 'names': it is a list, but has to be names with a value each",
        ),
        (
            "collapse: {what: [everything]}",
            "step collapse: parameter 'what': it is 'everything', but has to be one of changes, groups",
        ),
    ],
)
def test_what_is_no_step_is_refused(step: str, told: str) -> None:
    assert told in message(steps(step))


def test_a_view_or_selection_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UserError, match="there is no view 'trace': choose one of tree, timeline, tracing"):
        builtin_views().view("trace")
    with pytest.raises(UserError, match="there is no selection 'all': choose one of owned, object"):
        builtin_views().selection("all")
