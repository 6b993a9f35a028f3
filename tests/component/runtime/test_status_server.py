"""What an operator's operator asks: metrics, alive, ready."""

import aiohttp
import pytest

from kubeweft.model.errors import UserError
from kubeweft.runtime import tasks
from kubeweft.runtime.status_server import StatusServer


async def test_it_tells_how_we_are() -> None:
    reason = "starting"
    server = StatusServer(host="127.0.0.1", port=0, ready=lambda: reason)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            assert (await session.get("/healthz")).status == 200
            not_ready = await session.get("/readyz")
            assert (not_ready.status, await not_ready.text()) == (503, "starting\n")
            reason = ""
            assert (await session.get("/readyz")).status == 200
            tasks.RESTARTS.labels(task="a task").inc(0)
            assert "kubeweft_task_restarts_total" in await (await session.get("/metrics")).text()
    finally:
        await server.close()


async def test_a_taken_port_is_told_clearly() -> None:
    server = StatusServer(host="127.0.0.1", port=0, ready=str)
    await server.start()
    other = StatusServer(host="127.0.0.1", port=server.port, ready=str)
    try:
        with pytest.raises(UserError, match="--status-listen"):
            await other.start()
    finally:
        await other.close()
        await server.close()
