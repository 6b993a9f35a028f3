"""What a request URI passes on to others: commands of exec, queries to proxied services, tokens as parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote, unquote_plus

from kubeweft.model.secret_texts import HIDDEN, hide_secrets

_STREAMS: Final = frozenset({"exec", "attach", "portforward"})
_HARMLESS: Final = frozenset({"container", "stdin", "stdout", "stderr", "tty", "ports"})
_WORDS: Final = (
    "token",
    "passw",
    "secret",
    "signature",
    "credential",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
)
_WHOLE_NAMES: Final = frozenset({"auth", "pwd", "sig", "key", "code"})
_HINTS: Final = (*_WORDS, *(f"{name}=" for name in _WHOLE_NAMES))


def hide_in_query(path: str, query: str, matches: Callable[[str], bool]) -> str:
    """The query without secrets; ``matches`` says of a text whether a policy wants it hidden.

    A proxied query is hidden whole: its meaning is known only to the service behind. Of a stream's parameters those
    stay that say how it was opened; the command goes. Any segment of the path counts, so a Pod that is named
    ``exec`` loses its query too.
    """
    segments = frozenset((unquote(path) if "%" in path else path).split("/"))
    if "proxy" in segments:
        return HIDDEN
    is_stream = not _STREAMS.isdisjoint(segments)
    if not is_stream and not _is_suspicious(query, matches):
        return query
    hidden = _hide_parameters(query, is_stream=is_stream, matches=matches)
    return HIDDEN if _is_secret(unquote_plus(hidden), matches) else hidden


def _is_suspicious(query: str, matches: Callable[[str], bool]) -> bool:
    plain = unquote_plus(query)
    lower = plain.lower()
    return any([hint in lower for hint in _HINTS]) or _is_secret(plain, matches)  # noqa: C419 (twice as fast)


def _tells_of_secret(name: str) -> bool:
    name = name.lower()
    return name in _WHOLE_NAMES or any(word in name for word in _WORDS)


def _is_secret(plain: str, matches: Callable[[str], bool]) -> bool:
    return matches(plain) or hide_secrets(plain) != plain


def _hide_parameters(query: str, *, is_stream: bool, matches: Callable[[str], bool]) -> str:
    # A command has a parameter for each word: how many there were is nobody's business, so a dict keeps one.
    kept: dict[str, None] = {}
    for parameter in query.split("&"):
        name, equals, value = parameter.partition("=")
        plain_name, plain = unquote_plus(name), unquote_plus(value)
        if is_stream and plain_name not in _HARMLESS:
            kept[f"command={HIDDEN}" if plain_name == "command" else HIDDEN] = None
        elif _tells_of_secret(plain_name) or _is_secret(plain, matches):
            kept[f"{name}={HIDDEN}" if equals else HIDDEN] = None
        else:
            kept[parameter] = None
    return "&".join(kept)
