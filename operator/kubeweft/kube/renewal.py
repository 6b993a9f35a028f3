"""Keeps the credentials of a running client fresh: tokens from files and plug-ins, OIDC logins, certificates.

Of these the library renews only the token of a pod by itself.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from kubernetes_asyncio.client.configuration import Configuration

from kubeweft.kube.credentials import Access
from kubeweft.model.errors import UserError

logger = logging.getLogger(__name__)

RENEW_EVERY = 60.0


class Renewal:
    """Renews credentials when they are used, but not all the time; a failed renewal leaves the old ones in place."""

    def __init__(self, access: Access, *, every: float) -> None:
        """The credentials of ``access`` are fresh now, and for ``every`` seconds."""
        self._access = access
        self._every = every
        self._lock = asyncio.Lock()
        self._due = asyncio.get_running_loop().time() + every
        self._files = _file_versions(access.configuration)

    async def on_use(self) -> bool:
        """Call before each request; true if certificates have changed, so that connections must be made anew."""
        if asyncio.get_running_loop().time() < self._due:
            return False
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now < self._due:
                return False
            self._due = now + self._every
            await self._renew()
            before, self._files = self._files, _file_versions(self._access.configuration)
            return before != self._files

    def repeat(self) -> None:
        """The changed certificates could not be used: report them again the next time."""
        self._files = []

    async def _renew(self) -> None:
        if self._access.renew is None:
            return
        try:
            await self._access.renew()
        except UserError as error:
            logger.warning("credentials could not be renewed, using the old ones: %s", error)


def _file_versions(configuration: Configuration) -> list[tuple[str, int]]:
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return [(file, Path(file).stat().st_mtime_ns) for file in files if file and Path(file).exists()]
