"""One report of the event loop is no news, all others are."""

import asyncio
import logging

import pytest

from kubeweft.runtime.loop_errors import LAST_WORDS, quieten


async def test_last_words_after_the_end_are_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    quieten(loop)
    closed = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    with caplog.at_level(logging.INFO):
        loop.call_exception_handler({"message": LAST_WORDS, "exception": closed})
    assert caplog.records == []


async def test_everything_else_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    quieten(loop)
    loop.call_exception_handler({"message": LAST_WORDS, "exception": OSError("broken pipe")})
    loop.call_exception_handler({"message": "a task failed", "exception": RuntimeError("x")})
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
