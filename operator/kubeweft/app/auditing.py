"""The audit webhook in this process: closed until there is a plan, then everything goes to the pipeline."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from kubeweft.app.pipeline import Pipeline
from kubeweft.model.errors import NotNow, UserError
from kubeweft.model.kinds import Kinds
from kubeweft.model.observations import EventSeen, Request
from kubeweft.runtime import clock
from kubeweft.settings import Settings, parse_address
from kubeweft.sources.audit.credentials import BearerToken, ServingCertificate
from kubeweft.sources.audit.parsing import AuditParser
from kubeweft.sources.audit.webhook import AuditWebhook
from kubeweft.sources.events.pending import Pending
from kubeweft.sources.objects.shaping import Rules

logger = logging.getLogger(__name__)

NOT_OPEN_YET = 2.0  # seconds


class AuditInlet:
    """Owns the webhook and the parser that fits the plan in force."""

    def __init__(self, settings: Settings, *, kinds: Kinds, pipeline: Pipeline, rules: Rules) -> None:
        """Raises ``UserError`` where a file that the settings name cannot be used."""
        self._settings = settings
        self._kinds = kinds
        self._pipeline = pipeline
        self._is_open = False
        self._parser = self._parser_for(rules)
        self.last_time = 0
        self._webhook = AuditWebhook(
            parser=lambda: self._parser,
            deliver=self._deliver,
            pending=Pending(),
            token=BearerToken(Path(settings.audit_token_file)) if settings.audit_token_file else None,
            certificate=self._certificate(),
        )

    def use(self, rules: Rules) -> None:
        """Parse under other rules from now on."""
        self._parser = self._parser_for(rules)

    def open(self) -> None:
        """There is a plan now: take events."""
        self._is_open = True

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
        if bool(certificate) != bool(key):
            raise UserError("--audit-tls-cert and --audit-tls-key belong together: give both or none")
        return ServingCertificate(Path(certificate), Path(key)) if certificate else None

    def _parser_for(self, rules: Rules) -> AuditParser:
        return AuditParser(
            cluster=self._settings.cluster,
            kinds=self._kinds,
            redactor=rules.redactor,
            wants_request=rules.plan.wants_request,
            wants_event=rules.plan.wants_event,
        )

    async def _deliver(self, observations: Sequence[Request | EventSeen]) -> None:
        if not self._is_open:
            raise NotNow("the policies are not known yet", delay=NOT_OPEN_YET)
        await self._pipeline.offer(observations)
        self.last_time = clock.now()
