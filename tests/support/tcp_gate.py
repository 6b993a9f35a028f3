"""A door in front of a server on loopback: while it is shut nobody is answered there, and its address stays the same."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from controlplane.ports import free_ports


class TcpGate:
    """``async with TcpGate(port, is_open=False) as gate``; connect to ``gate.port``."""

    def __init__(self, target: int, *, is_open: bool = True) -> None:
        """``target`` is the port of the server behind it."""
        (self.port,) = free_ports(1)
        self._target = target
        self._opens = is_open
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        if self._opens:
            await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shut()

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def shut(self) -> None:
        """Refuse connections, and cut those that there are."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, behind}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, behind))
                both.create_task(_copy(behind_reader, writer))
        finally:
            self._writers -= {writer, behind}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
