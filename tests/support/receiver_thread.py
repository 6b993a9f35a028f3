"""The recording OTLP receiver in a thread of its own, for tests that are not asynchronous: it may go away and come back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane.certificates import KeyPair
from otlp_receiver import OtlpReceiver
from otlp_recording import Recording
from otlp_script import Rule

LIMIT = 20


class ReceiverThread:
    """``with ReceiverThread() as receiver``: it receives on free ports, which stay the same."""

    def __init__(self, *, certificate: KeyPair | None = None, client_authority: Path | None = None) -> None:
        """With a ``certificate`` it wants TLS, with a ``client_authority`` also a certificate of the client."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="OTLP receiver")
        self._receiver = OtlpReceiver(certificate=certificate, client_authority=client_authority)

    def __enter__(self) -> Self:
        self._thread.start()
        self.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_away()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT)
        self._loop.close()

    @property
    def recording(self) -> Recording:
        """What has arrived; it only grows."""
        return self._receiver.recording

    @property
    def rules(self) -> list[Rule]:
        """How it misbehaves."""
        return self._receiver.rules

    def endpoint(self, protocol: str) -> str:
        """Its address for ``GRPC`` (host:port) or ``HTTPProtobuf`` (a URL)."""
        return self._receiver.endpoint(protocol)

    def go_away(self) -> None:
        """Close both ports and all connections."""
        self._do(self._receiver.stop())

    def come_back(self) -> None:
        """Listen (again)."""
        self._do(self._receiver.start())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT)
