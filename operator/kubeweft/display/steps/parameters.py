"""Kinds of parameters that steps take beside plain values: a length of time, and a name with placeholders.

Each is read from the text in a views file when that is loaded, so that a mistake is told at start and not when
somebody looks.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any, Self

from kubeweft.display.words.times import parse_duration
from kubeweft.model.errors import UserError

PLACEHOLDERS = {
    "kind": "the kind of the object: Pod",
    "cluster": "its cluster, as `cluster-names` calls it",
    "namespace": "its namespace",
    "name": "its name",
    "group": "its API group",
    "resource": "its resource type: pods",
    "source": "what tells the fact: request, change, event …",
    "title": "what the span is called in the store: create, BackOff",
    "headline": "the usual line of the fact",
    "verb": "the verb of a request",
    "subresource": "the subresource of a request or change",
    "code": "the code a request was answered with",
    "user": "the user of a request; a service account without its prefix",
    "agent": "the program of its user agent: kubectl",
    "manager": "the field manager of a change",
    "reporter": "the reporter of an Event",
    "reason": "the reason of an Event or a failure",
    "actor": "who acted, as in the view `actors`, as shortly as it is plain who that is in this tree",
}
"""What a name may be made of, and what each stands for. Where one says nothing, it leaves no trace."""


class Duration(int):
    """Nanoseconds, written like ``10s`` or ``2h30m``."""

    @classmethod
    def read(cls, text: object) -> Self:
        """From a views file; raises ``ValueError``."""
        if not isinstance(text, str):
            raise ValueError(f"a duration is written like 10s or 2h30m, not {text!r}")
        try:
            return cls(parse_duration(text))
        except UserError as error:
            raise ValueError(str(error)) from None


class Template:
    """A name with placeholders: ``{kind} {name}``; ``{{`` and ``}}`` are braces. (No dataclass: msgspec would make it one
    out of a mapping.)"""

    __slots__ = ("parts", "text")

    def __init__(self, text: str, parts: tuple[tuple[str, str], ...]) -> None:
        """``parts`` are literals, each with the placeholder after it."""
        self.text = text
        self.parts = parts

    @classmethod
    def read(cls, text: object) -> Self:
        """From a views file; raises ``ValueError``."""
        if not isinstance(text, str):
            raise ValueError(f"a name with placeholders is text, not {text!r}")
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"'{text}' is no name with placeholders: {error}") from None
        for _, placeholder, form, conversion in parsed:
            if placeholder is not None and (placeholder not in PLACEHOLDERS or form or conversion):
                known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                wrong = placeholder + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
                raise ValueError(f"there is no placeholder '{{{wrong}}}' in '{text}': {known}")
        return cls(text, tuple([(literal, name or "") for literal, name, _, _ in parsed]))

    def fill(self, value_of: Callable[[str], str]) -> str:
        """The name with everything filled in; empty where no placeholder says anything."""
        if len(self.parts) == 1 and not self.parts[0][0]:
            return " ".join(value_of(self.parts[0][1]).split())
        values = [value_of(name) if name else "" for _, name in self.parts]
        if any(name for _, name in self.parts) and not any(values):
            return ""
        filled = "".join(
            [f"{literal}{value}" for (literal, _), value in zip(self.parts, values, strict=True)]
        )
        return " ".join(filled.split())

    def asks_for(self, name: str) -> bool:
        """Whether a placeholder is in it."""
        return any(placeholder == name for _, placeholder in self.parts)


def read_parameter(wanted: type, value: Any) -> Any:
    """How msgspec reads what is none of its own types."""
    return wanted.read(value) if issubclass(wanted, Duration | Template) else value
