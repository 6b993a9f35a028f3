"""All that admission adds to one life of Kopf: handlers, and the server they are asked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import kopf

from kubeweft.control.admission.addresses import Address
from kubeweft.control.admission.asking import ask_about
from kubeweft.control.admission.handlers import add_admission, quieten_kopf
from kubeweft.control.admission.judging import Judge
from kubeweft.control.admission.rotation import LIFETIME
from kubeweft.control.admission.server import AGAIN_AFTER, LOOK_EVERY, AdmissionServer
from kubeweft.control.declared.secrets import Known
from kubeweft.control.login import Login
from kubeweft.kube.clients import read_secret
from kubeweft.runtime import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Where to listen and who judges.

    ``lifetime`` of a certificate is in nanoseconds, as is what ``now`` gives; how often to look after everything, and
    when to try again what has failed, in seconds.
    """

    address: Address
    judge: Judge
    lifetime: int = LIFETIME
    now: Callable[[], int] = clock.now
    look_every: float = LOOK_EVERY
    again_after: float = AGAIN_AFTER

    def set_up(self, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, login: Login) -> None:
        """For one life of Kopf, before it begins. The server and its client belong to Kopf's event loop."""
        server = AdmissionServer(
            self.address,
            login,
            lifetime=self.lifetime,
            now=self.now,
            look_every=self.look_every,
            again_after=self.again_after,
        )

        async def read(name: str) -> Mapping[str, bytes]:
            return await read_secret(await server.client(), self.judge.namespace, name)

        async def ask(names: frozenset[str]) -> Known:
            return await ask_about(names, read)

        quieten_kopf()
        add_admission(registry, self.judge, ask)
        settings.admission.server = server
        settings.admission.managed = None
