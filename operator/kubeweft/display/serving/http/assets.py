"""A built Jaeger UI from a folder: its files, and its one page under every address that is a page of it.

The page gets what Jaeger's own server writes into it: base path, configuration, capabilities. Nothing outside the
folder can be reached, because only files found at start are served.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from kubeweft.display.serving.http.writing import accepts
from kubeweft.model.errors import UserError

FOREVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
COMPRESSIBLE: Final = frozenset({".js", ".mjs", ".css", ".svg", ".html", ".json", ".map", ".txt", ".ico"})
CONFIG: Final[Mapping[str, Any]] = {
    "archiveEnabled": False,
    "monitor": {"menuEnabled": False},
    "search": {"maxLookback": {"label": "4 Weeks", "value": "4w"}},
}
"""The UI's configuration, unless told: without the pages for which there is nothing here."""
CAPABILITIES: Final = {
    "archiveStorage": False,
    "metricsStorage": False,
    "searchWithoutServiceName": True,
    "aiAssistant": False,
}

_BASE = re.compile(rb'<base href="/"')
_CONFIG = re.compile(rb"JAEGER_CONFIG *= *DEFAULT_CONFIG;")
_STORAGE = re.compile(rb"JAEGER_STORAGE_CAPABILITIES *= *DEFAULT_STORAGE_CAPABILITIES;")
_BACKEND = re.compile(rb"JAEGER_BACKEND_CAPABILITIES *= *DEFAULT_BACKEND_CAPABILITIES;")
_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_HASHED_NAME = re.compile(r"-[\w-]{8,}\.\w+$")  # as Vite names what it builds: index-CDGSPNPD.js


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInterface:
    """A folder with a built UI (``index.html``, ``static/``), and its configuration, laid over ours key by key."""

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)


class Assets:
    """The files of a UI, found at start."""

    def __init__(self, ui: UserInterface, *, base_path: str, frame_ancestors: str) -> None:
        """Raises ``UserError`` where the folder holds no UI."""
        folder = ui.folder
        try:
            page = (folder / "index.html").read_bytes()
        except OSError as error:
            raise UserError(
                f"{folder} holds no built Jaeger UI: cannot read its index.html ({error.strerror})"
            ) from None
        self._files = {
            path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
        }
        self.page = enrich(page, base_path=base_path, config={**CONFIG, **ui.config})
        self._compressed: dict[Path, bytes] = {}
        self._policy = policy(self.page, frame_ancestors=frame_ancestors)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A file, or the page."""
        path = request.match_info["path"]
        file = self._files.get(path)
        if file is not None and path != "index.html":
            return await self._file(request, file)
        if path.startswith(("api/", "static/")):
            raise web.HTTPNotFound(text=f"there is nothing at {request.path}")
        return self._index(request)

    async def _file(self, request: web.Request, file: Path) -> web.StreamResponse:
        caching = FOREVER if _HASHED_NAME.search(file.name) else ASK_AGAIN
        gzip_wanted = accepts(request.headers.get(hdrs.ACCEPT_ENCODING, ""), "gzip")
        if file.suffix in COMPRESSIBLE and gzip_wanted and hdrs.RANGE not in request.headers:
            return await self._packed(request, file, caching)
        response = web.FileResponse(file, headers={hdrs.CACHE_CONTROL: caching})
        if file.suffix in COMPRESSIBLE:
            response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        return response

    async def _packed(self, request: web.Request, file: Path, caching: str) -> web.StreamResponse:
        """A file compressed, once. (aiohttp's own way sends a compressed nothing as the body of a 304.)"""
        packed = self._compressed.get(file)
        if packed is None:
            packed = self._compressed[file] = await asyncio.to_thread(_compress, file)
        response = web.Response(
            content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
            headers={hdrs.CACHE_CONTROL: caching, hdrs.VARY: hdrs.ACCEPT_ENCODING},
        )
        return _unless_known(request, response, packed, {hdrs.CONTENT_ENCODING: "gzip"})

    def _index(self, request: web.Request) -> web.Response:
        headers = {
            hdrs.CACHE_CONTROL: ASK_AGAIN,  # a new version of the UI has new names for its files
            "Content-Security-Policy": self._policy,
        }
        response = web.Response(content_type="text/html", charset="utf-8", headers=headers)
        return _unless_known(request, response, self.page, {})


def _unless_known(
    request: web.Request, response: web.Response, body: bytes, headers: Mapping[str, str]
) -> web.Response:
    """The response with this body, or 304 to who has it already."""
    response.etag = own = hashlib.blake2b(body, digest_size=12).hexdigest()
    if any(tag.value in (own, "*") for tag in request.if_none_match or ()):
        response.set_status(304)
        return response
    response.headers.update(headers)
    response.body = body
    return response


def _compress(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), compresslevel=6, mtime=0)


def enrich(page: bytes, *, base_path: str, config: Mapping[str, Any]) -> bytes:
    """The UI's page with what its server has to tell it."""
    base = f'<base href="{base_path}/"'.encode()
    for pattern, text in (
        (_BASE, base),
        (_CONFIG, b"JAEGER_CONFIG = %s;" % _script_json(config)),
        (_STORAGE, b"JAEGER_STORAGE_CAPABILITIES = %s;" % _script_json(CAPABILITIES)),
        (_BACKEND, b"JAEGER_BACKEND_CAPABILITIES = %s;" % _script_json(CAPABILITIES)),
    ):
        page = pattern.sub(lambda _, text=text: text, page)  # type: ignore[misc]
    return page


def policy(page: bytes, *, frame_ancestors: str) -> str:
    """What the page may do: run its own scripts, those in it by their hashes, and talk to this server alone."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(page)
        if script
    ]
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src 'self' 'wasm-unsafe-eval' {' '.join(hashes)}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob: data:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors {frame_ancestors}",
        ]
    )


def _script_json(value: Any) -> bytes:
    """JSON that cannot end the script it stands in."""
    return orjson.dumps(value).replace(b"<", b"\\u003c").replace(b"\xe2\x80\xa8", b"\\u2028")
