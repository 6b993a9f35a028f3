"""What a route is: its path, its parameters and who answers it. The routes are served and documented from the same table.

A parameter is read by the function that stands in the table, so the description cannot promise what is not read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aiohttp import web

from kubeweft.display.answering.contract import Answers
from kubeweft.display.serving.dependencies import TypeLink
from kubeweft.display.serving.http.failing import Dialect
from kubeweft.model.errors import BadInput

Schema = Mapping[str, Any]
"""A JSON Schema, as OpenAPI 3.1 takes it."""


class QueryAnswers(Answers, Protocol):
    """What the query API asks beyond what every protocol does."""

    def dependencies(self, *, since: int, until: int) -> Sequence[TypeLink]:
        """Which types of objects are linked with which."""


TEXT: Schema = {"type": "string"}
Place = Literal["query", "path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One thing that a client may ask for: ``read`` makes a value of its text and raises ``BadInput``.

    ``aliases`` are other names under which clients send the same; the first name that has a value counts. One that
    is ``repeated`` is read as a list. Without a value it is ``default``; where one is ``required``, ``example`` says how
    to tell it.
    """

    name: str
    means: str
    read: Callable[[str], Any] = str
    schema: Schema = field(default_factory=lambda: TEXT)
    place: Place = "query"
    aliases: tuple[str, ...] = ()
    repeated: bool = False
    required: bool = False
    example: str = ""
    default: Any = None

    def value(self, request: web.Request) -> Any:
        """What the request says; raises ``BadInput`` that names the parameter."""
        name, texts = self._texts(request)
        if not texts:
            if self.required:
                how = f": {self.example}" if self.example else ""
                raise BadInput(f"parameter '{self.name}' is required{how}")
            return [] if self.repeated else self.default
        try:
            return [self.read(text) for text in texts] if self.repeated else self.read(texts[0])
        except BadInput as error:
            raise BadInput(f"malformed parameter '{name}': {error}") from None

    def _texts(self, request: web.Request) -> tuple[str, list[str]]:
        """The name that was used, and its values; empty ones count as missing (the UI sends ``minDuration=``)."""
        if self.place == "path":
            return self.name, [request.match_info[self.name]]
        for name in (self.name, *self.aliases):
            texts = [text for text in request.query.getall(name, []) if text]
            if texts:
                return name, texts
        return self.name, []


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its parameters, read, and the answers that this person may see."""

    request: web.Request
    values: Mapping[str, Any]
    allowed: QueryAnswers | None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def answers(self) -> QueryAnswers:
        """What may be asked; only guarded routes have it."""
        assert self.allowed is not None
        return self.allowed


Handler = Callable[[Asked], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way in which a route answers: a status, what it means, and the body."""

    status: int
    means: str
    media: str = "application/json"
    schema: Schema = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path of the API, for GET and HEAD. On a ``guarded`` one only those who may ask are heard.

    A ``strict`` one takes no other parameters than its own: people type them, and a slip would change the meaning.
    """

    path: str
    name: str
    title: str
    handler: Handler
    dialect: Dialect
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    group: str = ""
    about: str = ""
    guarded: bool = True
    strict: bool = False

    def values(self, request: web.Request) -> dict[str, Any]:
        """All parameters of a request; raises ``BadInput`` at the first that cannot be read."""
        known = [parameter.name for parameter in self.parameters]
        if self.strict and any(name not in known for name in request.query):
            raise BadInput(f"there is a parameter that this page does not take: it takes {', '.join(known)}")
        return {parameter.name: parameter.value(request) for parameter in self.parameters}
