"""What an API server says about somebody: who a bearer token stands for, and what that one may do.

The API server alone decides; nothing is remembered here. A token is sent to no other address, and stands in no message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from kubernetes_asyncio.client.api_client import ApiClient

from kubeweft.kube.clients import JSON, no_answer, open_response
from kubeweft.kube.failures import Unavailable
from kubeweft.model.references import ObjectKey

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
DEADLINE = 5.0

NAMESPACES: Final = ("", "namespaces")
OF_ONE_CLUSTER: Final = "system:"
AUTHENTICATED: Final = "system:authenticated"

Review = TypeVar("Review")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as one API server knows them; another one may know somebody else by the same name."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def elsewhere(self) -> Person | None:
        """The same one in a cluster that knows the same people: by name and groups. None for who belongs to one cluster.

        Names that begin with ``system:`` (service accounts, nodes, masters) are made by each cluster for itself.
        """
        if self.name.startswith(OF_ONE_CLUSTER):
            return None
        shared = (
            group for group in self.groups if not group.startswith(OF_ONE_CLUSTER) or group == AUTHENTICATED
        )
        return Person(self.name, groups=tuple(shared))


@dataclass(frozen=True, slots=True)
class ReadQuestion:
    """May they ``get`` it? An empty name means all objects, an empty namespace all of them (or none there are)."""

    group: str
    resource: str
    namespace: str = ""
    name: str = ""


EVERYTHING = ReadQuestion("*", "*")


Width = Callable[[ObjectKey], ReadQuestion | None]
"""How wide a right is asked for that would cover an object; None where there is none of this width."""


def _everything(_: ObjectKey) -> ReadQuestion:
    return EVERYTHING


def _type(key: ObjectKey) -> ReadQuestion:
    return ReadQuestion(key.group, key.resource)


def _type_in_namespace(key: ObjectKey) -> ReadQuestion | None:
    return ReadQuestion(key.group, key.resource, key.namespace) if key.namespace else None


def _one_object(key: ObjectKey) -> ReadQuestion | None:
    """A Namespace lies in itself, as far as rights are concerned: a Role in it may allow to get it."""
    if not key.name:
        return None
    namespace = key.name if key[1:3] == NAMESPACES else key.namespace
    return ReadQuestion(key.group, key.resource, namespace, key.name)


WIDTHS: Final[tuple[Width, ...]] = (_everything, _type, _type_in_namespace, _one_object)
"""From the widest to the narrowest, which is that to one object by its name."""


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: _User | None = None


class _TokenReview(msgspec.Struct):
    status: _TokenStatus


class _AccessStatus(msgspec.Struct):
    allowed: bool
    denied: bool = False


class _AccessReview(msgspec.Struct):
    status: _AccessStatus


_token_review = msgspec.json.Decoder(_TokenReview)
_access_review = msgspec.json.Decoder(_AccessReview)


async def who_is(client: ApiClient, token: str, *, deadline: float = DEADLINE) -> Person | None:
    """Whose token it is; None where the API server does not accept it. Raises an ``ApiFailure`` if it does not say."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = _read(_token_review, await _post(client, TOKEN_REVIEWS, body, deadline)).status
    user = status.user
    if not status.authenticated or user is None or not user.username:
        return None
    extra = tuple(sorted((key, tuple(values)) for key, values in (user.extra or {}).items()))
    return Person(user.username, user.uid, tuple(user.groups or ()), extra)


async def may_read(
    client: ApiClient, person: Person, question: ReadQuestion, *, deadline: float = DEADLINE
) -> bool:
    """Whether the person may ``get`` what the question names. Raises an ``ApiFailure`` if that is not said."""
    attributes = {
        "verb": "get",
        "group": question.group,
        "resource": question.resource,
        "namespace": question.namespace,
        "name": question.name,
    }
    spec: dict[str, Any] = {
        "user": person.name,
        "uid": person.uid,
        "groups": list(person.groups),
        "extra": {key: list(values) for key, values in person.extra},
        "resourceAttributes": {key: value for key, value in attributes.items() if value},
    }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    status = _read(_access_review, await _post(client, ACCESS_REVIEWS, body, deadline)).status
    return status.allowed and not status.denied


async def _post(client: ApiClient, path: str, body: Mapping[str, Any], deadline: float) -> bytes:
    timeout = aiohttp.ClientTimeout(total=deadline)
    headers = {"Content-Type": JSON}
    async with open_response(client, "POST", path, timeout=timeout, headers=headers, body=body) as response:
        try:
            return await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise no_answer(error) from error


def _read(decoder: msgspec.json.Decoder[Review], body: bytes) -> Review:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unavailable("the answer is no review") from None
