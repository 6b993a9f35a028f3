"""Keeps a receiver in step with all objects of one resource type, whatever happens to the connection.

Every version is handed over in order, or what is missing is told: a list that follows on lost versions comes with a
``Missed``. Errors of the connection stay here; errors of the receiver end the reflector. It only ever reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.kube.collection import Collection, Recognise, Silent, WatchStream, whoever_answers
from kubeweft.kube.failures import (
    ApiFailure,
    Forbidden,
    Gone,
    NotServed,
    Refused,
    Unavailable,
    from_error_line,
)
from kubeweft.kube.lines import Batch, went_back
from kubeweft.kube.listing import HandOver, Listing
from kubeweft.kube.pacing import Limits, growing_pause, pause_after
from kubeweft.kube.progress import Lost, Progress
from kubeweft.kube.receiving import Receiver
from kubeweft.kube.watch_state import Phase, ReflectorState
from kubeweft.model.errors import BadInput
from kubeweft.model.references import ResourceType

logger = logging.getLogger(__name__)

DEFAULT_LIMITS = Limits()


class Reflector:
    """Lists and watches one resource type. ``list_slots`` bounds how many lists run at once over all reflectors."""

    def __init__(
        self,
        client: ApiClient,
        resource: ResourceType,
        receiver: Receiver,
        *,
        list_slots: asyncio.Semaphore,
        metadata_only: bool = False,
        on_recovery: Callable[[], None] = lambda: None,
        recognise: Recognise = whoever_answers,
        limits: Limits = DEFAULT_LIMITS,
        rng: random.Random | None = None,
    ) -> None:
        """``metadata_only`` keeps everything but ``metadata`` from ever being sent to us.

        ``on_recovery`` is called when the API server answers again after it did not.
        """
        self._resource = resource
        self._slots = list_slots
        self._limits = limits
        self._rng = rng or random.Random()
        self._progress = Progress()
        self._collection = Collection(
            client,
            resource,
            metadata_only=metadata_only,
            limits=limits,
            rng=self._rng,
            recognise=recognise,
        )
        self._hand_over = HandOver(receiver, self._progress)
        self._listing = Listing(self._collection, self._hand_over, self._progress, limits=limits)
        self._on_recovery = on_recovery
        self._poked = asyncio.Event()
        self._server_down = False
        self._in_doubt = False
        self._has_bookmarks = False
        self._failures = 0
        self._losses = 0
        self._told: Phase | None = None
        self._error_lines: tuple[str | None, int] = None, 0

    @property
    def state(self) -> ReflectorState:
        """How it is doing now."""
        return self._progress.state()

    def poke(self) -> None:
        """Do not wait any longer, for example because a permission was granted."""
        self._poked.set()

    def server_is_back(self) -> None:
        """Another watch is answered again: do not wait if the API server was the reason."""
        if self._server_down:
            self._poked.set()

    async def run(self) -> None:
        """Watch until cancelled; returns only when the type is not served any more."""
        try:
            await self._hand_over(self._resume)
            await self._run_rounds()
        except NotServed as failure:
            self._progress.enter(Phase.NOT_SERVED, str(failure))
            logger.info("not served, the watch ends: resource=%s", self._resource)
        except asyncio.CancelledError:
            self._progress.enter(Phase.STOPPED)
            raise
        except Exception as error:
            self._progress.enter(Phase.STOPPED, f"failed with {type(error).__name__}")
            raise

    async def _resume(self) -> None:
        self._progress.resume(await self._hand_over.receiver.resume_point())
        self._in_doubt = self._progress.version is not None

    async def _run_rounds(self) -> None:
        while True:
            self._poked.clear()
            try:
                async with contextlib.AsyncExitStack() as held:
                    await self._follow(await self._open(held))
            except NotServed:
                raise
            except Lost as lost:
                await self._pause(self._lose(lost))
            except ApiFailure as failure:
                await self._pause(self._fail(failure))

    # ---------------------------------------------------------------------------------------------- one round

    async def _open(self, held: contextlib.AsyncExitStack) -> WatchStream:
        if self._progress.version is None:
            if self._slots.locked():
                self._progress.begin_list("waiting for the lists of other types")
            async with self._slots:
                self._progress.begin_list()
                stream = await self._listing.run(held)
            self._in_doubt = False
            if stream is not None:
                self._opened()
                return stream
        version = self._progress.version or ""
        if self._in_doubt:
            await self._check_not_back(version)
        try:
            stream = await held.enter_async_context(self._collection.watch(version))
        except Gone as failure:
            raise Lost("Expired", str(failure)) from failure
        except Refused as failure:
            raise Lost("VersionRefused", str(failure)) from failure
        self._opened()
        return stream

    def _opened(self) -> None:
        self._progress.opened()
        if self._server_down:
            self._server_down = False
            self._on_recovery()

    async def _check_not_back(self, version: str) -> None:
        """After a restore of etcd our version lies in the future, and a watch from there is silent for ever."""
        try:
            current = await self._collection.current_version()
        except BadInput as error:
            raise Unavailable(str(error)) from error
        if went_back(version, current):
            raise Lost("VersionWentBack", f"the API server is at version {current}, we have seen {version}")
        self._in_doubt = False

    async def _follow(self, stream: WatchStream) -> None:
        self._progress.enter(Phase.WATCHING)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while (batch := await stream.next()) is not None:
                await self._take(batch)
        except BadInput as error:
            self._progress.undecodable += 1
            raise Lost("UndecodableLine", str(error)) from error
        except Silent:
            if self._has_bookmarks:
                raise
            await self._look_anew()
            return
        finally:
            lived = loop.time() - began
            if lived >= self._limits.steady_after:
                self._failures = self._losses = 0
                self._told = None
        if lived < self._limits.steady_after:
            raise Unavailable(f"the API server ended the watch after {lived:.1f} s")

    async def _look_anew(self) -> None:
        """Of a type without bookmarks (Events) nothing is heard where nothing happens, and its version grows old.

        After some ten minutes a watch from there is refused (410), as if something had been missed. A list in time
        gives a version of now, and leaves no gap.
        """
        await self._check_not_back(self._progress.version or "")
        self._progress.version = None

    async def _take(self, batch: Batch) -> None:
        known = self._progress.version or ""
        self._has_bookmarks |= batch.bookmarked
        if batch.bookmarked and went_back(known, batch.version):
            raise Unavailable(f"a bookmark is at version {batch.version}, we have seen {known}")
        version = batch.version or known
        if batch.lines or version != known:
            await self._hand_over(lambda: self._hand_over.receiver.changed(batch.lines, version))
        if batch.lines or batch.bookmarked:  # not for an error line: it does not prove that we are up to date
            self._progress.advanced(version, len(batch.lines))
        if batch.error is not None:
            raise self._read_error(batch.error)

    def _read_error(self, error: bytes) -> ApiFailure | Lost:
        failure = from_error_line(error)
        if isinstance(failure, Gone):
            return Lost("Expired", str(failure))
        version, count = self._error_lines
        count = count + 1 if version == self._progress.version else 1
        self._error_lines = self._progress.version, count
        if count >= self._limits.errors_before_list:
            # An object that the server cannot convert would otherwise block the watch for ever.
            return Lost("WatchFailed", str(failure))
        if isinstance(failure, Refused):
            return Unavailable(str(failure), status=failure.status)
        return failure

    # ------------------------------------------------------------------------------------------ when it breaks

    def _lose(self, lost: Lost) -> float:
        logger.warning("versions are lost, listing again: resource=%s reason=%s", self._resource, lost)
        self._progress.lost(lost)
        self._losses += 1
        if self._losses == 1:
            return 0.0
        self._progress.enter(Phase.BACKING_OFF, str(lost))
        return growing_pause(self._losses - 1, limits=self._limits, rng=self._rng)

    def _fail(self, failure: ApiFailure) -> float:
        self._failures += 1
        self._in_doubt = True
        self._server_down = isinstance(failure, Unavailable) and failure.retry_after is None
        phase = Phase.FORBIDDEN if isinstance(failure, Forbidden) else Phase.BACKING_OFF
        self._progress.enter(phase, str(failure))
        if phase is not self._told:
            self._told = phase
            logger.warning("the watch waits: resource=%s phase=%s message=%s", self._resource, phase, failure)
        return pause_after(failure, failures=self._failures, limits=self._limits, rng=self._rng)

    async def _pause(self, delay: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._poked.wait()
