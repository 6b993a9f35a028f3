"""Which cluster a sender of audit events speaks for: by its credential alone, never by address, URL or content.

A credential is a bearer token or a client certificate that TLS has verified, whose common name is the cluster's name.
Without any credential in the configuration everybody speaks for the local cluster. A token that a policy asks for is
one, also while its Secret is not there: its cluster's events would else be stored as the local one's.
"""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Mapping
from typing import Any, Final

from kubeweft.model.errors import NotNow
from kubeweft.sources.audit.credentials import BearerToken

NOT_COMPLETE: Final = 2.0  # seconds
_NONE: Final[Mapping[str, bool]] = {}
NO_CREDENTIAL: Final = "a valid bearer token or client certificate is needed"


class SenderRefused(Exception):
    """Nobody we know. ``status`` is 401 where a valid credential would help, 403 where this one is for nothing."""

    def __init__(self, status: int, message: str) -> None:
        """``message`` is told to the sender: it names no cluster that was not named by the sender itself."""
        super().__init__(message)
        self.status = status


class Senders:
    """The clusters that may send, by their credentials; those of joined clusters change with the plan."""

    def __init__(self, local: str, *, token: BearerToken | None = None, certificates: bool = False) -> None:
        """``local`` is the local cluster's name, ``token`` its token; ``certificates`` says that TLS verifies some."""
        self._local = local
        self._local_token = token
        self._certificates = certificates
        self._names = frozenset({local})
        self._tokens: tuple[tuple[str, bytes], ...] = ()
        self._have_tokens = self._are_awaited = False
        self.are_complete = True

    def use(self, tokens: Mapping[str, str], *, declared: Mapping[str, bool] = _NONE) -> None:
        """From now on these clusters are joined; an empty token is none.

        ``declared`` are those that are to have a token, there or not, each with whether it may still be found.
        """
        self._names = frozenset({self._local, *tokens})
        self._tokens = tuple((name, token.encode()) for name, token in tokens.items() if token)
        self._have_tokens = bool(self._tokens or declared)
        self._are_awaited = any(declared.values())

    @property
    def are_known(self) -> bool:
        """Whether any credential is configured; if none is, everybody speaks for the local cluster."""
        return self._local_token is not None or self._certificates or self._have_tokens

    @property
    def knows_local(self) -> bool:
        """Whether the local cluster has a credential to be known by, or needs none."""
        return self._local_token is not None or self._certificates or not self._have_tokens

    def cluster_of(self, authorization: str, common_name: str) -> str:
        """The cluster that sends. ``common_name`` is of a verified certificate, or empty.

        Raises ``SenderRefused``; or ``NotNow`` as long as not all senders are known (``are_complete``, and no
        declared token awaited), because API servers throw away what is refused.
        """
        try:
            return self._find(authorization, common_name)
        except SenderRefused:
            if self.are_complete and not self._are_awaited:
                raise
            missing = "a Secret has not been read" if self.are_complete else "the policies are not known"
            raise NotNow(f"{missing} yet", delay=NOT_COMPLETE) from None

    def _find(self, authorization: str, common_name: str) -> str:
        if not self.are_known:
            return self._local
        by_token = self._by_token(authorization)
        if common_name and common_name not in self._names:
            raise SenderRefused(403, f"the common name {common_name!r} is not the name of a cluster here")
        if by_token and common_name and by_token != common_name:
            raise SenderRefused(403, "the bearer token and the client certificate are of different clusters")
        if authorization and not by_token:
            raise SenderRefused(401, NO_CREDENTIAL)
        if by_token or common_name:
            return by_token or common_name
        raise SenderRefused(401, NO_CREDENTIAL)

    def _by_token(self, authorization: str) -> str:
        """All tokens are compared, whichever fits, so that time tells nothing."""
        scheme, _, given = authorization.partition(" ")
        token = given.strip().encode("utf-8", "surrogateescape")
        found = [name for name, known in self._tokens if hmac.compare_digest(token, known)]
        if self._local_token is not None and self._local_token.admits(authorization):
            found.append(self._local)
        if scheme.lower() != "bearer" or not found:
            return ""
        if len(found) > 1:
            raise SenderRefused(403, "this bearer token belongs to more than one cluster")
        return found[0]


def common_name_of(connection: ssl.SSLObject | ssl.SSLSocket | None) -> str:
    """The one common name of the verified client certificate of a connection, or nothing."""
    if connection is None or connection.session_reused:
        return ""
    certificate: Mapping[str, Any] = connection.getpeercert() or {}
    names = [
        value
        for part in certificate.get("subject", ())
        for kind, value in part
        if kind == "commonName" and isinstance(value, str)
    ]
    return names[0] if len(names) == 1 else ""
