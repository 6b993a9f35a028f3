"""Which objects policies select by what is in them: labels, expressions, and the labels of their namespaces.

Type and namespace alone are decided by the plan. Where a policy looks deeper, the watch of a type tells here what it
sees, whether it is wanted or not, and everybody asks here: watches, Events, the audit log and exporters.

An object that no watch has told of (a create that failed, one deleted long ago) is taken as selected: to keep too much
of it is better than to lose it. A namespace that is not known is not selected; where none at all can be told, requests
and Events are kept, objects are not.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import msgspec
import orjson
from prometheus_client import Counter

from kubeweft.links.cel import ClusterFacts, EvaluationFailed, Expression, Scene, compile_expression
from kubeweft.model.plan import NAMESPACES, AuditInlet, Plan, Scope
from kubeweft.model.references import ObjectKey

MOST_GONE = 50_000  # deleted objects that requests and Events may still tell of
LONGEST_WAIT = 30.0  # seconds for the namespaces to be listed, if they can be at all

FAILED_CONDITIONS = Counter(
    "kubeweft_match_condition_errors_total",
    "Match conditions of policies that failed on an object, which then is not selected.",
    ["policy"],
)


class _Labelled(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _Object(msgspec.Struct, gc=False):
    metadata: _Labelled


_labels = msgspec.json.Decoder(_Object)


class Chooser:
    """Decides for one cluster. Reading may be done from any thread, the rest belongs to the event loop."""

    def __init__(self, cluster: str, plan: Plan) -> None:
        """``plan`` is the part that concerns this cluster."""
        self._cluster = ClusterFacts(cluster, dict(plan.labels))
        self._namespaces: dict[str, dict[str, str]] = {}
        self._namespace_bodies: dict[str, bytes] = {}
        self._namespaces_told = asyncio.Event()
        self.plan = plan
        self._waits_until = time.monotonic() + LONGEST_WAIT
        self._revision = 0
        self._looking = tuple(s for s in plan.scopes if s.object_selector or s.conditions)
        self._looks = any(s.looks_into_objects for s in plan.scopes)
        self._conditions: dict[str, tuple[Expression, ...]] = {
            s.policy: tuple(compile_expression(c.expression, boolean=True) for c in s.conditions)
            for s in self._looking
        }
        self._reads_namespace_objects = any(
            "namespaceObject" in condition.reads.names
            for conditions in self._conditions.values()
            for condition in conditions
        )
        self._chosen: dict[ObjectKey, frozenset[str]] = {}
        self._gone: OrderedDict[ObjectKey, frozenset[str]] = OrderedDict()

    @classmethod
    def after(cls, before: Chooser, plan: Plan) -> Chooser:
        """The one for another plan. It knows the namespaces, and objects as far as the same is asked about them."""
        made = cls(before._cluster.name, plan)
        made._namespaces = before._namespaces
        made._namespace_bodies = before._namespace_bodies
        made._namespaces_told = before._namespaces_told  # somebody may be waiting for it
        if (made._looking, made._cluster) == (before._looking, before._cluster):
            made._chosen, made._gone, made._revision = before._chosen, before._gone, before._revision
        return made

    @property
    def question(self) -> tuple[object, ...]:
        """What is asked about objects: one that was told while another question was asked has to be told again."""
        return self._looking, self._cluster, self._revision

    @property
    def namespaces_are_known(self) -> bool:
        """Whether all namespaces have been told, or do not matter, or have been waited for long enough."""
        needed = any(s.namespace_selector or s.conditions for s in self.plan.scopes)
        return not needed or self._namespaces_told.is_set() or time.monotonic() > self._waits_until

    def judges(self, group: str, resource: str) -> bool:
        """Whether objects of this type have to be told here."""
        if (group, resource) == NAMESPACES and self.plan.reads_namespaces:
            return True
        return any(s.selects_type(group, resource) for s in self._looking)

    def judge(self, key: ObjectKey, body: bytes) -> None:
        """An object is now so."""
        if (key.group, key.resource) == NAMESPACES and self.plan.reads_namespaces:
            self._learn_namespace(key.name, body)
        scopes = [s for s in self._looking if s.selects_type(key.group, key.resource)]
        if not scopes:
            return
        labels = _labels_of(body)
        selected = [s for s in scopes if s.object_selector is None or s.object_selector.matches(labels)]
        if any(s.conditions for s in selected):
            scene = self._scene(key, body)
            selected = [s for s in selected if self._hold(s, scene)]
        self._chosen[key] = frozenset(s.policy for s in selected)

    def gone(self, key: ObjectKey) -> None:
        """An object was deleted: what is told of it late is decided as before."""
        known = self._chosen.pop(key, None)
        if known is not None:
            self._gone[key] = known
            if len(self._gone) > MOST_GONE:
                self._gone.popitem(last=False)
        if (key.group, key.resource) == NAMESPACES:
            self._namespace_bodies.pop(key.name, None)

    def namespaces_are_told(self) -> None:
        """All namespaces have been told once."""
        self._namespaces_told.set()

    async def wait_for_namespaces(self) -> None:
        """Until the namespaces are known, if policies look at them; not for ever, because RBAC may forbid it."""
        if self.namespaces_are_known:
            return
        try:
            async with asyncio.timeout(max(0.0, self._waits_until - time.monotonic())):
                await self._namespaces_told.wait()
        except TimeoutError:
            pass

    def is_chosen(self, scope: Scope, key: ObjectKey, *, kept: bool = False) -> bool:
        """Whether what a scope says about the inside of objects holds for this one.

        ``kept`` is the answer for objects in namespaces where no namespace at all has been told.
        """
        if not scope.looks_into_objects:
            return True
        if scope.namespace_selector is not None and not self._is_in_chosen_namespace(scope, key, kept=kept):
            return False
        if scope.object_selector is None and not scope.conditions:
            return True
        known = self._chosen.get(key)
        known = self._gone.get(key) if known is None else known
        return known is None or scope.policy in known

    def wants_object(self, key: ObjectKey) -> bool:
        """Whether changes of this object become spans."""
        if not self._looks or not self.plan.wants_object(key):
            return self.plan.wants_object(key)
        return any(s.objects for s in self._scopes_of(key))

    def wants_event(self, key: ObjectKey) -> bool:
        """Whether Kubernetes Events about this object become spans."""
        if not self._looks or not self.plan.wants_event(key):
            return self.plan.wants_event(key)
        return any(s.events for s in self._scopes_of(key, kept=True))

    def wants_request(self, key: ObjectKey, *, verb: str, user: str, inlet: AuditInlet | None = None) -> bool:
        """Whether an audited request becomes a span."""
        wanted = self.plan.wants_request(key, verb=verb, user=user, inlet=inlet)
        if not self._looks or not wanted:
            return wanted
        return any(
            s.audit and (inlet is None or inlet in s.inlets) and s.selects_request(verb=verb, user=user)
            for s in self._scopes_of(key, kept=True)
        )

    def _scopes_of(self, key: ObjectKey, *, kept: bool = False) -> list[Scope]:
        return [
            s
            for s in self.plan.scopes
            if s.selects_type(key.group, key.resource)
            and s.selects_namespace(key.namespace)
            and self.is_chosen(s, key, kept=kept)
        ]

    def _is_in_chosen_namespace(self, scope: Scope, key: ObjectKey, *, kept: bool) -> bool:
        """As in admission: a Namespace is judged by its own labels, and other cluster-scoped objects always match."""
        assert scope.namespace_selector is not None
        name = key.name if (key.group, key.resource) == NAMESPACES else key.namespace
        if not name:
            return True
        labels = self._namespaces.get(name)
        if labels is None:
            return kept and not self._namespaces_told.is_set()
        return scope.namespace_selector.matches(labels)

    def _learn_namespace(self, name: str, body: bytes) -> None:
        self._namespaces[name] = _labels_of(body)  # kept when it is gone: its objects go after it
        if self._namespace_bodies.get(name) != body:
            self._namespace_bodies[name] = body
            if self._reads_namespace_objects:
                self._revision += 1

    def _scene(self, key: ObjectKey, body: bytes) -> Scene | None:
        namespace = self._namespace_bodies.get(key.namespace) if self._reads_namespace_objects else None
        try:
            parsed = orjson.loads(body)
            around = orjson.loads(namespace) if namespace is not None else None
        except orjson.JSONDecodeError:
            return None
        return Scene(parsed, cluster=self._cluster, namespace_object=around)

    def _hold(self, scope: Scope, scene: Scene | None) -> bool:
        try:
            return scene is not None and all(
                condition.evaluate(scene) is True for condition in self._conditions[scope.policy]
            )
        except EvaluationFailed:  # most often: a field that the expression takes for granted is missing
            FAILED_CONDITIONS.labels(policy=scope.policy).inc()
            return False


def _labels_of(body: bytes) -> dict[str, str]:
    try:
        return _labels.decode(body).metadata.labels or {}
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}
