"""Every route answers what goes wrong with a status that the description of the API names, in the words of its dialect."""

from __future__ import annotations

from typing import Any

import pytest

from kubeweft.display.serving.http.failing import Refused
from kubeweft.model.errors import BadInput, NotNow, UserError
from kubeweft.runtime.stopping import took_longer_than
from query_api import TRACE_ID, query_api

FAILURES = {
    "answers": [
        BadInput("no"),
        UserError("no"),
        NotNow("later", delay=1),
        took_longer_than(60),
        RuntimeError(),
    ],
    "gate": [Refused("who?", status=401), Refused("no"), NotNow("later", delay=1), RuntimeError()],
}


class Failing:
    """Answers none of which can be given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, _: str) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise self.error

        return fail


@pytest.mark.parametrize(
    ("where", "error"), [(where, error) for where, errors in FAILURES.items() for error in errors]
)
async def test_every_failure_has_a_status_that_is_described(where: str, error: Exception) -> None:
    async def answers_for(_: str | None) -> Any:
        if where == "gate":
            raise error
        return Failing(error)

    async with query_api(answers_for=answers_for) as client:
        document = (await client.get("/openapi.json")).json()
        for path, item in document["paths"].items():
            asked = path.replace("{trace_id}", TRACE_ID.hex()).replace("{service}", "tree")
            query = "resource=deploy&name=demo" if path == "/redirect" else "service=tree"
            reply = await client.get(f"{asked}?{query}")
            assert str(reply.status) in item["get"]["responses"], path
            is_open = path in ("/openapi.json", "/healthz", "/readyz")
            capable = where == "answers" and path == "/api/v3/capabilities"
            assert (reply.status == 200) == (is_open or capable or _is_explained(error, where, path)), path


def _is_explained(error: Exception, where: str, path: str) -> bool:
    """A search that takes too long is no failure: it says so."""
    searches = ("/api/traces", "/api/v3/traces", "/api/v3/trace-summaries")
    return where == "answers" and str(error) == str(took_longer_than(60)) and path in searches
