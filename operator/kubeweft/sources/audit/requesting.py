"""One audit event as a request: what may be long, secret or made up by the client is dealt with here."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Protocol

import msgspec

from kubeweft.model.observations import Request
from kubeweft.model.references import ObjectKey
from kubeweft.sources.audit.trust import Answer
from kubeweft.sources.audit.wire import AuditEvent, ObjectReference, ResponseStatus
from kubeweft.sources.events.parsing import EventRedactor

LONGEST_TEXT: Final = 4096  # of messages and URIs: more makes a trace unreadable and helps nobody
LONGEST_AGENT: Final = 1024
CONFLICT: Final = 409
MOST_REMEMBERED: Final = 10_000  # names come from outside: what is remembered about them has to be bounded
LONGEST_REMEMBERED: Final = 256
SHORTEST_NAME: Final = 3  # a shorter one would be found inside other words
NO_STATUS: Final = ResponseStatus()


class RequestRedactor(EventRedactor, Protocol):
    """What is asked of :class:`kubeweft.model.redaction.Redactor` by the audit log."""

    def redact_uri_query(self, path: str, query: str) -> str:
        """The query without values that are or may be secret."""

    def identity(self, name: str) -> str:
        """The name of a user, or an address, as it may be shown."""


class Uri(msgspec.Struct, frozen=True, gc=False):
    """A request URI and its two parts, redacted and of bounded length."""

    path: str
    query: str
    whole: str


class RequestMaker:
    """Makes the requests of one cluster under one plan."""

    def __init__(self, redactor: RequestRedactor) -> None:
        """Ready for any number of events."""
        self._redactor = redactor
        self._disguise = Disguise(redactor)

    def make(
        self,
        event: AuditEvent,
        reference: ObjectReference,
        key: ObjectKey,
        answer: Answer,
        uri: Uri,
        received: int,
        completed: int,
        dry_run: bool,
    ) -> Request:
        """The observation. Called by position, as the hottest call there is: names would cost a microsecond."""
        status, disguise = event.response_status or NO_STATUS, self._disguise
        user = (event.user.username if event.user is not None else None) or ""
        as_user = (event.impersonated_user.username if event.impersonated_user is not None else None) or ""
        code = status.code or 0
        return Request(
            key=key,
            audit_id=event.audit_id or "",
            level=event.level or "",
            stage=event.stage or "",
            verb=event.verb or "",
            subresource=reference.subresource or "",
            uri_path=uri.path,
            uri_query=uri.query,
            uri=uri.whole,
            user=disguise.name(user),
            impersonated_user=disguise.name(as_user),
            user_agent=disguise.agent(event.user_agent or "", user),
            client_address=disguise.name(event.source_ips[-1])
            if event.source_ips
            else "",  # others: client's word
            code=code,
            reason=disguise.word(status.reason) if status.reason else "",
            message=disguise.text(status.message, user, as_user) if status.message else "",
            received=received,
            completed=completed,
            received_text=event.request_received_timestamp or "",
            completed_text=event.stage_timestamp or "",
            kind=answer.kind,
            api_version=answer.api_version,
            uid=answer.uid,
            version=answer.version,
            base_version=base_version(event, reference, code),
            dry_run=dry_run,
            body_truncated=event.annotations is not None and event.annotations.truncated == "true",
        )

    def uri(self, event: AuditEvent, reference: ObjectReference) -> Uri:
        """The URI; behind a proxied one, the path is another server's and may hold anything."""
        uri = event.request_uri or ""
        if "?" not in uri and len(uri) <= LONGEST_TEXT and reference.subresource != "proxy":
            return Uri(uri, "", uri)
        path, question_mark, query = uri.partition("?")
        if reference.subresource == "proxy":
            path = self._redactor.redact_text(path)
        path = bounded(path, LONGEST_TEXT)
        if not question_mark:
            return Uri(path, "", path)
        query = bounded(self._redactor.redact_uri_query(path, query), LONGEST_TEXT)
        return Uri(path, query, f"{path}?{query}")


class Disguise:
    """Who did it and from where, as far as policies let it be seen. Few speak often, so answers are remembered."""

    def __init__(self, redactor: RequestRedactor) -> None:
        """Find out once whether names are shown at all."""
        self._redactor = redactor
        self._shows_names = redactor.identity("somebody") == "somebody"
        self._names: dict[str, str] = {}
        self._words: dict[str, str] = {}

    def name(self, name: str) -> str:
        """A user's name, or an address."""
        if self._shows_names:
            return name
        known = self._names.get(name)
        if known is None:
            known = self._redactor.identity(name)
            _remember(self._names, name, known)
        return known

    def agent(self, agent: str, user: str) -> str:
        """A user agent: controllers put their user's name into it."""
        known = self.word(agent)
        return known if self._shows_names else self._without(known, user)

    def word(self, word: str) -> str:
        """A short text that is much the same in all events."""
        known = self._words.get(word)
        if known is None:
            known = bounded(self._redactor.redact_text(word), LONGEST_AGENT)
            _remember(self._words, word, known)
        return known

    def text(self, text: str, *users: str) -> str:
        """A message: the API server says in it who is not allowed to do something."""
        return bounded(self._without(self._redactor.redact_text(text), *users), LONGEST_TEXT)

    def _without(self, text: str, *users: str) -> str:
        if not self._shows_names:
            for user in users:
                if len(user) >= SHORTEST_NAME:
                    text = text.replace(user, self.name(user))
                elif user:
                    text = text.replace(f'"{user}"', f'"{self.name(user)}"')
        return text


def _remember(known: dict[str, str], text: str, shown: str) -> None:
    if len(text) > LONGEST_REMEMBERED:
        return
    if len(known) >= MOST_REMEMBERED:
        known.clear()
    known[text] = shown


def bounded(text: str, longest: int) -> str:
    """The text, or its beginning and a digest of the whole: two long texts stay different."""
    if len(text) <= longest:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{text[: longest - 17]}…{digest}"


def is_dry_run(event: AuditEvent, uri: Uri) -> bool:
    """Whether nothing was meant to be stored. A delete may say so in its body instead of the query."""
    return "dryRun=" in uri.query or (event.verb == "delete" and b'"dryRun"' in bytes(event.request_object))


class _Versioned(msgspec.Struct, gc=False):
    version: str | None = msgspec.field(name="resourceVersion", default=None)


class _RequestBody(msgspec.Struct, gc=False):
    metadata: _Versioned | None = None
    preconditions: _Versioned | None = None


_request_body = msgspec.json.Decoder(_RequestBody)


def base_version(event: AuditEvent, reference: ObjectReference, code: int) -> str:
    """The resourceVersion that the client had in hand: it tells which failed requests tried the same thing.

    An update carries it into ``objectRef``; for a patch or delete the body is looked into only where it matters.
    """
    if event.verb == "create":
        return ""
    if reference.resource_version or code != CONFLICT:
        return reference.resource_version or ""
    try:
        body = _request_body.decode(event.request_object)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # there is none, or it is a JSON patch
        return ""
    holder = body.preconditions or body.metadata
    return (holder.version or "") if holder is not None else ""
