"""Kubernetes objects out of files: YAML or JSON, several in one file, lists, folders and standard input.

Files come from people and from pull requests: what is no object is refused with its place, and so is a document that
grows beyond all measure by YAML aliases.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from kubeweft.model.errors import UserError

SUFFIXES: Final = (".yaml", ".yml", ".json")
MOST_BYTES: Final = 256 * 1024 * 1024
MOST_VALUES: Final = 500_000  # in one object; etcd takes 1.5 MB
DEEPEST: Final = 100
STANDARD_INPUT: Final = "-"
_NOT_OBJECTS: Final = ("kustomize.config.k8s.io/",)  # live among manifests, but belong to no cluster


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the fast one, where built
    """YAML without dates: in Kubernetes a time is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in entries if tag != "tag:yaml.org,2002:timestamp"]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Document:
    """One object and where it stands, for messages."""

    place: str
    body: dict[str, Any]


def read_documents(paths: Iterable[str], *, recursive: bool = False) -> list[Document]:
    """All objects of these files, folders and ``-`` (standard input), in order; lists are taken apart.

    Raises ``UserError`` for what cannot be read. What is no Kubernetes object is an error in a file that was named,
    and left out in a folder.
    """
    documents: list[Document] = []
    for path in paths:
        if path == STANDARD_INPUT:
            documents += _objects("standard input", sys.stdin.read(), strict=True)
            continue
        named = Path(path)
        for file in _files(named, recursive=recursive):
            documents += _objects(str(file), _text(file), strict=not named.is_dir())
    return documents


def _files(path: Path, *, recursive: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.glob("*")
    files = sorted(file for file in found if file.suffix in SUFFIXES and file.is_file())
    if not files:
        hint = "" if recursive else "; --recursive looks into its folders"
        raise UserError(f"there is no .yaml, .yml or .json file in {path}{hint}")
    return files


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UserError(f"{file} is larger than {MOST_BYTES // 1024**2} MiB")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UserError(f"cannot read {file}: {reason}") from None


def _objects(name: str, text: str, *, strict: bool) -> Iterator[Document]:
    for number, value in enumerate(_parsed(name, text), 1):
        place = name if number == 1 else f"{name}, document {number}"
        if value is None:
            continue
        if isinstance(value, dict) and str(value.get("apiVersion", "")).startswith(_NOT_OBJECTS):
            continue
        if not isinstance(value, dict) or not _is_object(value):
            if strict:
                raise UserError(
                    f"{place}: no Kubernetes object: it needs 'apiVersion', 'kind' and 'metadata.name'"
                )
            continue
        yield from _taken_apart(place, value)


def _parsed(name: str, text: str) -> Iterator[Any]:
    try:
        yield from yaml.load_all(text, Loader=_Loader)  # it is a safe loader
    except yaml.YAMLError as error:
        raise UserError(f"{name}: no valid YAML or JSON: {_told(error)}") from None
    except RecursionError:
        raise UserError(f"{name}: nested too deep") from None


def _told(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).replace("\n", " ")


def _is_object(value: dict[str, Any]) -> bool:
    if not all(isinstance(value.get(field), str) and value[field] for field in ("apiVersion", "kind")):
        return False
    if _is_list(value):
        return True
    metadata = value.get("metadata")
    return isinstance(metadata, dict) and isinstance(metadata.get("name"), str) and bool(metadata["name"])


def _is_list(value: dict[str, Any]) -> bool:
    return value["kind"].endswith("List") and isinstance(value.get("items"), list)


def _taken_apart(place: str, value: dict[str, Any]) -> Iterator[Document]:
    if not _is_list(value):
        _check_size(place, value)
        yield Document(place, value)
        return
    kind = value["kind"].removesuffix("List")
    for number, item in enumerate(value["items"], 1):
        where = f"{place}, item {number}"
        if not isinstance(item, dict):
            raise UserError(f"{where}: no Kubernetes object")
        whole = {"apiVersion": value["apiVersion"], "kind": kind, **item}
        if not _is_object(whole) or _is_list(whole):
            raise UserError(
                f"{where}: no Kubernetes object: it needs 'apiVersion', 'kind' and 'metadata.name'"
            )
        _check_size(where, whole)
        yield Document(where, whole)


def _check_size(place: str, value: Any) -> None:
    """Aliases are small in a file and huge, or without end, in JSON."""
    pending, seen = [(value, 0)], 0
    while pending:
        here, depth = pending.pop()
        seen += 1
        if seen > MOST_VALUES or depth > DEEPEST:
            raise UserError(f"{place}: the object is too large or nested too deep for a Kubernetes object")
        if isinstance(here, dict):
            pending += [(inner, depth + 1) for inner in here.values()]
        elif isinstance(here, list):
            pending += [(inner, depth + 1) for inner in here]
