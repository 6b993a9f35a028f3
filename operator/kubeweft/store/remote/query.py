"""A running Jaeger, or another ``kubeweft serve``, over the HTTP form of its query API (``/api/v3``).

HTTP rather than gRPC, because the port of the UI is the one that people have access to. Older Jaegers know other
parameter names and skip what they do not know, even the tags of a search: ``finds_by_tags`` tells, once seen.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import orjson
import tenacity

from kubeweft.model.errors import UserError
from kubeweft.model.spans import Span
from kubeweft.model.timestamps import format_timestamp
from kubeweft.otlp.decoding import OBJECT_PARTS
from kubeweft.otlp.decoding_json import decode_json
from kubeweft.otlp.jaeger_storage import TraceQuery
from kubeweft.store.remote.sources import (
    MEBIBYTE,
    OBJECT_SERVICE,
    STORED_SERVICE,
    TOO_DEEP,
    FoundTraces,
    RemoteOptions,
    StoreAway,
    TooMuch,
    TooSlow,
)

MOST_PROBED: Final = 4
ATTEMPTS: Final = 3
LATEST: Final = 253_402_300_799 * 10**9  # the last second of year 9999 that RFC 3339 can tell
PIECE: Final = 65_536  # bytes
_REPEATABLE: Final = frozenset({502, 503, 504})
_QUESTIONS_FAULT: Final = frozenset({400, 413, 414, 422})
_NO_JSON: Final = "the answer is no JSON that we know: is it the address of a Jaeger UI?"
_NO_TRACE: Final = re.compile(rb"no traces? found|traces? (?:is |was )?not found", re.IGNORECASE)
Shape = TypeVar("Shape")


class _Services(msgspec.Struct):
    services: list[str] | None = None


class _Operation(msgspec.Struct):
    name: str = ""


class _Operations(msgspec.Struct):
    operations: list[_Operation] | None = None


class _TryAgain(Exception):  # never leaves this file
    """The server could not answer now."""


class QuerySource:
    """A store behind ``/api/v3`` of an address such as ``http://host:16686/base``."""

    ids_at_once = 1
    most_probed = MOST_PROBED

    def __init__(self, address: str, options: RemoteOptions) -> None:
        """Nothing is connected to before the first question."""
        self.where = f"the query API at {address}"
        self.finds_by_tags = True  # until an answer shows otherwise
        self._address = address.rstrip("/")
        self._options = options
        context = ssl.create_default_context(cadata=options.ca.decode() or None) if options.tls else None
        handlers = [urllib.request.HTTPSHandler(context=context)] if context else []
        self._opener = urllib.request.build_opener(_NoRedirects(), *handlers)
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        )

    @cached_property
    def object_service(self) -> str:
        """Our own server has one service for stored traces, every other store that of the exported spans."""
        services = self._decoded("services", _Services).services or ()
        ours = STORED_SERVICE in services and OBJECT_SERVICE not in services
        return STORED_SERVICE if ours else OBJECT_SERVICE

    @property
    def names_are_operations(self) -> bool:
        """Our own server's operations are clusters."""
        return self.object_service == OBJECT_SERVICE

    def get(self, trace_ids: Sequence[bytes], *, since: int | None, until: int | None) -> FoundTraces:
        """Traces by ID, one call for each."""
        found: dict[bytes, list[Span]] = {}
        for trace_id in trace_ids:
            times = {"start_time": _time(since), "end_time": _time(until)}
            asked = {"raw_traces": "true", "rawTraces": "true", **{k: t for k, t in times.items() if t}}
            found.update(self._traces(f"traces/{trace_id.hex()}", asked))
        return found

    def find(self, query: TraceQuery) -> FoundTraces:
        """Whole traces with a span that fits; where tags are skipped, more than that."""
        found = self._traces("traces", _parameters(query))
        checked = query.attributes if self.names_are_operations else {}
        if checked and not all(_has_span(spans, checked) for spans in found.values()):
            self.finds_by_tags = False
        return found

    def operations(self, service: str) -> list[str]:
        """The names of all spans of a service."""
        answer = self._decoded("operations", _Operations, {"service": service})
        return sorted({one.name for one in answer.operations or ()})

    def close(self) -> None:
        """Every answer has closed its own connection."""
        self._opener.close()

    def _traces(self, path: str, parameters: Mapping[str, str]) -> dict[bytes, list[Span]]:
        found: dict[bytes, list[Span]] = {}
        body = self._ask(path, parameters)
        try:
            groups = [group for one in _documents(body) for group in one["result"].get("resourceSpans") or ()]
            for span in decode_json(groups):
                found.setdefault(span.trace_id, []).append(span)
        except orjson.JSONDecodeError:
            raise StoreAway(f"{self.where}: {_NO_JSON}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreAway(f"{self.where}: the answer is no OpenTelemetry trace ({error})") from None
        return found

    def _decoded(self, path: str, shape: type[Shape], parameters: Mapping[str, str] | None = None) -> Shape:
        try:
            return msgspec.json.decode(self._ask(path, parameters), type=shape)
        except msgspec.DecodeError as error:
            raise StoreAway(f"{self.where}: {_NO_JSON} ({path}: {error})") from None

    def _ask(self, path: str, parameters: Mapping[str, str] | None = None) -> bytes:
        """What the server answers, empty where it has no such trace."""
        url = f"{self._address}/api/v3/{path}"
        if parameters:
            url += f"?{urlencode(parameters, quote_via=quote)}"
        try:
            return self._retrying(self._fetch, url)
        except _TryAgain as error:
            raise StoreAway(f"{self.where}: cannot be reached ({error}): check the address") from None

    def _fetch(self, url: str) -> bytes:
        try:
            return self._fetched(url)
        except TimeoutError:
            raise TooSlow(f"{self.where}: {_slow(self._options)}") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise TooSlow(f"{self.where}: {_slow(self._options)}") from None
            raise _TryAgain(str(error.reason)) from None
        except http.client.InvalidURL as error:
            raise StoreAway(f"{self.where}: this is no address ({error})") from None
        except http.client.HTTPException as error:
            raise _TryAgain(f"this is no whole HTTP answer: {error!r}") from None
        except (OSError, zlib.error) as error:
            raise _TryAgain(str(error) or type(error).__name__) from None

    def _fetched(self, url: str) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "kubeweft"}
        if self._options.token:
            headers["Authorization"] = f"Bearer {self._options.token}"
        request = urllib.request.Request(url, headers=headers)  # opening.py lets only http and https pass
        deadline = time.monotonic() + self._options.timeout
        try:
            with self._opener.open(request, timeout=self._options.timeout) as answer:
                return self._read(answer, deadline)
        except urllib.error.HTTPError as error:
            with error:
                return self._refused(error)

    def _read(self, answer: http.client.HTTPResponse, deadline: float) -> bytes:
        """All of an answer; the timeout of a socket is for each piece of it, the ``deadline`` for the whole."""
        body = bytearray()
        length: int | None = answer.length  # None: chunked, or up to the end of the connection
        while length is None or len(body) < length:
            piece = answer.read1(PIECE if length is None else min(PIECE, length - len(body)))
            if not piece:
                break
            body += piece
            self._check_size(len(body))
            if time.monotonic() > deadline:
                raise TimeoutError
        if length is not None and len(body) < length:
            raise http.client.IncompleteRead(b"", length - len(body))
        if answer.headers.get("Content-Encoding") != "gzip":
            return bytes(body)
        unpacking = zlib.decompressobj(wbits=31)
        unpacked = unpacking.decompress(body, self._options.largest_answer + 1)
        self._check_size(len(unpacked))
        if not unpacking.eof:
            raise zlib.error("the compressed answer is cut off")
        return unpacked

    def _check_size(self, size: int) -> None:
        most = self._options.largest_answer
        if size > most:
            raise TooMuch(
                f"{self.where}: the answer is larger than {most // MEBIBYTE} MiB: narrow the time, or allow more"
                " with ?max-mib="
            )

    def _refused(self, error: urllib.error.HTTPError) -> bytes:
        body = error.read(4096)
        text = body.decode("utf-8", "replace").strip()[:300]
        if error.code == 404:
            if _tells_of_no_trace(body):
                return b""
            raise StoreAway(
                f"{self.where}: there is no query API at this path (HTTP 404: {text}): does the address lack a base path?"
            )
        if error.code in (401, 403):
            raise StoreAway(f"{self.where}: it refuses us: give a bearer token with ?token-file=FILE")
        if error.code in _REPEATABLE:
            raise _TryAgain(f"HTTP {error.code}: {text}")
        message = f"{self.where}: HTTP {error.code}: {text or error.reason}"
        if TOO_DEEP in text:
            raise TooMuch(message)
        raise UserError(message) if error.code in _QUESTIONS_FAULT else StoreAway(message)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token must not follow to another host; what redirects wants a login page."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Take the redirect as the answer."""


