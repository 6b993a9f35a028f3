"""The form of the repository: what the rooms are, how large files and functions may be, what must not be there."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "operator"
PACKAGE = SOURCES / "kubeweft"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = {folder.name for folder in PACKAGE.iterdir() if folder.is_dir() and list(folder.rglob("*.py"))}
LONGEST_FILE = 500
LONGEST_FUNCTION = 60
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_there_is_a_package_to_look_at() -> None:
    assert len(MODULES) > 100
    assert {"model", "store", "weaving"} <= ROOMS


def test_the_source_root_is_no_package() -> None:
    """Python has a module ``operator``: a package of that name would take its place, and break Python itself."""
    assert [name_of(file) for file in SOURCES.glob("*.py*")] == []


def test_tests_are_no_package() -> None:
    """Under ``--import-mode=importlib`` an ``__init__.py`` would give two test files one name."""
    packages = {file.parent for file in (ROOT / "tests").rglob("__init__.py")}
    assert {p for p in packages if not p.is_relative_to(ROOT / "tests" / "support")} == set()


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_says_why_it_exists_and_is_of_a_readable_size(file: Path) -> None:
    text = file.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{name_of(file)} has no docstring"
    assert text.count("\n") <= LONGEST_FILE
    for function in functions(tree):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= LONGEST_FUNCTION, f"{function.name} in {name_of(file)} has {lines} lines"


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_nothing_is_named_by_an_empty_word(file: Path) -> None:
    assert not EMPTY_WORDS.intersection(file.relative_to(PACKAGE).with_suffix("").parts)
    assert not EMPTY_WORDS.intersection(file.stem.split("_"))


def test_the_architecture_page_lists_the_rooms() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    listed = re.findall(r"^\| `([a-z_]+)/` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(ROOMS)


def test_the_architecture_page_names_files_that_exist() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+/)` \|.*\| `([a-z_/]+\.py)` \|$", page, re.MULTILINE)
    assert len(rows) == len(ROOMS)
    for room, start in rows:
        assert (PACKAGE / room / start).is_file(), f"{room}{start}"


def test_every_room_has_its_place_in_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["kubeweft"]]
    placed = {room.strip() for layer in layers for room in layer.split("|")}
    assert ROOMS.issubset(placed)
    assert placed - ROOMS == {file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__"}


def test_unit_tests_lie_as_the_rooms_do() -> None:
    known = ROOMS | {file.stem for file in PACKAGE.glob("*.py")}
    for folder in (ROOT / "tests/unit").rglob("*"):
        if not list(folder.glob("test_*.py")):
            continue
        place = folder.relative_to(ROOT / "tests/unit")
        assert place.parts[0] in known, f"tests/unit/{place}: there is no such room"
        assert len(place.parts) == 1 or (PACKAGE / place).is_dir(), (
            f"tests/unit/{place}: there is no such folder"
        )


def test_every_room_that_thinks_has_unit_tests() -> None:
    for room in ROOMS - {"cli"}:  # whose tests are components: it only reads options
        assert list((ROOT / "tests/unit" / room).rglob("test_*.py")), f"tests/unit/{room} is empty"


def test_test_files_have_names_of_their_own() -> None:
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text()
    for record in folder.glob("[0-9]*.md"):
        assert f"({record.name})" in index
        number, _, title = record.read_text().partition("\n")[0].removeprefix("# ").partition(" ")
        assert (record.name.startswith(number), bool(title)) == (True, True)
    assert set(re.findall(r"\(([0-9][^)]+\.md)\)", index)) == {
        record.name for record in folder.glob("[0-9]*.md")
    }


def test_pages_link_to_what_is_there() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"
