"""Where the spans of other tracing systems come from in this process: the store itself, and what the settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeweft.display.extensions.embedded import EmbeddedSource
from kubeweft.display.extensions.joining import Extensions
from kubeweft.display.extensions.sources import ForeignSource
from kubeweft.display.extensions.wanting import BUILTIN_RULES, JoinRule
from kubeweft.model.errors import UserError
from kubeweft.store.sqlite_reader import SqliteReader

if TYPE_CHECKING:
    from kubeweft.display.extensions.configuring import ExtensionSettings

SECTION = "settings: extensions"


def join_rules(own: str | Mapping[str, Any]) -> Sequence[JoinRule]:
    """By which attributes spans are joined, under the settings or a file; raises ``UserError``."""
    return extension_settings(own).rules if own else BUILTIN_RULES


def extensions_of(own: str | Mapping[str, Any], reader: object) -> Extensions | None:
    """What is asked for spans of other systems beside a store; None where there is nothing to ask. Raises ``UserError``.

    What comes from others goes through the redaction that is built in; policies have a say in what is stored.
    """
    sources: list[ForeignSource] = [EmbeddedSource(reader)] if isinstance(reader, SqliteReader) else []
    if not own:
        return Extensions(sources) if sources else None
    from kubeweft.display.extensions.configuring import sources_of
    from kubeweft.model.plan import Redaction
    from kubeweft.model.redaction import Redactor

    settings = extension_settings(own)
    sources += sources_of(settings, hiding=Redactor(Redaction(), b""), where=_where(own))
    return Extensions(sources, rules=settings.rules, limits=settings.limits) if sources else None


def extension_settings(own: str | Mapping[str, Any]) -> ExtensionSettings:
    """The section of the settings, or a YAML file that holds the same; raises ``UserError``."""
    import yaml  # most commands have no extensions, and shall not wait for what those need

    from kubeweft.display.extensions.configuring import parse_extensions

    if isinstance(own, Mapping):
        return parse_extensions(own, SECTION)
    try:
        document = yaml.safe_load(Path(own).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"cannot read the extensions in {own}: {reason}") from None
    if not isinstance(document, Mapping):
        raise UserError(f"{own}: write `sources:` and `joins:`, each with a list")
    return parse_extensions(document, own)


def _where(own: str | Mapping[str, Any]) -> str:
    return own if isinstance(own, str) else SECTION
