"""The data path of one cluster: what is watched by the plan of the moment, and what follows when the plan changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.app.pipeline import Pipeline
from kubeweft.kube.cluster_watch import ClusterWatch
from kubeweft.kube.collection import Recognise, whoever_answers
from kubeweft.kube.discovery import Discovered
from kubeweft.kube.receiving import Receiver
from kubeweft.kube.watch_state import Phase
from kubeweft.model.kinds import Kinds
from kubeweft.model.plan import NAMESPACES, Plan
from kubeweft.model.redaction import Redactor
from kubeweft.model.references import ResourceType
from kubeweft.runtime import clock
from kubeweft.runtime.telemetry import tracer
from kubeweft.sources.events.parsing import EventReader
from kubeweft.sources.events.watching import EventReceiver, EventRules
from kubeweft.sources.objects.choosing import Chooser
from kubeweft.sources.objects.differing import Differ
from kubeweft.sources.objects.linking import NO_RULES, Linker
from kubeweft.sources.objects.receiving import ObjectReceiver
from kubeweft.sources.objects.shaping import Rules
from kubeweft.store.interfaces import RunMemory

logger = logging.getLogger(__name__)

EVENTS = ("", "events")
SECRETS = ("", "secrets")
SAME_EVENTS = ("events.k8s.io", "events")  # the same objects under another name
FLUSH_EVERY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which cluster, seen by whom, in windows of which length (nanoseconds)."""

    cluster: str
    observer: str
    window_length: int


class Collector:
    """Watches one cluster by a plan that may change at any time."""

    def __init__(
        self,
        client: ApiClient,
        *,
        place: Place,
        memory: RunMemory,
        pipeline: Pipeline,
        kinds: Kinds,
        install_key: bytes,
        plan: Plan,
        linker: Linker = NO_RULES,
        recognise: Recognise = whoever_answers,
    ) -> None:
        """``plan`` is the part that concerns this cluster. ``install_key`` is the key of digests of secret values."""
        self._linker = linker
        self.chooser = Chooser(place.cluster, plan)
        self._place = place
        self._memory = memory
        self._pipeline = pipeline
        self._kinds = kinds
        self._install_key = install_key
        self._objects: dict[tuple[str, str], ObjectReceiver] = {}
        self._events: EventReceiver | None = None
        self._kinds_grown = False
        self.rules = self._rules_of(plan)
        self.watch = ClusterWatch(
            client,
            wanted=lambda resource: is_watched(self.plan, resource),
            receiver_for=self._receiver_for,
            on_discovered=self._learn,
            metadata_only=self._metadata_only,
            recognise=recognise,
        )

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self.rules.plan

    @property
    def knows_objects(self) -> bool:
        """Whether every watch has told all of its objects once, and looked at them under the plan in force."""
        states, served = self.watch.states(), self.watch.discovered.types
        watched = [resource for resource in served if is_watched(self.plan, resource)]
        listed = all(r in states and states[r].phase is not Phase.LISTING for r in watched)
        return bool(served) and listed and all(r.is_up_to_date for r in self._objects.values())

    def use(
        self, plan: Plan, *, relink: Callable[[str, str], bool] = lambda _group, _resource: False
    ) -> None:
        """Work by another plan from now on; ``relink`` says of which types the objects have to be linked anew."""
        with tracer.start_as_current_span("put a plan in force"):
            self._use(plan)
            self.relink(relink)

    def relink(self, concerns: Callable[[str, str], bool]) -> None:
        """Tell the rules again all objects of these types that are remembered."""
        for (group, resource), receiver in self._objects.items():
            if concerns(group, resource):
                receiver.relink()

    def _use(self, plan: Plan) -> None:
        before = self.plan
        if (plan.scopes, plan.labels, plan.reads_namespaces) != (
            before.scopes,
            before.labels,
            before.reads_namespaces,
        ):
            self.chooser = Chooser.after(self.chooser, plan)
            namespaces = self._objects.get(NAMESPACES)
            if namespaces is not None and namespaces.has_listed:
                for key, body in namespaces.remembered():
                    self.chooser.judge(key, body)
                self.chooser.namespaces_are_told()
        self.rules = self._rules_of(plan)
        for receiver in self._objects.values():
            receiver.use(self.rules)
        if self._events is not None:
            self._events.rules = self._event_rules()
        self.watch.replan()

    async def flush_now_and_then(self) -> None:
        """Write checkpoints of what has gone quiet, and links whose kinds have become known; until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Write what is not written yet."""
        if self._kinds_grown:
            self._kinds_grown = False
            await self._pipeline.kinds_learned()
            if self._events is not None:
                await self._events.kinds_learned()
        for receiver in list(self._objects.values()):
            await receiver.flush()

    def _rules_of(self, plan: Plan) -> Rules:
        redactor = Redactor(plan.redaction, self._install_key)
        return Rules(plan=plan, redactor=redactor, chooser=self.chooser)

    def _event_rules(self) -> EventRules:
        reader = EventReader(self._place.cluster, kinds=self._kinds, redactor=self.rules.redactor)
        return EventRules(
            reader=reader,
            wants_event=self.rules.wants_event,
            wait_for_namespaces=self.chooser.wait_for_namespaces,
        )

    def _metadata_only(self, resource: ResourceType) -> bool:
        """Values of Secrets are not even asked for, unless a policy wants their digests."""
        name = (resource.group, resource.resource)
        if name == SECRETS and not self.plan.redaction.digest_secrets:
            return True
        return self.plan.wants_metadata_only(*name)

    def _receiver_for(self, resource: ResourceType) -> Receiver:
        if (resource.group, resource.resource) == EVENTS:
            self._events = EventReceiver(
                cluster=self._place.cluster,
                resource=resource,
                rules=self._event_rules(),
                deliver=self._pipeline.deliver,
                resume=self._memory.resume(self._place.cluster, resource.group, resource.resource),
                clock=clock.now,
                observer=self._place.observer,
            )
            return self._events
        differ = Differ(
            self._place.cluster,
            resource,
            window_length=self._place.window_length,
            rules=self.rules,
            partial=self._metadata_only(resource),
        )
        receiver = ObjectReceiver(
            differ,
            deliver=self._pipeline.deliver,
            resume=self._memory.resume(self._place.cluster, resource.group, resource.resource),
            clock=clock.now,
            observer=self._place.observer,
            linker=self._linker,
        )
        self._objects[resource.group, resource.resource] = (
            receiver  # of two versions of a type the newer counts
        )
        return receiver

    def _learn(self, discovered: Discovered) -> None:
        for resource in discovered.all_types:
            self._kinds.learn(resource)
        self._kinds_grown = True


def is_watched(plan: Plan, resource: ResourceType) -> bool:
    """Whether a type that is served is watched under a plan: Events under one of their two names only."""
    name = (resource.group, resource.resource)
    if name == EVENTS:
        return plan.wants_events
    return name != SAME_EVENTS and plan.wants_type(*name)
