"""What is to be known at once about Secrets that a new policy names: only for warnings, so quickly or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from kubeweft.control.declared.secrets import Known, Secret
from kubeweft.kube.failures import Forbidden, NotServed
from kubeweft.model.errors import KubeweftError

WITHIN = 0.5
MOST_ASKED = 16

Read = Callable[[str], Awaitable[Mapping[str, bytes]]]


async def ask_about(names: Iterable[str], read: Read, *, within: float = WITHIN) -> Known:
    """What ``read`` tells within so many seconds; about the rest nothing is said."""
    async with asyncio.TaskGroup() as group:
        asked = {n: group.create_task(_ask(n, read, within=within)) for n in sorted(names)[:MOST_ASKED]}
    found = {name: task.result() for name, task in asked.items()}
    return {name: secret for name, secret in found.items() if secret is not None}


async def _ask(name: str, read: Read, *, within: float) -> Secret | None:
    try:
        async with asyncio.timeout(within):
            return Secret("Read", await read(name))
    except NotServed:
        return Secret("Missing", detail="there is no such Secret")
    except Forbidden:
        return Secret("Forbidden", detail="RBAC does not allow to get it")
    except (KubeweftError, TimeoutError):
        return None
