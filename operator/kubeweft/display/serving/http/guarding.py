"""What every request meets first: which names this server has, which other pages may read it, and what browsers may do.

A server on the loopback is open to every page in the browser beside it that has a name resolve to 127.0.0.1 (DNS
rebinding). Such a page sends its own name as ``Host``, so names that are not known are refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

METHODS: Final = "GET, HEAD, OPTIONS"
ASKED_HEADERS: Final = "Authorization, Accept, Content-Type"
PREFLIGHT_SECONDS: Final = "600"
ANY: Final = "*"
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Who may come in by which name. ``hosts`` None: any name is right, since the address is no loopback.

    ``origins`` are those of other pages that may read the answers (``https://grafana.example``), ``*`` all.
    """

    hosts: Collection[str] | None = ()
    origins: Collection[str] = ()

    def check_host(self, request: web.Request) -> None:
        """Refuse a request that was sent to a name that is not ours."""
        host = request.headers.get(hdrs.HOST)
        if self.hosts is None or host is None or is_known_host(host, self.hosts):
            return
        raise web.HTTPForbidden(
            text=f"this server is not known as {_name_of(host)!r}: use its IP address, or localhost on its own machine, or"
            f" start it with --allow-host NAME ('kubeweft run': --serve-allow-host) if that is a name of it"
        )

    def origin_of(self, request: web.Request) -> str:
        """The origin that may read the answer; empty where that is the server's own alone."""
        origin = request.headers.get(hdrs.ORIGIN, "")
        if not origin or not self.origins:
            return ""
        if ANY in self.origins:
            return ANY
        return origin if origin in self.origins else ""

    def options(self, request: web.Request) -> web.Response:
        """The answer to OPTIONS: what another page may do here."""
        response = web.Response(status=204, headers={hdrs.ALLOW: METHODS})
        if self.origin_of(request) and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ASKED_HEADERS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = PREFLIGHT_SECONDS
        return response

    async def finish_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """What browsers are told with every answer; a handler that knows better has said so already."""
        headers = response.headers
        origin = self.origin_of(request)
        if origin:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        if self.origins and ANY not in self.origins:
            headers.add(hdrs.VARY, hdrs.ORIGIN)
        headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if origin else "same-origin")
        headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "same-origin")
        headers[hdrs.SERVER] = "kubeweft"

    def frame_ancestors(self) -> str:
        """Which pages may show the UI in a frame: those that may read the answers."""
        return " ".join(["'self'", *sorted(self.origins)])


def is_known_host(header: str, hosts: Collection[str]) -> bool:
    """Whether a ``Host`` is an IP address, localhost, or one of the names given (with any port)."""
    name = _name_of(header)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost") or name in {h.lower() for h in hosts}
    return True


def _name_of(header: str) -> str:
    """The name in ``name:port`` or ``[::1]:port``, in lower case, without the dot that may end it."""
    header = header.strip().lower()
    bracketed = _BRACKETED.fullmatch(header)
    if bracketed:
        return bracketed[1]
    name = header.rpartition(":")[0] if header.count(":") == 1 else header
    return name.removesuffix(".")
