"""From YAML, or a section of the settings, to views: everything is checked at start, and every mistake says where it is."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Annotated, Any, cast

import msgspec
import yaml

from kubeweft.display.steps.parameters import read_parameter
from kubeweft.display.tree.selection import Selection
from kubeweft.display.tree.trees import LinkedMode, Step, Tree
from kubeweft.display.views.catalog import STEPS
from kubeweft.display.views.definitions import HIGHEST_SELECTION, HIGHEST_VIEW, View, Views
from kubeweft.display.words.mistakes import choice_of, mistake_in
from kubeweft.model.errors import UserError

Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9-]*$",
        max_length=40,
        description="small letters, digits and -, at most 40, the first a letter",
    ),
]
MERGED = "tag:yaml.org,2002:merge"  # `<<`, beside which a key may be given anew
Catalog = Mapping[str, Callable[..., Tree]]


class _View(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    number: Annotated[int, msgspec.Meta(ge=1, le=HIGHEST_VIEW)]
    title: str = ""
    from_: str = msgspec.field(name="from", default="")
    steps: list[Any] = []


class _Selection(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    number: Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_SELECTION)]
    title: str = ""
    up: Annotated[int, msgspec.Meta(ge=0, le=32)] = 0
    down: Annotated[int, msgspec.Meta(ge=0, le=32)] = 8
    siblings: bool = False
    linked: LinkedMode = "auto"
    roles: list[typing.Literal["Parent", "Child", "Peer"]] = []
    classes: list[str] = []


class ViewsFile(msgspec.Struct, forbid_unknown_fields=True):
    """What a file of views, or the section of the settings, may say."""

    views: list[_View] = []
    selections: list[_Selection] = []


@functools.cache
def builtin_views() -> Views:
    """The views that are shipped."""
    return views_with([])


def views_with(files: Sequence[tuple[str, str]]) -> Views:
    """The views that are shipped, and those of an installation's own files (name and YAML text), which go before them."""
    return load_views([("builtin.yaml", _builtin_text()), *files])


def load_views(files: Sequence[tuple[str, str]], *, catalog: Catalog = STEPS) -> Views:
    """The views of several files (name and YAML text), later ones replacing earlier ones of the same name.

    Raises ``UserError`` that names file, view, step and parameter. ``catalog`` is where steps are looked up.
    """
    views: dict[str, View] = {}
    selections: dict[str, Selection] = {}
    for source, text in files:
        read = _read(source, text)
        _check_names(source, "view", [view.name for view in read.views])
        _check_names(source, "selection", [one.name for one in read.selections])
        for view in read.views:
            views[view.name] = _view(source, view, views, catalog)
        for one in read.selections:
            selections[one.name] = _selection(one)
        _check_numbers(source, views, "views")
        _check_numbers(source, selections, "selections")
    return Views(views=views, selections=selections)


def _builtin_text() -> str:
    return resources.files("kubeweft.display.views").joinpath("builtin.yaml").read_text(encoding="utf-8")


class _Loader(yaml.SafeLoader):
    """Does not let the second of two equal keys win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; raises ``ConstructorError`` where a key stands twice in it."""
        known = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGED:
                if key.value in known:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"'{key.value}' stands twice in the same place: keep one", key.start_mark
                    )
                known.add(key.value)
        return super().construct_mapping(node, deep)


def _read(source: str, text: str) -> ViewsFile:
    try:
        read = yaml.load(text, _Loader)  # noqa: S506  it is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2026-13-01 is a ValueError
        raise UserError(f"{source} is no valid YAML: {_mistake(error)}") from None
    if read in (None, {}, []):
        raise UserError(f"{source} says nothing: write `views:` or `selections:`, each with a list")
    try:
        return msgspec.convert(read, ViewsFile)
    except msgspec.ValidationError as error:
        raise UserError(f"{source}: {mistake_in(error, wanted=ViewsFile, value=read)}") from None


def _mistake(error: Exception) -> str:
    """What is wrong, and where, in one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error)
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem or error.context}"


def _view(source: str, read: _View, known: Mapping[str, View], catalog: Catalog) -> View:
    where = f"{source}: view {read.name}"
    if read.from_ and read.from_ not in known:
        raise UserError(f"{where}: there is no view '{read.from_}' to go on from: {', '.join(known)}")
    before = known[read.from_].steps if read.from_ else ()
    steps = tuple([_step(where, entry, catalog) for entry in read.steps])
    return View(name=read.name, number=read.number, title=read.title, steps=(*before, *steps))


def _selection(read: _Selection) -> Selection:
    return Selection(
        name=read.name,
        number=read.number,
        title=read.title,
        up=read.up,
        down=read.down,
        siblings=read.siblings,
        linked=read.linked,
        roles=frozenset(read.roles),
        classes=frozenset(read.classes),
    )


def _step(where: str, entry: Any, catalog: Catalog) -> Step:
    """A step by name, or ``{name: {parameter: value}}``; parameters are checked against the function's own types."""
    name, given = _named_step(where, entry)
    if name not in catalog:
        raise UserError(f"{where}: there is no step '{name}': {', '.join(catalog)}")
    return _with_parameters(f"{where}: step {name}", catalog[name], given)


def _named_step(where: str, entry: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise UserError(
            f"{where}: a step is its name, or its name and its parameters, as in"
            f" `- group: {{by: [actor]}}`, not {entry}"
        )
    ((name, given),) = entry.items()
    if given is not None and not isinstance(given, dict):
        raise UserError(f"{where}: step {name}: its parameters have names, as in `- {name}: {{NAME: VALUE}}`")
    return str(name), {str(parameter): value for parameter, value in (given or {}).items()}


def _with_parameters(where: str, step: Callable[..., Tree], given: Mapping[str, Any]) -> Step:
    _, *parameters = inspect.signature(step).parameters.values()
    known = {parameter.name.replace("_", "-"): parameter for parameter in parameters}
    types = typing.get_type_hints(step) if parameters else {}
    if unknown := [name for name in given if name not in known]:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise UserError(f"{where}: it has no parameter '{unknown[0]}': {takes}")
    if missing := [n for n, p in known.items() if p.default is inspect.Parameter.empty and n not in given]:
        wanted = choice_of(types[known[missing[0]].name])
        raise UserError(f"{where}: it needs the parameter '{missing[0]}': {wanted}")
    if not given:
        return cast(Step, step)
    values = {
        known[n].name: _value(f"{where}: parameter '{n}'", value, types[known[n].name])
        for n, value in given.items()
    }
    return cast(Step, functools.partial(step, **values))


def _value(where: str, value: Any, wanted: Any) -> Any:
    if value in ("", [], {}):
        raise UserError(f"{where}: it is empty: say something, or leave it out")
    if isinstance(value, int | float) and value < 0:
        raise UserError(f"{where}: it is {value}, but cannot be less than 0")
    try:
        return msgspec.convert(value, wanted, strict=True, dec_hook=read_parameter)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {mistake_in(error, wanted=wanted, value=value)}") from None


def _check_names(source: str, what: str, names: Sequence[str]) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{source}: there are two {what}s '{twice[0]}'")


def _check_numbers(source: str, known: Mapping[str, View] | Mapping[str, Selection], what: str) -> None:
    by_number: dict[int, str] = {}
    for name, one in known.items():
        if other := by_number.get(one.number):
            raise UserError(f"{source}: the {what} {other} and {name} have the same number {one.number}")
        by_number[one.number] = name
