"""Answers and error lines to failures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubeweft.kube.failures import (
    LONGEST_MESSAGE,
    ApiFailure,
    Forbidden,
    Gone,
    NotServed,
    Refused,
    Unauthorized,
    Unavailable,
    from_error_line,
    from_response,
)


def status(**fields: Any) -> bytes:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", **fields}).encode()


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (400, Refused),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotServed),
        (405, NotServed),
        (410, Gone),
        (415, Refused),
        (422, Refused),
        (429, Unavailable),
        (500, Unavailable),
        (504, Unavailable),
    ],
)
def test_the_code_decides_in_answers_and_in_watches(code: int, failure: type[ApiFailure]) -> None:
    body = status(code=code, message="because")
    for made in (from_response(code, body, {}), from_error_line(body)):
        assert type(made) is failure
        assert made.status == code
        assert str(made) == f"because (HTTP {code})"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"404 page not found\n", "404 page not found (HTTP 503)"),
        (b"", "the answer has no explanation (HTTP 503)"),
        (b"<html><body>Bad gateway</body></html>", "the answer has no explanation (HTTP 503)"),
        (b'{"some":"json"}', "the answer has no explanation (HTTP 503)"),
        (b'{"kind":"Status","code":"x"}', "the answer has no explanation (HTTP 503)"),
        (b"\xff\xfe", "�� (HTTP 503)"),
    ],
)
def test_answers_that_are_no_status(body: bytes, message: str) -> None:
    assert str(from_response(503, body, {})) == message


def test_messages_are_bounded() -> None:
    assert len(str(from_response(500, status(message="x" * 10_000), {}))) < LONGEST_MESSAGE + 20
    assert len(str(from_response(500, b"x" * 10_000, {}))) < LONGEST_MESSAGE + 20


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({"Retry-After": "7"}, {"retryAfterSeconds": 3}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {"retryAfterSeconds": 0}, 0.0),
        ({"Retry-After": "-1"}, {"retryAfterSeconds": -1}, None),
        ({}, {}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], details: dict[str, int], seconds: float | None) -> None:
    assert from_response(429, status(details=details), headers).retry_after == seconds


def test_an_error_line_that_says_nothing() -> None:
    for body in (b"{}", b"7", b'{"kind":"Pod"}', status(message="no code")):
        assert type(from_error_line(body)) is Unavailable


def test_an_error_line_without_a_message_gives_its_reason() -> None:
    assert str(from_error_line(status(code=410, reason="Expired"))) == "Expired (HTTP 410)"
