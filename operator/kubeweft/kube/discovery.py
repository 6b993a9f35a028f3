"""Which resource types an API server has, in two requests; a broken API takes nothing but itself away, and is remembered.

Aggregated discovery answers with all groups at once and marks an API whose backend is down as stale. Servers without it
are asked version by version, each on its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.kube.clients import get_bytes
from kubeweft.kube.discovery_formats import AGGREGATED, GroupVersion, Served, read_legacy_version, read_root
from kubeweft.kube.failures import ApiFailure, NotServed, Refused
from kubeweft.model.references import ResourceType

ROOTS = ("/api", "/apis")
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Discovered:
    """What an API server serves: each type once, in the version it prefers, without subresources.

    ``types`` can be listed and watched, ``all_types`` are these and the others. ``stale`` are the ``group/version``
    (or ``/api``, ``/apis``) that could not be asked: their types are those known before.
    """

    types: tuple[ResourceType, ...] = ()
    all_types: tuple[ResourceType, ...] = ()
    stale: tuple[str, ...] = ()


NOTHING = Discovered()


async def discover(
    client: ApiClient, *, previous: Discovered = NOTHING, deadline: float = 30.0
) -> Discovered:
    """Ask for all types; ``previous`` stands in for what cannot be asked now.

    Raises an ``ApiFailure`` only if nothing at all could be asked. ``deadline`` (seconds) holds for each request.
    """
    served: list[Served] = []
    failures: dict[str, ApiFailure] = {}
    for root in ROOTS:
        try:
            served.extend(await _ask(client, root, deadline))
        except ApiFailure as failure:
            failures[root] = failure
            served.extend(_known_under(root, previous))
    if len(failures) == len(ROOTS):
        raise failures[ROOTS[0]]
    return merge(served, previous=previous, failed_roots=tuple(failures))


def merge(served: Iterable[Served], *, previous: Discovered, failed_roots: Sequence[str] = ()) -> Discovered:
    """One entry for each group and resource: the first version that can be watched, else the first that has it.

    ``served`` has the versions of each group in the order the server prefers. Pure.
    """
    chosen: dict[tuple[str, str], tuple[ResourceType, bool]] = {}
    stale = list(failed_roots)
    for version in served:
        types = version.types
        if types is None:
            stale.append(f"{version.group}/{version.version}" if version.group else version.version)
            types = _known_of(version.group, version.version, previous)
        for resource, watchable in types.items():
            known = chosen.get((resource.group, resource.resource))
            if known is None or (watchable and not known[1]):
                chosen[resource.group, resource.resource] = resource, watchable
    return Discovered(
        types=tuple(resource for resource, watchable in chosen.values() if watchable),
        all_types=tuple(resource for resource, _ in chosen.values()),
        stale=tuple(stale),
    )


def _known_of(group: str, version: str, previous: Discovered) -> dict[ResourceType, bool]:
    return {t: t in previous.types for t in previous.all_types if (t.group, t.version) == (group, version)}


def _known_under(root: str, previous: Discovered) -> Iterator[Served]:
    of_core = root == "/api"
    for group, version in dict.fromkeys((t.group, t.version) for t in previous.all_types):
        if (group == "") == of_core:
            yield Served(group, version, _known_of(group, version, previous))


async def _ask(client: ApiClient, root: str, deadline: float) -> list[Served]:
    try:
        body = await get_bytes(client, root, accept=AGGREGATED, deadline=deadline)
    except Refused:
        body = await get_bytes(client, root, deadline=deadline)
    served, versions = read_root(body)
    return served or await _ask_each(client, versions, deadline)


async def _ask_each(client: ApiClient, versions: Sequence[GroupVersion], deadline: float) -> list[Served]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(group: str, version: str) -> Served:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        async with slots:
            try:
                return read_legacy_version(group, version, await get_bytes(client, path, deadline=deadline))
            except NotServed:  # removed since the list of groups was made
                return Served(group, version, {})
            except ApiFailure:
                return Served(group, version, None)

    async with asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(ask(*version)) for version in versions]
    return [task.result() for task in tasks]
