"""Asking a trace store over HTTP for JSON: a limit for every wait and every answer, and no redirects.

A token goes to the configured address only.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from kubeweft.display.extensions.sources import ForeignQuestion, SourceFailed

MEBIBYTE: Final = 1024 * 1024
CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How an API is reached: ``url`` without a slash at its end, ``ca`` as PEM, ``tenant`` as ``X-Scope-OrgID``."""

    url: str
    token: str = field(default="", repr=False)
    ca: str = ""
    tenant: str = ""
    largest_answer: int = 32 * MEBIBYTE


class HttpApi:
    """One API; every question is a connection of its own."""

    def __init__(self, access: Access) -> None:
        """Nothing is connected to before the first question."""
        self._access = access
        context = ssl.create_default_context(cadata=access.ca or None)
        self._opener = urllib.request.build_opener(
            _NoRedirects(), urllib.request.HTTPSHandler(context=context)
        )
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "kubeweft"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"
        if access.tenant:
            self._headers["X-Scope-OrgID"] = access.tenant

    def get(self, path: str, parameters: Mapping[str, str], question: ForeignQuestion) -> dict[str, Any]:
        """What is answered, ``{}`` where nothing is found; raises ``SourceFailed``."""
        query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
        request = urllib.request.Request(f"{self._access.url}{path}{query}", headers=self._headers)
        try:
            with self._opener.open(request, timeout=question.left()) as answer:
                body = self._read(answer, question)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return {}
                raise SourceFailed(f"it answered HTTP {error.code}") from None
        except TimeoutError:
            raise SourceFailed("it took too long to answer") from None
        except urllib.error.URLError as error:
            slow = isinstance(error.reason, TimeoutError)
            raise SourceFailed(
                "it took too long to answer" if slow else f"it cannot be reached: {error.reason}"
            ) from None
        except (OSError, ValueError, zlib.error, http.client.HTTPException) as error:
            raise SourceFailed(f"its answer broke off: {type(error).__name__}") from None
        return _document(body)

    def _read(self, answer: Any, question: ForeignQuestion) -> bytes:
        most = self._access.largest_answer
        body = bytearray()
        while chunk := answer.read(CHUNK):
            question.left()  # one that drips keeps nobody waiting either
            body += chunk
            if len(body) > most:
                raise SourceFailed(f"its answer is larger than {most // MEBIBYTE} MiB")
        if answer.headers.get("Content-Encoding") != "gzip":
            return bytes(body)
        unpacked = zlib.decompressobj(wbits=31).decompress(bytes(body), most + 1)
        if len(unpacked) > most:
            raise SourceFailed(f"its answer is larger than {most // MEBIBYTE} MiB")
        return unpacked


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Take the redirect as the answer: a token must not follow it."""


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise SourceFailed("its answer is no JSON: is the address that of the API?") from None
    if not isinstance(document, dict):
        raise SourceFailed("its answer is not what this API answers")
    return document
