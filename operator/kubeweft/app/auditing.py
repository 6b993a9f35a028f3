"""Audit events in this process: closed until there is a plan, then everything goes to the pipeline.

One listener serves all clusters; which one speaks is decided by its credential. Each cluster has a parser of its own,
under its own part of the plan.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kubeweft.app.pipeline import Pipeline
from kubeweft.model.errors import NotNow, UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import EventSeen, Request
from kubeweft.model.plan import AuditInlet as Way
from kubeweft.model.plan import JoinedCluster
from kubeweft.runtime import clock
from kubeweft.settings import Settings, parse_address
from kubeweft.sources.audit.credentials import BearerToken, ServingCertificate
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.audit.senders import Senders
from kubeweft.sources.audit.tailing import LogTail
from kubeweft.sources.audit.webhook import AuditWebhook
from kubeweft.sources.events.pending import Pending
from kubeweft.sources.objects.shaping import Rules

logger = logging.getLogger(__name__)

NOT_OPEN_YET = 2.0  # seconds
NAMESPACES_UNKNOWN = 2.0


class AuditedCluster:
    """What becomes of the audit events of one cluster that come by one way."""

    def __init__(
        self, name: str, way: Way, *, rules: Callable[[], Rules], kinds: Kinds, pipeline: Pipeline
    ) -> None:
        """``rules`` gives those in force now. ``last_time`` is when something last was stored, in nanoseconds."""
        self.pending = Pending()
        self.last_time = 0
        self._name = name
        self._way: Way = way
        self._rules_now = rules
        self._kinds = kinds
        self._pipeline = pipeline
        self._rules = rules()
        self._parser = self._make_parser()

    @property
    def parser(self) -> AuditParser:
        """The parser for the rules in force; it remembers what they decide, so that other rules take another.

        Raises ``NotNow`` while policies look at namespaces that have not been listed yet.
        """
        rules = self._rules_now()
        if rules.chooser is not None and not rules.chooser.namespaces_are_known:
            raise NotNow("the namespaces are not known yet", delay=NAMESPACES_UNKNOWN)
        if rules is not self._rules:
            self._rules = rules
            self._parser = self._make_parser()
        return self._parser

    async def deliver(self, observations: Sequence[Request | EventSeen], /) -> None:
        """Store them, or raise ``NotNow``."""
        await self._pipeline.offer(observations)
        self.last_time = clock.now()

    def _make_parser(self) -> AuditParser:
        rules = self._rules
        looks = any(scope.looks_into_objects for scope in rules.plan.scopes)
        return AuditParser(
            cluster=self._name,
            kinds=self._kinds,
            redactor=rules.redactor,
            wants_request=partial(rules.plan.wants_request, inlet=self._way),
            wants_event=rules.wants_event,
            selects_request=partial(rules.wants_request, inlet=self._way) if looks else None,
        )


class Bookmarks(NamedTuple):
    """Where it is remembered how far a file was read."""

    load: Callable[[str], bytes | None]
    save: Callable[[str, bytes], Awaitable[None]]


class AuditInlet:
    """Owns the webhook, and knows what becomes of the events of each cluster."""

    def __init__(
        self,
        settings: Settings,
        *,
        rules_of: Callable[[str], Rules],
        kinds_of: Callable[[str], Kinds],
        pipeline: Pipeline,
        bookmarks: Bookmarks,
    ) -> None:
        """``rules_of`` gives the rules in force for a cluster. Raises ``UserError`` where a file cannot be used."""
        self._settings = settings
        self._rules_of = rules_of
        self._kinds_of = kinds_of
        self._pipeline = pipeline
        self._is_open = False
        self._bookmarks = bookmarks
        self._by_webhook = {settings.cluster: self._make(settings.cluster, "Webhook")}
        self._by_log = self._make(settings.cluster, "LogFile")
        certificate = self._certificate()
        self._senders = Senders(
            settings.cluster,
            token=BearerToken(Path(settings.audit_token_file)) if settings.audit_token_file else None,
            certificates=bool(settings.audit_client_ca),
        )
        self._senders.are_complete = False
        self._webhook = AuditWebhook(senders=self._senders, audited=self._audited, certificate=certificate)

    def use(self, joined: Sequence[JoinedCluster], *, audited: Sequence[tuple[str, bool]] = ()) -> None:
        """These clusters may send from now on, besides the local one. ``audited`` is that of the plan."""
        names = (self._settings.cluster, *(cluster.name for cluster in joined))
        known = self._by_webhook
        self._by_webhook = {name: known.get(name) or self._make(name, "Webhook") for name in names}
        knew_local = self._senders.knows_local
        tokens = {cluster.name: cluster.audit_token for cluster in joined}
        self._senders.use(tokens, declared=dict(audited))
        if knew_local and not self._senders.knows_local and self._settings.audit_listen:
            logger.warning(
                "audit events of the local cluster are refused: joined clusters have tokens, so that it needs one too; "
                "give --audit-token-file"
            )

    @property
    def is_open(self) -> bool:
        """Whether there is a plan, so that it is known what has to be hidden."""
        return self._is_open

    def open(self) -> None:
        """There is a plan now: take events. Whom it does not know is refused from now on."""
        self._is_open = self._senders.are_complete = True

    def last_time(self, cluster: str) -> int:
        """When audit events of this cluster last came, in nanoseconds; 0: never."""
        ways = [self._by_webhook.get(cluster), self._by_log if cluster == self._settings.cluster else None]
        return max((way.last_time for way in ways if way is not None), default=0)

    async def follow_log(self) -> None:
        """Take the local cluster's events from a log file, if the settings name one, until cancelled."""
        if not self._settings.audit_log:
            return
        path, audited = Path(self._settings.audit_log), self._by_log
        name = f"audit-log/{path.absolute()}"
        logger.info("following the audit log: file=%s", path)
        await LogTail(
            path,
            parser=lambda: audited.parser,
            deliver=audited.deliver,
            load_position=lambda: self._bookmarks.load(name),
            save_position=lambda position: self._bookmarks.save(name, position),
            pending=audited.pending,
        ).run()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the block runs, if the settings name an address."""
        if not self._settings.audit_listen:
            yield
            return
        host, port = parse_address(self._settings.audit_listen)
        await self._webhook.start(host, port)
        logger.info(
            "audit webhook listens: http%s://%s:%d/audit", "s" * self._is_secure, host, self._webhook.port
        )
        if self._settings.audit_token_file and not self._is_secure:
            # client-go leaves the token out, silently.
            logger.warning(
                "kube-apiserver sends its token over TLS only: give --audit-tls-cert and --audit-tls-key too"
            )
        try:
            yield
        finally:
            await self._webhook.close()

    @property
    def _is_secure(self) -> bool:
        return bool(self._settings.audit_tls_cert)

    def _certificate(self) -> ServingCertificate | None:
        certificate, key = self._settings.audit_tls_cert, self._settings.audit_tls_key
        authority = self._settings.audit_client_ca
        if bool(certificate) != bool(key):
            raise UserError("--audit-tls-cert and --audit-tls-key belong together: give both or none")
        if authority and not certificate:
            raise UserError(
                "--audit-client-ca needs --audit-tls-cert and --audit-tls-key: certificates are shown over TLS only"
            )
        if not certificate:
            return None
        return ServingCertificate(
            Path(certificate), Path(key), client_ca=Path(authority) if authority else None
        )

    def _make(self, cluster: str, way: Way) -> AuditedCluster:
        return AuditedCluster(
            cluster,
            way,
            rules=partial(self._rules_of, cluster),
            kinds=self._kinds_of(cluster),
            pipeline=self._pipeline,
        )

    def _audited(self, cluster: str) -> AuditedCluster:
        audited = self._by_webhook.get(cluster)
        if not self._is_open or audited is None:  # it has left since its credential was looked at
            raise NotNow("the policies are not known yet", delay=NOT_OPEN_YET)
        return audited
