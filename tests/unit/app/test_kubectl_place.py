"""Where kubectl would look: the context's namespace, as kubectl finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeweft.app.kubectl import Place, place_of
from kubeweft.model.errors import UserError


def write(path: Path, current: str = "", **contexts: dict[str, str]) -> Path:
    content: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": []}
    content["contexts"] = [{"name": name, "context": context} for name, context in contexts.items()]
    content["current-context"] = current
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_namespace_of_the_current_context(tmp_path: Path) -> None:
    file = write(tmp_path / "a", "one", one={"cluster": "c1", "namespace": "shop"}, two={"cluster": "c2"})
    assert place_of(kubeconfig=str(file), context="", environ={}) == Place("shop", ("one", "c1"))
    assert place_of(kubeconfig=str(file), context="two", environ={}) == Place("default", ("two", "c2"))
    assert place_of(kubeconfig="", context="", environ={"KUBECONFIG": str(file)}).namespace == "shop"


def test_of_several_files_the_first_to_say_something_is_right(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "", one={"namespace": "first"})
    second = write(tmp_path / "b", "one", one={"namespace": "second"}, two={"namespace": "third"})
    environ = {"KUBECONFIG": f"{first}:{tmp_path / 'missing'}:{second}"}
    assert place_of(kubeconfig="", context="", environ=environ).namespace == "first"
    assert place_of(kubeconfig="", context="two", environ=environ).namespace == "third"


def test_without_a_kubeconfig_or_a_current_context_it_is_default(tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(tmp_path / "missing")}
    assert place_of(kubeconfig="", context="", environ=environ) == Place()
    file = write(tmp_path / "a", "", one={"namespace": "first"})
    assert place_of(kubeconfig=str(file), context="", environ={}) == Place()
    file = write(tmp_path / "b", "gone", one={"namespace": "first"})
    assert place_of(kubeconfig=str(file), context="", environ={}) == Place()


@pytest.mark.parametrize(
    ("content", "context", "expected"),
    [
        ("contexts: []", "other", "there is no context other"),
        ("[]", "", "is no kubeconfig"),
        ("contexts: [1]", "", "is no kubeconfig"),
        ("{", "", "cannot read the kubeconfig"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str, context: str, expected: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(UserError, match=expected):
        place_of(kubeconfig=str(tmp_path / "config"), context=context, environ={})


def test_a_named_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no kubeconfig file"):
        place_of(kubeconfig=str(tmp_path / "none"), context="", environ={})
