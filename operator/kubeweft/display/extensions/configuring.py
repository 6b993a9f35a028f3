"""The ``extensions`` section of the settings: other systems that are asked for spans, and attributes by which they join.

All of it is checked at start; a mistake says where it is. Tokens and certificates are read then too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from kubeweft.display.extensions.http_api import Access
from kubeweft.display.extensions.jaeger import JaegerSource
from kubeweft.display.extensions.joining import ForeignLimits
from kubeweft.display.extensions.sources import ForeignSource
from kubeweft.display.extensions.tempo import TempoSource
from kubeweft.display.extensions.wanting import BUILTIN_RULES, Joined, JoinRule
from kubeweft.display.words.mistakes import mistake_in
from kubeweft.display.words.times import parse_duration
from kubeweft.model.errors import UserError
from kubeweft.model.windows import NANOSECONDS
from kubeweft.otlp.foreign import Hiding

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
LONGEST_WAIT: Final = 60.0  # seconds


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One system: where its API is, and what it takes to ask it."""

    type: Literal["jaeger", "tempo"]
    url: str
    name: str = ""
    services: tuple[str, ...] = ()
    token_file: str = ""
    ca: str = ""
    tenant: str = ""


class JoinSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An attribute of spans or of their resource, and what its value is."""

    attribute: str
    to: Joined


class ExtensionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole section. ``timeout`` is for all sources of one tree together; ``spans`` how many a tree shows at most."""

    sources: tuple[SourceSettings, ...] = ()
    joins: tuple[JoinSettings, ...] = ()
    timeout: Annotated[str, msgspec.Meta(description="a length of time like 3s")] = "3s"
    spans: int = 5_000

    @property
    def rules(self) -> tuple[JoinRule, ...]:
        """The usual attributes, then those of the installation."""
        own = (JoinRule(join.attribute, join.to) for join in self.joins)
        return tuple(dict.fromkeys((*BUILTIN_RULES, *own)))

    @property
    def limits(self) -> ForeignLimits:
        """How much is fetched at most."""
        return ForeignLimits(spans=self.spans, seconds=parse_duration(self.timeout) / NANOSECONDS)


def parse_extensions(section: Mapping[str, Any], where: str) -> ExtensionSettings:
    """The section, checked; raises ``UserError`` that says ``where`` something is wrong, and what."""
    try:
        settings = msgspec.convert(section, ExtensionSettings)
        _check(settings)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {mistake_in(error, wanted=ExtensionSettings, value=section)}") from None
    except (ValueError, UserError) as error:
        raise UserError(f"{where}: {error}") from None
    return settings


def sources_of(settings: ExtensionSettings, *, hiding: Hiding, where: str) -> list[ForeignSource]:
    """The sources, ready to be asked; raises ``UserError`` where a file cannot be read."""
    return [_source(one, hiding, where) for one in settings.sources]


def _check(settings: ExtensionSettings) -> None:
    if not 0 < settings.limits.seconds <= LONGEST_WAIT:
        raise ValueError(f"timeout has to be more than 0 and at most {LONGEST_WAIT:g} s")
    if not 0 < settings.spans <= 100_000:
        raise ValueError("spans has to be from 1 to 100000")
    for number, join in enumerate(settings.joins):
        if not join.attribute.strip():
            raise ValueError(f"joins[{number}]: the attribute has no name")
    names = [_name(source) for source in settings.sources]
    if len(set(names)) < len(names):
        raise ValueError("sources: two have the same name")
    for number, source in enumerate(settings.sources):
        _check_url(source, f"source {source.name}" if source.name else f"sources[{number}]")


def _check_url(source: SourceSettings, where: str) -> None:
    try:
        parts = urlsplit(source.url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{where}: url: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{where}: url: it has to be http://HOST:PORT or https://HOST")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            f"{where}: url: it has no user and no query: put a token into a file, and name it as token_file"
        )
    if source.token_file and parts.scheme == "http" and host not in LOOPBACK:
        raise ValueError(f"{where}: token_file: a token would travel in plain text: use https")
    if source.services and source.type != "jaeger":
        raise ValueError(f"{where}: services: only a jaeger is searched by services")


def _source(settings: SourceSettings, hiding: Hiding, where: str) -> ForeignSource:
    access = Access(
        url=settings.url.rstrip("/"),
        token=_content(settings.token_file, where).strip(),
        ca=_content(settings.ca, where),
        tenant=settings.tenant,
    )
    name = _name(settings)
    if settings.type == "tempo":
        return TempoSource(name, access, hiding=hiding)
    return JaegerSource(name, access, hiding=hiding, services=_distinct(settings.services))


def _name(settings: SourceSettings) -> str:
    return settings.name or f"{settings.type} at {urlsplit(settings.url).netloc}"


def _distinct(services: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(services))


def _content(file: str, where: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: cannot read {file}: {error}") from None
