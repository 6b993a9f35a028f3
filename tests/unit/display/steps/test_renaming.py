"""Names from placeholders."""

from __future__ import annotations

import pytest

from kubeweft.display.steps.cluster_names import name_clusters
from kubeweft.display.steps.parameters import PLACEHOLDERS, Template
from kubeweft.display.steps.placeholders import Naming
from kubeweft.display.steps.renaming import rename
from kubeweft.display.tree.trees import USUAL, Tree, facts_of
from memory_reader import story_of
from span_builders import change, event, key, owner, request, uid, weave

TOP, POD = key("deployments", "top"), key("pods", "web-0")
ACCOUNT = "system:serviceaccount:kube-system:deployment-controller"


def tree() -> Tree:
    return story_of(
        TOP,
        weave(
            request(
                TOP,
                "update",
                "10:00:00.000",
                uid=uid(1),
                version="2",
                subresource="status",
                user=ACCOUNT,
                agent="kube-controller-manager/v1",
            ),
            change(
                TOP,
                "Modified",
                "10:00:00",
                uid=uid(1),
                old="1",
                version="2",
                manager="kube-controller-manager",
            ),
            request(TOP, "delete", "10:00:01.000", code=403, reason="Forbidden", user="alice"),
            event(TOP, "ScalingReplicaSet", "10:00:02", uid=uid(1), reporter="deployment-controller"),
            change(POD, "Added", "10:00:03", uid=uid(2), version="3", owners=(owner(TOP, uid(1)),)),
        ),
    )


def names(template: str) -> list[str]:
    """What a template says of the object, its facts, and the object that it owns."""
    one = tree()
    naming = Naming(one, Template.read(template))
    filled = [naming.of_object(Template.read(template), node) for node in (one.root, one.root.children[0])]
    facts = [naming.of_fact(Template.read(template), fact, one.root) for fact in one.root.facts]
    return [filled[0], *facts, filled[1]]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{kind}", ["Deployment", "Deployment", "Deployment", "Deployment", "Pod"]),
        ("{cluster}/{namespace}", ["demo/default"] * 5),
        ("{name}", ["top", "top", "top", "top", "web-0"]),
        ("{resource}.{group}", ["deployments.apps"] * 4 + ["pods."]),
        ("{source}", ["object", "request", "request", "event", "object"]),
        ("{title}", ["top", "update status", "delete", "ScalingReplicaSet", "web-0"]),
        ("{verb} {subresource}", ["", "update status", "delete", "", ""]),
        ("{code} {reason}", ["", "200", "403 Forbidden", "ScalingReplicaSet", ""]),
        ("{user}", ["", "kube-system/deployment-controller", "alice", "", ""]),
        ("{agent}", ["", "kube-controller-manager", "kubectl", "", ""]),
        ("{reporter}{manager}", ["", "", "", "deployment-controller", ""]),
        (
            "{actor}",
            ["", "deployment-controller", "alice", "deployment-controller", ""],
        ),
        ("it's {{{verb}}}", ["", "it's {update}", "it's {delete}", "", ""]),
        ("the same", ["the same"] * 5),
    ],
)
def test_placeholders_say_what_is_known(template: str, expected: list[str]) -> None:
    assert names(template) == expected


def test_the_usual_line_can_be_part_of_a_name() -> None:
    assert names("[{headline}]")[0] == "[Deployment default/top]"
    assert names("[{headline}]")[2] == "[delete by alice (kubectl) → 403 Forbidden 12ms]"


def test_every_placeholder_can_be_filled() -> None:
    for name in PLACEHOLDERS:
        assert any(names(f"{{{name}}}")) or name == "manager", name


def test_services_and_operations_of_all_or_of_some() -> None:
    renamed = rename(
        tree(), service=Template.read("{kind}"), operation=Template.read("{verb}"), only=["request", "object"]
    )
    update, _, scaling = renamed.root.facts
    assert (update.label.service, update.label.operation) == ("Deployment", "update")
    assert update.children[0].label is USUAL
    assert scaling.label is USUAL
    assert (renamed.root.label.service, renamed.root.label.operation) == ("Deployment", "")
    all_ = rename(tree(), service=Template.read("{source}"))
    assert {fact.label.service for fact in facts_of(all_.root.facts)} == {"request", "change", "event"}
    assert rename(all_, service=Template.read("{source}")) == all_


def test_what_is_filled_with_nothing_keeps_the_name_it_had() -> None:
    first = rename(tree(), operation=Template.read("{source}"))
    second = rename(first, operation=Template.read("{verb}"))
    assert [fact.label.operation for fact in second.root.facts] == ["update", "delete", "event"]


def test_clusters_have_the_names_that_were_given_them() -> None:
    named = name_clusters(tree(), names={"demo": "production"})
    naming = Naming(named, Template.read("{cluster}"))
    assert naming.of_object(Template.read("{cluster}"), named.root) == "production"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("{nobody}", "there is no placeholder '{nobody}' in '{nobody}': {kind}, {cluster}"),
        ("{kind:>9}", "there is no placeholder '{kind:>9}'"),
        ("{kind!r}", "there is no placeholder '{kind!r}'"),
        ("{}", "there is no placeholder '{}'"),
        ("{kind", "is no name with placeholders"),
        ("kind}", "is no name with placeholders"),
        (7, "a name with placeholders is text, not 7"),
    ],
)
def test_a_wrong_name_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match="placeholder") as raised:
        Template.read(wrong)
    assert message in str(raised.value)
