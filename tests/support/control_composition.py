"""The control room alone, composed as the application composes it, in a thread of its own: for end-to-end tests."""

import asyncio
import dataclasses
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from kubernetes_asyncio.client.configuration import Configuration

from kubeweft.control.api import KubernetesControlApi
from kubeweft.control.compiling.policies import Installation
from kubeweft.control.declarations import Declarations
from kubeweft.control.declared.secrets import SecretBook
from kubeweft.control.judging.health import Health
from kubeweft.control.reporting import Reporter
from kubeweft.control.sweeping import Sweeper
from kubeweft.control.watching.operator_thread import OperatorThread
from kubeweft.kube import clients, credentials
from kubeweft.model.plan import Plan

START_SECONDS = 20
STOP_SECONDS = 10


class ControlRoom:
    """``with ControlRoom(kubeconfig) as room``. Set ``health`` to what the data path would tell; its plan is filled in."""

    def __init__(self, kubeconfig: Path, installation: Installation | None = None) -> None:
        self._kubeconfig = str(kubeconfig)
        self._installation = installation or Installation()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="control room")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._known = threading.Event()
        self.health = Health()
        self.plans: list[Plan] = []
        self.rediscoveries = 0
        self.operator_failure = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._known.wait(START_SECONDS), "the control room has not come to know what is declared"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS)
        assert not self._thread.is_alive(), "the control room has not stopped"

    @property
    def policies(self) -> list[str]:
        """The policies whose scopes are in force."""
        return [scope.policy for scope in self.plans[-1].scopes] if self.plans else []

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with await clients.connect(kubeconfig=self._kubeconfig) as client:
            api = KubernetesControlApi(client, namespace=self._installation.namespace)
            secrets = SecretBook(api.read_secret, every=0.5)
            declarations = Declarations(
                self._installation,
                on_plan=self.plans.append,
                on_types_changed=self._rediscover,
                secrets=secrets,
            )
            sweeper = Sweeper(declarations, api)
            reporter = Reporter(
                declarations,
                api,
                health=lambda: dataclasses.replace(self.health, plan=declarations.plan),
                check_every=0.2,
            )
            thread = OperatorThread(declarations, self._login, served=api.served)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(part.run()) for part in (sweeper, reporter, thread, secrets)]
                await sweeper.known.wait()
                self._known.set()
                await self._stop.wait()
                self.operator_failure = declarations.operator_failure
                for task in running:
                    task.cancel()

    async def _login(self) -> Configuration:
        access = await credentials.find_access(kubeconfig=self._kubeconfig, context="", environ={})
        return access.configuration

    def _rediscover(self) -> None:
        self.rediscoveries += 1
