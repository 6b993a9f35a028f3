"""What a person sees who opens the server's address where no UI is served: what is here, and a way to an object."""

from __future__ import annotations

import html
from collections.abc import Iterable

from aiohttp import web

from kubeweft.display.serving.http.describing import Route
from kubeweft.display.serving.http.redirecting import TRACE_ID

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
FIELDS = (
    ("resource", "kind or resource", "deployment", True),
    ("namespace", "namespace", "default", False),
    ("name", "name", "demo", True),
    ("cluster", "cluster", "", False),
    ("time", "time", "10m, 10:32, 2026-11-21T10:32:00Z", False),
)
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
input { display: block; width: 20rem; font: inherit; } code { background: #8882; padding: 0 .2em; }
"""


class Landing:
    """The pages of a server without a UI."""

    def __init__(self, routes: Iterable[Route], *, base_path: str) -> None:
        """``routes`` are listed."""
        self._base = base_path
        self._routes = tuple(routes)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The page that tells what is here, or the one that stands for a trace."""
        path = request.match_info["path"]
        folder, _, name = path.partition("/")
        if path == "":
            return _page("Kubeweft", self._home())
        if folder == "trace" and name.isalnum():
            return _page("A trace", self._trace(name))
        raise web.HTTPNotFound(text=f"there is nothing at {request.path}: see {self._base}/")

    def _home(self) -> str:
        rows = "".join(
            f"<li><code>{html.escape(self._base + route.path)}</code> {html.escape(route.title)}</li>"
            for route in self._routes
        )
        fields = "".join(
            f'<label>{label} <input name="{name}" placeholder="{hint}"{" required" if needed else ""}></label>'
            for name, label, hint, needed in FIELDS
        )
        return (
            "<h1>Kubeweft</h1><p>What happened to the objects of Kubernetes clusters, as traces. This server has no pages"
            " of its own: start it with <code>--ui</code> (<code>kubeweft run</code>: <code>--serve-ui</code>) and the folder"
            " of a built Jaeger UI, or give its address to Grafana's Jaeger data source.</p>"
            f'<h2>Find an object</h2><form action="{self._base}/redirect">{fields}<p><button>Go</button></p></form>'
            f'<h2>What is here</h2><ul>{rows}</ul><p><a href="{self._base}/openapi.json">OpenAPI</a></p>'
        )

    def _trace(self, trace_id: str) -> str:
        old = f"{self._base}/api/traces/{trace_id}?prettyPrint=true"
        v3 = f"{self._base}/api/v3/traces/{trace_id}"
        return (
            f"<h1>Trace {trace_id}</h1><p>This server has no UI to show it; start it with <code>--ui</code>. As JSON:</p>"
            f'<ul><li><a href="{old}">Jaeger\'s form</a></li><li><a href="{v3}">OTLP</a></li></ul>'
        )


def own_trace_page(base_path: str) -> str:
    """The address of a trace's page on this server."""
    return f"{base_path}/trace/{TRACE_ID}"


def _page(title: str, body: str) -> web.Response:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})
