"""Stands where the API server sends its audit events, and passes every batch on to several operators.

It answers only when all of them have accepted, as one webhook would that is kept twice; an operator that is away or
busy is tried again. So nothing is lost here, and nothing arrives in an order that a webhook could not bring.
"""

from __future__ import annotations

import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

AGAIN_AFTER = 0.1
AT_ONCE = 16


class AuditTee:
    """``with AuditTee(port, {"one": url, "two": url})``: batches posted to the port go to all URLs."""

    def __init__(self, port: int, targets: Mapping[str, str]) -> None:
        self.port = port
        self.refused = dict.fromkeys(targets, 0)
        self._targets = targets
        self._closing = threading.Event()
        self._senders = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="audit tee")
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._senders.shutdown()

    def pass_on(self, body: bytes) -> bool:
        """Whether all targets have accepted; False if the tee is closed before."""
        return all(self._senders.map(lambda name: self._insist(name, body), self._targets))

    def _insist(self, name: str, body: bytes) -> bool:
        while not self._closing.is_set():
            if self._accepts(self._targets[name], body):
                return True
            self.refused[name] += 1
            self._closing.wait(AGAIN_AFTER)
        return False

    @staticmethod
    def _accepts(url: str, body: bytes) -> bool:
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return bool(answer.status == 200)
        except OSError:  # urllib's own errors are among them
            return False

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        tee = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200 if tee.pass_on(body) else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
