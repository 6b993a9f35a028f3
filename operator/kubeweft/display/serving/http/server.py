"""The query API, listening."""

from __future__ import annotations

import ipaddress
import logging
import ssl

from aiohttp import web
from aiohttp.http import HttpProcessingError

from kubeweft.model.errors import UserError

GRACE = 1.5  # seconds that answers on their way have when the server stops; aiohttp takes it twice

KEEP_ALIVE = 75.0  # seconds; headers have to be complete by then, too

http_logger = logging.getLogger(f"{__name__}.http")


def _without_quotes(record: logging.LogRecord) -> bool:
    """What aiohttp says of a request that is no HTTP quotes it, and that could be a header with a token."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


http_logger.addFilter(_without_quotes)


class QueryServer:
    """Serves an application until closed. A client that goes away ends the work for it."""

    def __init__(
        self,
        application: web.Application,
        *,
        certificate: ssl.SSLContext | None = None,
        grace: float = GRACE,
    ) -> None:
        """``certificate`` makes it HTTPS; ``grace`` is in seconds, for answers on their way when it stops."""
        self._certificate = certificate
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=http_logger,
            handler_cancellation=True,
            keepalive_timeout=KEEP_ALIVE,
            shutdown_timeout=grace,
        )
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one (see :attr:`port`). Raises ``UserError`` if the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=self._certificate).start()
        except OSError as error:
            await self._runner.cleanup()
            why = error.strerror or error
            raise UserError(f"cannot serve the query API on {host}:{port}: {why}") from error
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening; answers that are on their way have a few seconds."""
        await self._runner.cleanup()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address: then names have to be checked (``allow_hosts``)."""
    if host.lower() in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
