"""A running Jaeger, or another ``kubeweft serve``, over the HTTP form of its query API (``/api/v3``).

HTTP rather than gRPC, because the port of the UI is the one that people have access to. Older Jaegers know other
parameter names and skip what they do not know, even the tags of a search: ``finds_by_tags`` tells, once seen.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote, urlencode

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
    TooMuch,
)

MOST_PROBED: Final = 4
ATTEMPTS: Final = 3
LATEST: Final = 253_402_300_799 * 10**9  # the last second of year 9999 that RFC 3339 can tell
_REPEATABLE: Final = frozenset({502, 503, 504})


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
        services = self._ask("services").get("services") or []
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
        answer = self._ask("operations", {"service": service})
        return sorted({str(one["name"]) for one in answer.get("operations") or ()})

    def close(self) -> None:
        """Every answer has closed its own connection."""
        self._opener.close()

    def _traces(self, path: str, parameters: Mapping[str, str]) -> dict[bytes, list[Span]]:
        answer = self._ask(path, parameters)
        found: dict[bytes, list[Span]] = {}
        try:
            for span in decode_json(answer.get("result", {}).get("resourceSpans") or ()):
                found.setdefault(span.trace_id, []).append(span)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{self.where}: the answer is no OpenTelemetry trace ({error})") from None
        return found

    def _ask(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What the server answers, ``{}`` where it has nothing."""
        url = f"{self._address}/api/v3/{path}"
        if parameters:
            url += f"?{urlencode(parameters, quote_via=quote)}"
        try:
            body = self._retrying(self._fetch, url)
        except _TryAgain as error:
            raise UserError(f"{self.where}: cannot be reached ({error}): check the address") from None
        return _parsed(body, self.where) if body else {}

    def _fetch(self, url: str) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "kubeweft"}
        if self._options.token:
            headers["Authorization"] = f"Bearer {self._options.token}"
        request = urllib.request.Request(url, headers=headers)  # opening.py lets only http and https pass
        try:
            with self._opener.open(request, timeout=self._options.timeout) as answer:
                return self._read(answer)
        except urllib.error.HTTPError as error:
            with error:
                return self._refused(error)
        except TimeoutError:
            raise TooMuch(f"{self.where}: {_slow(self._options)}") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise TooMuch(f"{self.where}: {_slow(self._options)}") from None
            raise _TryAgain(str(error.reason)) from None
        except (OSError, zlib.error) as error:
            raise _TryAgain(str(error) or type(error).__name__) from None

    def _read(self, answer: Any) -> bytes:
        most = self._options.largest_answer
        body: bytes = answer.read(most + 1)
        if answer.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompressobj(wbits=31).decompress(body, most + 1)
        if len(body) > most:
            raise TooMuch(
                f"{self.where}: the answer is larger than {most // MEBIBYTE} MiB: narrow the time, or allow more"
                " with ?max-mib="
            )
        return body

    def _refused(self, error: urllib.error.HTTPError) -> bytes:
        text = error.read(4096).decode("utf-8", "replace").strip()[:300]
        if error.code == 404 and ("No traces found" in text or "not found" in text.lower()):
            return b""
        if error.code in (401, 403):
            raise UserError(f"{self.where}: it refuses us: give a bearer token with ?token-file=FILE")
        if error.code in _REPEATABLE:
            raise _TryAgain(f"HTTP {error.code}: {text}")
        kind = TooMuch if TOO_DEEP in text else UserError
        raise kind(f"{self.where}: HTTP {error.code}: {text or error.reason}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token must not follow to another host; what redirects wants a login page."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Take the redirect as the answer."""


def _parsed(body: bytes, where: str) -> dict[str, Any]:
    """One JSON object; services that stream write one a line, of which the traces are joined."""
    try:
        documents = list(_documents(body))
    except orjson.JSONDecodeError:
        raise UserError(f"{where}: the answer is no JSON: is it the address of a Jaeger UI?") from None
    if len(documents) == 1:
        return documents[0]
    groups = [group for one in documents for group in one.get("result", {}).get("resourceSpans") or ()]
    return {"result": {"resourceSpans": groups}}


def _documents(body: bytes) -> Iterator[dict[str, Any]]:
    try:
        document = orjson.loads(body)
        yield document if isinstance(document, dict) else {}
    except orjson.JSONDecodeError:
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        for line in lines:
            yield orjson.loads(line)


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
