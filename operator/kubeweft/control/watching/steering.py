"""How what Kopf sees in its thread reaches the application's event loop.

The mailbox keeps only the newest body of each object, so it is never larger than what is declared, and a burst of
changes becomes one delivery. Order is kept within an object; between objects there is none to keep.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kubeweft.control.declared.objects import POLICIES

Body = Mapping[str, Any]


class Steering(Protocol):
    """What the control room tells the application. All calls come in the application's event loop."""

    def policy_seen(self, name: str, body: Body | None) -> None:
        """A TracingPolicy as it is now; None: it is gone."""

    def link_rule_seen(self, name: str, body: Body | None) -> None:
        """A LinkRule as it is now; None: it is gone."""

    def types_changed(self) -> None:
        """Resource types may have come or gone."""

    def ready(self) -> None:
        """Kopf watches, for the first time or again."""

    def failed(self, reason: str) -> None:
        """Kopf has ended and will be started again."""


class Mailbox:
    """Takes news in any thread, and gives them to ``steering`` in the event loop it was made in."""

    def __init__(self, steering: Steering, *, on_types: Callable[[], object] = lambda: None) -> None:
        """Must be made in the event loop of the application, where ``on_types`` is called as well."""
        self._steering = steering
        self._on_types = on_types
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._bodies: dict[tuple[str, str], Body | None] = {}
        self._types_changed = False
        self._scheduled = False
        self._watching = False

    def declared(self, resource: str, name: str, body: Body | None) -> None:
        """A TracingPolicy or LinkRule was seen (``resource`` is its plural; None: deleted)."""
        with self._lock:
            self._bodies[resource, name] = body
            self._schedule()

    def types_changed(self) -> None:
        """A CustomResourceDefinition or APIService was seen. There are always some, so Kopf does watch."""
        with self._lock:
            self._types_changed = True
            self._schedule()
            if not self._watching:
                self._watching = self._call(self._steering.ready)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = self._call(self._deliver)

    def _call(self, function: Callable[[], None]) -> bool:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the application has stopped: nobody is left to tell
            return False
        return True

    def _deliver(self) -> None:
        with self._lock:
            bodies, types_changed = self._bodies, self._types_changed
            self._bodies, self._types_changed, self._scheduled = {}, False, False
        for (resource, name), body in bodies.items():
            if resource == POLICIES:
                self._steering.policy_seen(name, body)
            else:
                self._steering.link_rule_seen(name, body)
        if types_changed:
            self._on_types()
            self._steering.types_changed()
