"""All objects of one resource type, as the API server offers them: pages, a version, or a stream of watch lines.

This knows query parameters and content types. What to do with failures is the reflector's business. Whatever comes is
given only after the cluster has been recognised once more: another may have taken its address since.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import aiohttp
from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.kube.clients import JSON, collection_path, get_bytes, no_answer, open_response
from kubeweft.kube.failures import Unavailable
from kubeweft.kube.lines import Batch, LineSplitter, Page, batches, read_page
from kubeweft.kube.pacing import Limits
from kubeweft.model.references import ResourceType

METADATA_OBJECT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Recognise = Callable[[], Awaitable[None]]
"""Raises ``Unavailable`` if another cluster answers than the one that is watched."""


async def whoever_answers() -> None:
    """Every cluster is the right one."""


class Silent(Unavailable):
    """Nothing came for so long that the connection must be dead, or the version asked for lies in the future."""


class WatchStream:
    """An open watch: bounded batches of complete lines. An incomplete last line is dropped, the version repeats it."""

    def __init__(self, response: aiohttp.ClientResponse, *, silence: float) -> None:
        """``silence`` is the longest wait in seconds for the next bytes."""
        self._response = response
        self._silence = silence
        self._splitter = LineSplitter()
        self._ready: Iterator[Batch] = iter(())

    async def next(self) -> Batch | None:
        """The next batch; None at the orderly end.

        Raises ``BadInput`` for a line that cannot be read, ``Silent``, or ``Unavailable`` if the connection broke.
        """
        while (batch := next(self._ready, None)) is None:
            chunk = await self._read()
            if not chunk:
                return None
            self._ready = batches(self._splitter.feed(chunk))
        return batch

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(self._silence):
                return await self._response.content.readany()
        except TimeoutError:
            raise Silent(f"nothing came for {self._silence:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise no_answer(error) from error


class Collection:
    """Asks for one resource type over all namespaces, in full or only the metadata of its objects."""

    def __init__(
        self,
        client: ApiClient,
        resource: ResourceType,
        *,
        metadata_only: bool,
        limits: Limits,
        rng: random.Random,
        recognise: Recognise = whoever_answers,
    ) -> None:
        """``metadata_only`` leaves everything but ``metadata`` on the server: Secret values never arrive."""
        self._client = client
        self._path = collection_path(resource)
        self._list_type = METADATA_LIST if metadata_only else JSON
        self._watch_type = METADATA_OBJECT if metadata_only else JSON
        self._limits = limits
        self._rng = rng
        self._recognise = recognise

    async def page(self, *, limit: int, continue_token: str) -> Page:
        """One page of a consistent list (``limit`` 0: all of it). Never from a cache that may be older than us.

        Raises an ``ApiFailure``, or ``BadInput`` if the answer is no list.
        """
        query = [("limit", str(limit))] if limit else []
        if continue_token:
            query.append(("continue", continue_token))
        deadline = self._limits.request
        body = await get_bytes(
            self._client, self._path, query=query, accept=self._list_type, deadline=deadline
        )
        await self._recognise()
        return read_page(body)

    async def current_version(self) -> str:
        """The version the collection is at now."""
        return (await self.page(limit=1, continue_token="")).version

    def watch(self, version: str) -> contextlib.AbstractAsyncContextManager[WatchStream]:
        """Changes after ``version``."""
        return self._stream([("resourceVersion", version)])

    def watch_list(self) -> contextlib.AbstractAsyncContextManager[WatchStream]:
        """All objects as ADDED lines, a bookmark that ends them, then changes: far less memory than a list."""
        return self._stream([("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")])

    @contextlib.asynccontextmanager
    async def _stream(self, query: list[tuple[str, str]]) -> AsyncIterator[WatchStream]:
        silence = self._limits.silence
        lifetime = self._rng.randint(*self._limits.lifetime)
        common = [("watch", "1"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", str(lifetime))]
        async with contextlib.AsyncExitStack() as held:
            answer = open_response(
                self._client,
                "GET",
                self._path,
                query=[*common, *query],
                headers={"Accept": self._watch_type},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.request),
            )
            try:
                async with asyncio.timeout(silence):
                    response = await held.enter_async_context(answer)
            except TimeoutError:
                raise Silent(f"no answer for {silence:.0f} s") from None
            await self._recognise()
            yield WatchStream(response, silence=silence)
