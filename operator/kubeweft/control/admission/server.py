"""The HTTPS server that API servers ask, in the form that Kopf demands of a webhook server.

It looks after three things again and again: that it listens, that its certificate is fresh, and that API servers know
where to ask and whom to trust. What fails is told once and tried again; nothing of it ever ends Kopf.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import kopf
import msgspec
from aiohttp import web

from kubeweft.control.admission.addresses import Address
from kubeweft.control.admission.configuration import Configuration
from kubeweft.control.admission.rotation import LIFETIME, Rotation
from kubeweft.control.login import Login
from kubeweft.kube.clients import ClusterClient
from kubeweft.kube.credentials import Access
from kubeweft.kube.failures import ApiFailure, Forbidden, Unauthorized, Unavailable
from kubeweft.model.errors import KubeweftError
from kubeweft.runtime import clock

logger = logging.getLogger(__name__)

LOOK_EVERY = 30.0
AGAIN_AFTER = 5.0
WELL = "well"
REMOVE_WITHIN = 1.5
SHUTDOWN = 0.2
MOST_AT_ONCE = 16
ANSWERED_WITHIN = 5.0  # API servers have gone on long before
MOST_BYTES = 8 * 1024**2  # etcd takes objects of 1.5 MiB, and a review holds two
http_logger = logging.getLogger(f"{__name__}.http")
http_logger.setLevel(logging.CRITICAL)  # scanners and broken handshakes are no news


class AdmissionServer:
    """Serves until cancelled; then the configuration is removed, if the API server answers in time."""

    def __init__(
        self,
        address: Address,
        login: Login,
        *,
        lifetime: int = LIFETIME,
        now: Callable[[], int] = clock.now,
        look_every: float = LOOK_EVERY,
        again_after: float = AGAIN_AFTER,
    ) -> None:
        """``lifetime`` of a certificate is in nanoseconds; how often to look, and to try again, in seconds."""
        self._address = address
        self._login = login
        self._look_every = look_every
        self._again_after = again_after
        self._path = f"/admission/{secrets.token_hex(16)}"  # only API servers are told: nobody else can ask
        self._make_rotation = functools.partial(Rotation, address.names, lifetime=lifetime, now=now)
        self._rotation: Rotation | None = None
        self._configuration = Configuration(address, path=self._path)
        self._client: ClusterClient | None = None
        self._connecting = asyncio.Lock()
        self._runner: web.AppRunner | None = None
        self._published: str | None = None
        self._told = ""

    async def __aenter__(self) -> AdmissionServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        """However it ended: API servers are told not to ask any more, and then nothing listens."""
        try:
            async with asyncio.timeout(REMOVE_WITHIN):
                await self._remove()
        except (ApiFailure, TimeoutError) as error:
            level = logging.WARNING if self._told == WELL else logging.DEBUG
            logger.log(
                level,
                "the webhook configuration could not be removed (without an answer API servers ignore it): reason=%s",
                str(error) or "no answer in time",
            )
        finally:
            await self._close()

    async def __call__(self, review: kopf.WebhookFn) -> AsyncIterator[kopf.WebhookClientConfig]:
        """Gives each bundle of authorities that API servers have been told; Kopf itself does not use it."""
        told: str | None = None
        while True:
            wait = await self._look(review)
            if self._published != told:
                told = self._published
                yield kopf.WebhookClientConfig(caBundle=told)
            await asyncio.sleep(wait)

    async def client(self) -> ClusterClient:
        """The connection of this event loop, with all of whose requests admission makes do."""
        async with self._connecting:
            if self._client is None:
                self._client = ClusterClient(Access(await self._login(), None))
            return self._client

    async def _look(self, review: kopf.WebhookFn) -> float:
        """One round; the seconds until the next."""
        try:
            self._rotation = rotation = self._rotation or self._make_rotation()
            await self._listen(review, rotation)
            await self._publish(rotation)
            while rotation.advance():
                await self._publish(rotation)
            self._tell("")
        except asyncio.CancelledError:
            raise
        # The root of everything here: whatever fails, the watch of policies in the same Kopf has to go on.
        except Exception as error:
            logger.debug("admission does not work", exc_info=True)
            self._tell(_explain(error))
            if isinstance(error, Unauthorized | Unavailable):
                await self._disconnect()  # with what may be fresher credentials next time
            return self._look_every if isinstance(error, Forbidden | _TakenOver) else self._again_after
        return min(self._look_every, rotation.due_in())

    async def _listen(self, review: kopf.WebhookFn, rotation: Rotation) -> None:
        if self._runner is not None:
            return
        application = web.Application(client_max_size=MOST_BYTES)
        application.router.add_post(self._path, _answering(review))
        runner = web.AppRunner(application, access_log=None, logger=http_logger, shutdown_timeout=SHUTDOWN)
        await runner.setup()
        host, port = self._address.listen_host, self._address.port
        try:
            await web.TCPSite(runner, host, port, ssl_context=rotation.context).start()
        except OSError as error:
            await runner.cleanup()
            raise _NotListening(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        self._runner = runner

    async def _publish(self, rotation: Rotation) -> None:
        authorities = rotation.authorities
        if not await self._configuration.publish(await self.client(), authorities):
            raise _TakenOver("another process has registered itself instead")
        rotation.published()
        self._published = authorities

    async def _remove(self) -> None:
        if self._client is not None:  # else nothing has been written
            await self._configuration.remove(self._client)

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        await self._disconnect()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _tell(self, failure: str) -> None:
        """Once when something is wrong, and once when all is well (again)."""
        if failure and failure != self._told:
            logger.warning(
                "policies and rules are not checked at admission, only in their status: reason=%s", failure
            )
        elif not failure and self._told != WELL:
            logger.info("policies and rules are checked at admission: port=%d", self._address.port)
        self._told = failure or WELL


class _NotListening(KubeweftError):
    """The address cannot be had."""


class _TakenOver(KubeweftError):
    """Somebody else does our work."""


def _answering(review: kopf.WebhookFn) -> Callable[[web.Request], Awaitable[web.Response]]:
    gate = asyncio.Semaphore(MOST_AT_ONCE)

    async def answer(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(ANSWERED_WITHIN), gate:
                asked = msgspec.json.decode(await request.read())
                return web.json_response(await review(asked, headers=dict(request.headers)))
        except (asyncio.CancelledError, web.HTTPException):
            raise
        # The root of a request: an API server that gets no review goes on without one.
        except Exception:
            logger.debug("a request that is no review of our types", exc_info=True)
            return web.json_response({"error": "no review of a type of Kubeweft"}, status=400)

    return answer


def _explain(error: Exception) -> str:
    if isinstance(error, Forbidden):
        return f"{error}; apply config/rbac/admission.yaml, which allows it, or leave out --admission-listen"
    if isinstance(error, KubeweftError):
        return str(error)
    return f"{type(error).__name__}: {error}"
