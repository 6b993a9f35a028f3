"""What Kopf calls: four handlers that only pass on what was seen.

``on.event`` alone, on purpose: the other kinds of handlers for changes make Kopf write annotations or finalizers, and
then deleting a policy would hang while the operator is down. The checks at admission are in ``control.admission``. The
registry is our own, so nothing is registered by an import.
"""

from __future__ import annotations

from typing import Any

import kopf

from kubeweft.control.declared.objects import LINK_RULES, POLICIES
from kubeweft.control.login import Login, connect
from kubeweft.control.watching.steering import Mailbox
from kubeweft.model.errors import UserError

LOGIN_AGAIN_AFTER = 5.0
GROUP, VERSION = "kubeweft.io", "v1alpha1"
WATCHED_FOR_TYPES = (
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "v1", "apiservices"),
)


def build_registry(mailbox: Mailbox, login: Login) -> kopf.OperatorRegistry:
    """All handlers, telling ``mailbox``."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="log-in")  # exactly one: of several, Kopf would use any
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        try:
            return await connect(login)
        except UserError as error:  # for good it would leave Kopf hanging: neither running nor ended
            raise kopf.TemporaryError(str(error), delay=LOGIN_AGAIN_AFTER) from error

    for plural in (POLICIES, LINK_RULES):

        @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=f"declared/{plural}")
        async def declared(event: kopf.RawEvent, resource: kopf.Resource, **_: Any) -> None:
            body = None if event["type"] == "DELETED" else event["object"]
            mailbox.declared(resource.plural, event["object"]["metadata"]["name"], body)

    for group, version, plural in WATCHED_FOR_TYPES:

        @kopf.on.event(group, version, plural, registry=registry, id=f"types/{plural}")
        async def types_changed(**_: Any) -> None:
            mailbox.types_changed()

    return registry


def safe_settings() -> kopf.OperatorSettings:
    """The profile in which Kopf writes nothing, touches nobody's finalizers and ends nothing but itself."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False  # nothing of ours needs Events, and RBAC does not allow them
    # Kopf removes its finalizer from whatever bears it, so it has a name that the API server lets nothing bear.
    settings.persistence.finalizer = f"{GROUP}/no/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    settings.process.ultimate_exiting_timeout = None  # else it kills the process minutes after its own end
    settings.execution.default_backoff = 5
    settings.networking.error_backoffs = (1, 1, 2, 3)
    settings.networking.connect_timeout = 10
    settings.queueing.exit_timeout = 0.2
    settings.queueing.idle_timeout = 1
    return settings
