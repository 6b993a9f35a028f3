"""TokenReview and SubjectAccessReview as an API server answers them, on top of :class:`fake_apiserver.FakeApiServer`."""

from __future__ import annotations

import json
from collections.abc import Callable

from aiohttp import web

from fake_apiserver import FakeApiServer, Handler, Object

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
MANY = 2000
Rule = Callable[[Object], bool]


class FakeReviews:
    """Knows ``tokens`` (each a user name) and what a user may get: ``rules`` over the resource attributes."""

    def __init__(self, server: FakeApiServer) -> None:
        """Answers on that server from now on."""
        self.tokens: dict[str, str] = {}
        self.rules: dict[str, list[Rule]] = {}
        self.specs: list[Object] = []
        self._server = server
        server.script(TOKENS, self._token, times=MANY)
        server.script(ACCESS, self._access, times=MANY)

    def allow(self, user: str, **attributes: str) -> None:
        """A right as RBAC grants one: what is not named in it holds for all."""

        def fits(asked: Object) -> bool:
            return all(asked.get(name, "") == value for name, value in attributes.items())

        self.rules.setdefault(user, []).append(fits)

    def before(self, path: str, handler: Handler, *, times: int) -> None:
        """Answer the next requests there with this instead."""
        self._server._scripts[:0] = [(path, handler)] * times

    @property
    def asked(self) -> list[Object]:
        """The resource attributes of all access reviews."""
        return [spec["resourceAttributes"] for spec in self.specs]

    async def _token(self, request: web.Request) -> web.StreamResponse:
        review = json.loads(await request.text())
        user = self.tokens.get(review["spec"]["token"])
        status: Object = {"authenticated": False, "error": "invalid bearer token"}
        if user is not None:
            extra = {"authentication.kubernetes.io/credential-id": ["JTI=1"]}
            told = {
                "username": user,
                "uid": f"uid-{user}",
                "groups": ["system:authenticated"],
                "extra": extra,
            }
            status = {"authenticated": True, "user": told}
        return web.json_response({**review, "status": status}, status=201)

    async def _access(self, request: web.Request) -> web.StreamResponse:
        review = json.loads(await request.text())
        self.specs.append(review["spec"])
        asked = review["spec"]["resourceAttributes"]
        allowed = any(rule(asked) for rule in self.rules.get(review["spec"]["user"], []))
        return web.json_response({**review, "status": {"allowed": allowed}}, status=201)
