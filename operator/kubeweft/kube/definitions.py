"""Notices that resource types may have come or gone, by watching what defines them.

Looks at no definition: whatever changed, discovery is asked again and knows better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubeweft.kube.receiving import Missed, Receiver, ResumePoint, WatchLine
from kubeweft.model.references import ResourceType

DEFINING = frozenset(
    {
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("apiregistration.k8s.io", "apiservices"),
    }
)


def defines_types(resource: ResourceType) -> bool:
    """Whether objects of this type add other types to the API."""
    return (resource.group, resource.resource) in DEFINING


class DefinitionReceiver:
    """Calls ``on_change`` after definitions have changed, and hands everything on to ``inner`` if there is one."""

    def __init__(self, on_change: Callable[[], None], inner: Receiver | None) -> None:
        """Without ``inner`` nothing is remembered: each run starts with a list."""
        self._on_change = on_change
        self._inner = inner

    async def resume_point(self) -> ResumePoint:
        """That of ``inner``."""
        return await self._inner.resume_point() if self._inner else ResumePoint("", 0)

    async def list_started(self) -> None:
        """Handed on."""
        if self._inner:
            await self._inner.list_started()

    async def listed(self, lines: Sequence[WatchLine]) -> None:
        """Handed on."""
        if self._inner:
            await self._inner.listed(lines)

    async def list_finished(self, version: str, missed: Missed | None) -> None:
        """Handed on; definitions may have changed since discovery was asked last."""
        if self._inner:
            await self._inner.list_finished(version, missed)
        self._on_change()

    async def changed(self, lines: Sequence[WatchLine], version: str) -> None:
        """Handed on; bookmarks change nothing."""
        if self._inner:
            await self._inner.changed(lines, version)
        if lines:
            self._on_change()
