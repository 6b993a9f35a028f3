"""An exporter's headers, which are secret: checked before use, and quoted in no message."""

from __future__ import annotations

import re
from typing import Final

from kubeweft.model.errors import UserError
from kubeweft.model.plan import Exporter

_NAME: Final = re.compile(r"[0-9a-z!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_OURS: Final = frozenset({"content-type", "content-encoding", "content-length", "host", "te", "connection"})


def checked_headers(exporter: Exporter) -> tuple[tuple[str, str], ...]:
    """The headers with names in lower case, as gRPC wants them; UserError names a header that cannot be sent."""
    return tuple((_name(exporter, name), _value(exporter, name, value)) for name, value in exporter.headers)


def _name(exporter: Exporter, name: str) -> str:
    lower = name.lower()
    if not _NAME.fullmatch(lower) or lower in _OURS or lower.startswith("grpc-") or lower.endswith("-bin"):
        raise UserError(f"exporter {exporter.name}: {name[:80]!r} cannot be used as the name of a header")
    return lower


def _value(exporter: Exporter, name: str, value: str) -> str:
    stripped = value.strip()  # a Secret made from a file often ends with a line break
    if not _VALUE.fullmatch(stripped):
        raise UserError(f"exporter {exporter.name}: the value of header {name[:80]!r} is not printable ASCII")
    return stripped
