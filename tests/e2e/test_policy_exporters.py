"""What leaves by the exporters of policies on a real cluster: to whom, how protected, how much, and how the status tells.

Receivers are real ones over gRPC and HTTP, and Secrets are read from the cluster.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster_requests import Cluster, owner
from controlplane.certificates import Authority, KeyPair
from controlplane.plane import ControlPlane
from controlplane.testing import AuditTarget, wait_until
from joined_clusters import NAMESPACE, SECRETS, Home
from kubeweft.model import vocabulary as v
from operator_process import OperatorProcess, listening_at
from policy_receivers import GRPC, HTTP, Rig, Target, id_of
from policy_stage import CONFIG_MAPS, Stage
from receiver_thread import ReceiverThread

SECRET_CHANGES_WITHIN = 15.0  # seconds
CAPPED_AT, BURST = 5, 60
COUNTED_WITHIN = 75.0  # seconds: numbers are written into a status every half a minute


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A receiver that takes everything, without TLS."""
    with ReceiverThread() as receiver:
        yield Target(receiver)


@pytest.fixture(scope="module")
def rig(
    control_plane: ControlPlane, audit_target: AuditTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("exporters")
    options = listening_at(audit_target, folder / "token") | {"without-policy": "nothing"}
    with Cluster(control_plane.kubeconfig) as cluster:
        home = Home(cluster)
        with OperatorProcess(folder, control_plane.kubeconfig, options=options, watched=()) as operator:
            stage = Stage(cluster, operator)
            with stage.watching("configmaps"):
                yield Rig(stage, home)


@pytest.fixture
def here(rig: Rig) -> Iterator[str]:
    with rig.stage.cluster.namespace(pods=False) as namespace:
        yield namespace


@pytest.fixture
def secret(rig: Rig, here: str) -> Iterator[str]:
    """The name of a Secret of the test's own, which may be there or not; removed afterwards."""
    yield here
    rig.stage.cluster.attempt("DELETE", f"{SECRETS}/{here}")


# ------------------------------------------------------------------------------------------------------------ caps


@dataclass(frozen=True)
class Capped:
    """A policy with a cap, and what came of a burst under it."""

    policy: str
    namespace: str
    target: Target

    @property
    def dropped(self) -> int:
        """How many spans the receiver was told that it did not get."""
        spans = [s for request in self.target.requests() for s in request.spans]
        return sum(int(str(s.attributes[v.GAP_COUNT])) for s in spans if s.attributes.get(v.GAP_COUNT))


@pytest.fixture(scope="module")
def capped(rig: Rig) -> Iterator[Capped]:
    """The burst comes first, because its count is written into the status only every half a minute."""
    with (
        ReceiverThread() as receiver,
        rig.stage.cluster.namespace(pods=False) as namespace,
        rig.exporting(
            namespace, Target(receiver).exporter("slow"), sampling={"maxSpansPerSecond": CAPPED_AT}
        ) as path,
    ):
        for number in range(BURST):
            rig.stage.create(namespace, f"burst-{number}")
        yield Capped(path, namespace, Target(receiver))


# --------------------------------------------------------------------------------------------------------- headers


@pytest.mark.usefixtures("capped")
def test_headers_come_from_a_secret_and_change_with_it(
    rig: Rig, target: Target, here: str, secret: str
) -> None:
    """Also in the midst of a run, for both protocols; and nowhere else is a value to be seen."""
    rig.home.put_secret(secret, {"authorization": b"Bearer first-3b81d2", "x-scope-orgid": b"team-a\n"})
    named = {"tls": {"mode": "Disabled"}, "headersSecretRef": {"name": secret}}
    exporters = [target.exporter(f"by-{p.lower()}", p, **named) for p in (GRPC, HTTP)]

    def headers(protocol: str) -> list[tuple[str | None, str | None]]:
        requests = [r for r in target.requests(protocol) if any(_is_in(s.resource, here) for s in r.spans)]
        return [(r.headers.get("authorization"), r.headers.get("x-scope-orgid")) for r in requests]

    with rig.exporting(here, *exporters) as path:
        spans = rig.write(here, "first")
        for protocol in (GRPC, HTTP):
            target.wait(here, spans, protocol)
            assert set(headers(protocol)) == {("Bearer first-3b81d2", "team-a")}
        assert secret in rig.stage.condition(path, "ResolvedRefs")["message"]

        rig.home.put_secret(secret, {"authorization": b"Bearer second-3b81d2", "x-scope-orgid": b"team-b"})
        limit = time.monotonic() + SECRET_CHANGES_WITHIN
        while {headers(p)[-1] for p in (GRPC, HTTP)} != {("Bearer second-3b81d2", "team-b")}:
            assert time.monotonic() < limit, f"the Secret changed {SECRET_CHANGES_WITHIN} s ago"
            rig.stage.wait(rig.stage.stir(here, "first"))
        for protocol in (GRPC, HTTP):
            target.wait(here, rig.stage.spans(here, "first"), protocol)
        told = f"{rig.stage.cluster.get(path)}{rig.stage.operator.ask('/metrics')[1]}"
    assert "3b81d2" not in told + rig.stage.operator.log_text()


def _is_in(resource: dict[str, object], namespace: str) -> bool:
    return resource.get(v.NAMESPACE) == namespace


# ------------------------------------------------------------------------------------------------------------- TLS


@contextlib.contextmanager
def demanding_certificates(folder: Path) -> Iterator[tuple[Target, Authority, KeyPair]]:
    """A receiver that wants TLS from both sides, who has signed its certificate, and a certificate that it accepts."""
    authority = Authority(folder)
    serving = authority.server("receiver", names=["localhost"], addresses=["127.0.0.1"])
    client = authority.client("exporter", user="exporter")
    with ReceiverThread(certificate=serving, client_authority=authority.files.certificate) as receiver:
        yield Target(receiver), authority, client


def test_both_sides_show_certificates(rig: Rig, here: str, secret: str, tmp_path: Path) -> None:
    """Who shows none is told so in the status, and gets through with what waited once it does."""
    with demanding_certificates(tmp_path / "pki") as (target, authority, client):
        rig.home.put_secret(
            secret,
            {
                "ca.crt": authority.files.certificate.read_bytes(),
                "tls.crt": client.certificate.read_bytes(),
                "tls.key": client.key.read_bytes(),
            },
        )
        ca, client_too = {"caSecretRef": {"name": secret}}, {"certSecretRef": {"name": secret}}
        known = [target.exporter(f"by-{p.lower()}", p, tls=ca | client_too) for p in (GRPC, HTTP)]
        with rig.exporting(
            here,
            *known,
            target.exporter("stranger", GRPC, tls=ca),
            target.exporter("unproved", HTTP, tls=client_too),  # who the receiver is, nobody tells
            reason="",
        ) as path:
            working = {"by_grpc": "Exporting", "by_httpprotobuf": "Exporting"}
            wait_until(lambda: len(rig.exporter_states(path)) == 4, "the exporters to begin")
            spans = rig.write(here, "thing")
            for protocol in (GRPC, HTTP):
                target.wait(here, spans, protocol)
            rig.wait_exporters(path, **working, stranger="Unreachable", unproved="Unreachable")
            seen = len(target.spans(here))
            rest = [
                target.exporter(n, p, tls=ca | client_too)
                for n, p in (("stranger", GRPC), ("unproved", HTTP))
            ]
            match = {"resources": [CONFIG_MAPS], "namespaces": [here]}
            rig.stage.cluster.change_policy(path, exporters=[*known, *rest], match=match)
            rig.wait_exporters(path, **working, stranger="Exporting", unproved="Exporting")
            wait_until(lambda: len(target.spans(here)) >= seen + 2 * len(spans), "what waited for them")


# ---------------------------------------------------------------------------------------------- several at a time


def test_one_that_is_down_holds_up_nobody(rig: Rig, target: Target, here: str) -> None:
    with ReceiverThread() as receiver:
        down = Target(receiver)
        exporters = [target.exporter("up", GRPC), down.exporter("down"), target.exporter("also-up", HTTP)]
        with rig.exporting(here, *exporters) as path:
            receiver.go_away()
            spans = rig.write(here, "first")
            for protocol in (GRPC, HTTP):
                target.wait(here, spans, protocol)
            rig.wait_exporters(path, up="Exporting", down="Unreachable", also_up="Exporting")
            rig.stage.cluster.wait_in_force(path, reason="Degraded")
            condition = rig.stage.condition(path, "ExportersReady")
            assert (condition["status"], condition["reason"]) == ("False", "Unreachable")
            assert "down" in condition["message"]
            receiver.come_back()
            spans += rig.write(here, "second")
            down.wait(here, spans)


def test_a_missing_secret_is_named_holds_up_nobody_and_is_found_when_it_comes(
    rig: Rig, target: Target, here: str, secret: str
) -> None:
    named = {"tls": {"mode": "Disabled"}, "headersSecretRef": {"name": secret}}
    exporters = [target.exporter("plain", GRPC), target.exporter("secret", HTTP, **named)]
    with rig.exporting(here, *exporters, reason="Degraded") as path:
        condition = rig.stage.condition(path, "ResolvedRefs")
        assert (condition["status"], condition["reason"]) == ("False", "SecretNotFound")
        assert f"{NAMESPACE}/{secret}" in condition["message"]
        assert rig.exporter_states(path)["secret"]["reason"] == "SecretNotFound"
        target.wait(here, rig.write(here, "first"), GRPC)
        assert target.spans(here, HTTP) == []

        rig.home.put_secret(secret, {"x-token": b"found"})
        rig.stage.cluster.wait_in_force(path)
        assert rig.stage.condition(path, "ResolvedRefs")["status"] == "True"
        target.wait(here, rig.write(here, "second"), HTTP)


def test_a_suspended_policy_exports_nothing(rig: Rig, target: Target, here: str) -> None:
    match = {"resources": [CONFIG_MAPS], "namespaces": [here]}
    exporters = [target.exporter("only")]
    with rig.exporting(here, *exporters) as path, rig.stage.policy(match=match):  # the store goes on
        target.wait(here, rig.write(here, "before"))
        rig.stage.change(path, reason="Suspended", match=match, exporters=exporters, suspend=True)
        before = len(target.spans(here))
        rig.write(here, "meanwhile")
        assert len(target.spans(here)) == before
        rig.stage.change(path, match=match, exporters=exporters)
        target.wait(here, rig.write(here, "after"))


# ------------------------------------------------------------------------------------------------------- selecting


def test_an_exporter_gets_what_its_own_policy_selects_by_label(rig: Rig, target: Target, here: str) -> None:
    """The store holds more, for another policy. Labels change, and with them what arrives."""
    everything = {"resources": [CONFIG_MAPS], "namespaces": [here]}
    web = {**everything, "objectSelector": {"matchLabels": {"tier": "web"}}}
    with rig.stage.policy(match=everything), rig.exporting(here, target.exporter("web"), match=web):
        rig.stage.create(here, "db", labels={"tier": "db"})
        rig.stage.create(here, "web", labels={"tier": "web"})
        rig.stage.wait(rig.stage.stir(here, "db"))
        rig.stage.wait(rig.stage.stir(here, "web"))
        target.wait(here, rig.stage.spans(here, "web"))
        assert target.names(here) == {"web"}

        rig.stage.merge(here, "web", {"metadata": {"labels": {"tier": "db"}}})
        rig.stage.merge(here, "db", {"metadata": {"labels": {"tier": "web"}}})
        unseen, seen = rig.stage.stir(here, "web"), rig.stage.stir(here, "db")
        rig.stage.wait(unseen)
        rig.stage.wait(seen)
        target.wait(
            here,
            [s for s in rig.stage.spans(here, "db") if s.attributes.get(v.RESOURCE_VERSION) == seen.version],
        )
        arrived = {str(s.attributes.get(v.RESOURCE_VERSION)) for s in target.spans(here)}
        assert seen.version in arrived
        assert unseen.version not in arrived


def test_of_a_sampled_policy_a_tree_with_a_failed_request_arrives_whole(
    rig: Rig, target: Target, here: str
) -> None:
    """Nothing else does, not even of trees that were there before."""
    stage = rig.stage

    def family(name: str) -> None:
        parent = stage.create(here, name) | {"apiVersion": "v1", "kind": "ConfigMap"}
        child = {"metadata": {"name": f"{name}-child", "ownerReferences": [owner(parent, controller=True)]}}
        stage.cluster.create(f"/api/v1/namespaces/{here}/configmaps", child)

    with rig.exporting(here, target.exporter("errors"), sampling={"percent": 0, "keepErrors": True}):
        for name in ("quiet", "loud"):
            family(name)
        for stirred in [stage.stir(here, name) for name in ("quiet", "quiet-child", "loud", "loud-child")]:
            stage.wait(stirred)
        assert target.names(here) == set()
        stale = {"metadata": {"resourceVersion": "1"}, "data": {"a": "b"}}
        code, _ = stage.cluster.attempt(
            "PUT",
            f"/api/v1/namespaces/{here}/configmaps/loud-child",
            {**stale, "metadata": {"name": "loud-child", **stale["metadata"]}},
        )
        assert code == 409
        wait_until(lambda: any(s.error for s in stage.spans(here, "loud-child")), "the failed request")
        target.wait(here, stage.spans(here, "loud", "loud-child"))
        for stirred in [stage.stir(here, name) for name in ("quiet", "loud")]:
            stage.wait(stirred)
        target.wait(here, stage.spans(here, "loud", "loud-child"))
        assert target.names(here) == {"loud", "loud-child"}


@pytest.mark.timeout(COUNTED_WITHIN + 60, func_only=True)
def test_what_a_cap_keeps_back_is_counted(rig: Rig, capped: Capped) -> None:
    """In the status as at the receiver, and the counts are right: all that was not sent."""

    def counts() -> tuple[int, int, int]:
        stored = {(s.trace_id, s.span_id) for s in rig.stage.spans(capped.namespace)}
        sent = {id_of(span) for span in capped.target.spans(capped.namespace)}
        told = int(rig.exporter_states(capped.policy)["slow"].get("dropped", 0))
        return len(stored - sent), capped.dropped, told

    try:
        wait_until(lambda: min(counts()) > BURST and len(set(counts())) == 1, "", seconds=COUNTED_WITHIN)
    except AssertionError as error:
        raise AssertionError(f"{error}: missing, told by gaps, in the status: {counts()}") from None
    condition = rig.stage.condition(capped.policy, "ExportersReady")
    assert condition["status"] == "True"
    assert f"slow: {capped.dropped}" in condition["message"]
    policy = capped.policy.rpartition("/")[2]
    metric = f'kubeweft_export_dropped_spans_total{{exporter="{policy}/slow"}}'
    assert rig.stage.operator.metric(metric) == capped.dropped
