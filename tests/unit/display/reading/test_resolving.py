"""``KIND/NAME`` → one object, or an error that helps."""

from __future__ import annotations

import pytest

from kubeweft.display.reading.resolving import Wanted, parse_argument, resolve
from kubeweft.model.errors import UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from memory_reader import MemoryReader
from span_builders import key, related, request, to, weave

STORED = [
    key("deployments", "demo"),
    key("pods", "demo-1"),
    key("pods", "demo-2"),
    key("pods", "twice"),
    key("pods", "twice", namespace="other"),
    key("nodes", "node-1"),
    key("pods", "far", namespace="there", cluster="edge"),
    key("nodes", "everywhere"),
    key("nodes", "everywhere", cluster="edge"),
    key("widgets", "gadget"),
    ObjectKey("demo", "unknown", "nodes", "", "x-1"),
    ObjectKey("demo", "one.example", "things", "default", "same"),
    ObjectKey("demo", "two.example", "things", "default", "same"),
]


def find(argument: str, namespace: str = "", cluster: str = "") -> ObjectKey:
    reader = MemoryReader([span for key in STORED for span in weave(request(key, "patch", "10:00:00.000"))])
    kind, name = parse_argument(argument.split())
    return resolve(reader, Kinds(), Wanted(kind=kind, name=name, namespace=namespace, cluster=cluster))


@pytest.mark.parametrize(
    "argument",
    ["deploy/demo", "deployment/demo", "Deployment/demo", "deployments.apps/demo", "deployments demo"],
)
def test_the_words_of_kubectl(argument: str) -> None:
    assert find(argument, namespace="default") == key("deployments", "demo")


def test_a_namespace_is_needed_only_to_choose() -> None:
    assert find("pod/demo-1") == key("pods", "demo-1")
    assert find("pod/twice", namespace="other") == key("pods", "twice", namespace="other")
    with pytest.raises(UserError, match="several namespaces: add -n, one of default, other"):
        find("pod/twice")


def test_cluster_scoped_objects_have_no_namespace_to_be_wrong_about() -> None:
    assert find("node/node-1", namespace="default") == key("nodes", "node-1")


def test_a_cluster_scoped_object_whose_scope_nobody_knows_is_found_all_the_same() -> None:
    """A custom resource that was learned from the store: which scope it has was never told."""
    assert find("nodes.unknown/x-1", namespace="default") == ObjectKey("demo", "unknown", "nodes", "", "x-1")


def test_several_clusters_have_to_be_told_apart() -> None:
    with pytest.raises(UserError, match="several clusters: add --cluster, one of demo, edge"):
        find("node/everywhere")
    assert find("node/everywhere", cluster="edge") == key("nodes", "everywhere", cluster="edge")


@pytest.mark.parametrize("argument", ["widget/gadget", "widgets/gadget", "widgets.example.com/gadget"])
def test_a_custom_resource_that_nobody_described_is_found_by_its_plural(argument: str) -> None:
    assert find(argument) == key("widgets", "gadget")


@pytest.mark.parametrize(
    "argument", ["release.helm.sh/shop", "releases.helm.sh/shop", "releases/shop", "release/shop"]
)
def test_a_virtual_object_that_is_known_by_links_only_is_found(argument: str) -> None:
    release = ObjectKey("demo", "helm.sh", "releases", "default", "shop")
    reader = MemoryReader(weave(related(key("deployments", "web"), to(release, "Parent", "Installs"))))
    kind, name = parse_argument([argument])
    assert resolve(reader, Kinds(), Wanted(kind=kind, name=name, namespace="default")) == release


def test_one_word_for_several_resources_asks_which() -> None:
    with pytest.raises(
        UserError, match=r"several resources: write one of things\.one\.example/same, things\.two\.example"
    ):
        find("things/same")
    assert find("things.two.example/same").group == "two.example"


def test_a_pattern_has_to_fit_one_object() -> None:
    assert find("pod/demo-*1") == key("pods", "demo-1")
    with pytest.raises(UserError, match="fits several objects: write one of demo-1, demo-2"):
        find("pod/demo-*", namespace="default")


def test_the_nearest_names_are_suggested() -> None:
    with pytest.raises(
        UserError, match=r"nothing is stored about pod/demo-11 in namespace default: did you mean demo-1"
    ):
        find("pod/demo-11", namespace="default")


def test_part_of_a_long_name_is_enough_for_a_suggestion() -> None:
    with pytest.raises(UserError, match="did you mean everywhere"):
        find("node/ever")


def test_the_right_name_in_the_wrong_place_says_where() -> None:
    with pytest.raises(UserError, match="there is one with -n there --cluster edge"):
        find("pod/far", namespace="default")


def test_an_unknown_cluster_says_which_there_are() -> None:
    with pytest.raises(UserError, match="there is no such cluster, but demo, edge"):
        find("pod/demo-1", cluster="nowhere")


def test_a_kind_of_which_nothing_is_stored() -> None:
    with pytest.raises(UserError, match="no object of that kind is"):
        find("configmap/demo")


def test_an_empty_store_says_so() -> None:
    with pytest.raises(UserError, match="the store is empty"):
        resolve(MemoryReader([]), Kinds(), Wanted(kind="pod", name="demo"))


def test_a_namespace_is_named_by_its_flag() -> None:
    with pytest.raises(UserError, match="'pod/a/b' names a namespace too: write pod/b -n a"):
        parse_argument(["pod/a/b"])


@pytest.mark.parametrize(
    "words", [["demo"], ["pod/"], ["/demo"], ["pod/a/b/c"], ["pod/a/"], ["pod", "a", "b"], ["pod", ""]]
)
def test_what_names_no_object(words: list[str]) -> None:
    with pytest.raises(UserError, match="write KIND/NAME"):
        parse_argument(words)