def _documents(body: bytes) -> Iterator[dict[str, Any]]:
    """One JSON object; services that stream write one a line."""
    try:
        if body:
            yield orjson.loads(body)
    except orjson.JSONDecodeError:
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        for line in lines:
            yield orjson.loads(line)


def _tells_of_no_trace(body: bytes) -> bool:
    """Whether a 404 is an answer of Jaeger's, not of a proxy or of a server that is no Jaeger."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and _NO_TRACE.search(body) is not None


def _parameters(query: TraceQuery) -> dict[str, str]:
    """In both spellings, of which servers know one: Jaeger up to v2.13 the first, later ones the second."""
    since, until = _time(query.since) or _time(0), _time(query.until) or _time(LATEST)
    values = (
        ("service_name", "serviceName", query.service),
        ("operation_name", "operationName", query.operation),
        ("start_time_min", "startTimeMin", since),
        ("start_time_max", "startTimeMax", until),
        ("num_traces", "searchDepth", str(query.depth)),
        ("raw_traces", "rawTraces", "true"),
    )
    asked = {f"query.{name}": value for *names, value in values if value for name in names}
    if query.attributes:
        asked["query.attributes"] = json.dumps(dict(query.attributes), sort_keys=True)
    return asked


def _has_span(spans: Sequence[Span], tags: Mapping[str, str]) -> bool:
    """Whether an object of the trace has these tags, which are parts of object keys."""
    return any(
        all(dict(zip(OBJECT_PARTS, span.key, strict=True)).get(name) == value for name, value in tags.items())
        for span in spans
    )


def _time(nanoseconds: int | None) -> str:
    return "" if nanoseconds is None else format_timestamp(min(nanoseconds, LATEST))


def _slow(options: RemoteOptions) -> str:
    return f"no answer within {options.timeout:g} s: narrow the time, or allow more with ?timeout=60"
