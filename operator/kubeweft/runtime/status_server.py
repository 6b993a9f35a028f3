"""A small HTTP server that tells how we are: ``/metrics``, ``/healthz`` (alive) and ``/readyz`` (doing its work)."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kubeweft.model.errors import UserError


class StatusServer:
    """Serves until closed. ``ready`` gives the reason for not being ready, or nothing."""

    def __init__(self, *, host: str, port: int, ready: Callable[[], str]) -> None:
        """Port 0 takes a free one; see :attr:`port` after :meth:`start`."""
        self._host, self.port, self._ready = host, port, ready
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> None:
        """Listen; raises ``UserError`` if the address cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        try:
            await site.start()
        except OSError as error:
            raise UserError(
                f"cannot serve metrics on {self._host}:{self.port}: {error.strerror}; choose another --status-listen"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        reason = self._ready()
        return web.Response(text=(reason or "ok") + "\n", status=503 if reason else 200)
