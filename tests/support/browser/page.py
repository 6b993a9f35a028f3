"""One page of a browser, over the Chrome DevTools protocol: open, look, wait, click, take a picture."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CALL_SECONDS = 30.0
WAIT_SECONDS = 30.0
LOOK_AGAIN = 0.05


class Failed(AssertionError):
    """The browser refused a command, or a script failed in the page."""


class Page:
    """Commands go out and answers come back by number; what happens meanwhile is kept in ``problems``."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.problems: list[str] = []

    @contextlib.asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Commands may be sent within the block."""
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(self._listen())
            for domain in ("Page", "Runtime", "Network", "Log"):
                await self.call(f"{domain}.enable")
            try:
                yield
            finally:
                listener.cancel()

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; raises ``Failed``."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        try:
            async with asyncio.timeout(CALL_SECONDS):
                told = await answer
        finally:
            del self._waiting[number]
        if "error" in told:
            raise Failed(f"{method}: {told['error']}")
        result: dict[str, Any] = told["result"]
        return result

    async def resize(self, width: int, height: int) -> None:
        """The size of the page in pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def open(self, url: str) -> None:
        """Go to an address; what is on the page then is waited for by :meth:`wait`."""
        told = await self.call("Page.navigate", url=url)
        if told.get("errorText"):
            raise Failed(f"cannot open {url}: {told['errorText']}")

    async def value(self, script: str) -> Any:
        """The value of an expression in the page (a promise is waited for); raises ``Failed``."""
        told = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            details = told["exceptionDetails"]
            raise Failed(f"{script}: {details.get('exception', {}).get('description', details.get('text'))}")
        return told["result"].get("value")

    async def wait(self, script: str, what: str, *, seconds: float = WAIT_SECONDS) -> Any:
        """Look again until an expression is true in the page; gives its value. Raises with what is to be seen."""
        limit = time.monotonic() + seconds
        while True:
            with contextlib.suppress(Failed):  # between two pages there is nothing to ask
                found = await self.value(script)
                if found:
                    return found
            if time.monotonic() > limit:
                seen = await self.text()
                raise AssertionError(
                    f"waited {seconds} s for {what}; problems: {self.problems}; on the page:\n{seen}"
                )
            await asyncio.sleep(LOOK_AGAIN)

    async def wait_text(self, text: str, *, seconds: float = WAIT_SECONDS) -> None:
        """Wait until a text is to be read on the page."""
        await self.wait(
            f"document.body && document.body.innerText.includes({json.dumps(text)})",
            f"the text {text!r}",
            seconds=seconds,
        )

    async def text(self) -> str:
        """All that is to be read on the page."""
        return str(await self.value("document.body ? document.body.innerText : ''"))

    async def click(self, selector: str, *, containing: str = "") -> None:
        """Click on the middle of the first element that a selector finds and that holds a text, when it is there."""
        found = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(e => e.textContent.includes({json.dumps(containing)}) && e.getClientRects().length)"
        )
        box = await self.wait(
            f"(() => {{ const e = {found}; if (!e) return null; e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()",
            f"something to click: {selector} {containing}",
        )
        await self.click_at(*box)

    async def click_at(self, x: float, y: float) -> None:
        """Press and let go of the left button at a place."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="none" if kind == "mouseMoved" else "left",
                clickCount=0 if kind == "mouseMoved" else 1,
            )

    async def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at one place, move, and let go at another."""
        for kind, (x, y) in (
            ("mouseMoved", start),
            ("mousePressed", start),
            ("mouseMoved", end),
            ("mouseReleased", end),
        ):
            button = "none" if kind == "mouseMoved" and (x, y) == start else "left"
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1)

    async def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        await self.call("Input.insertText", text=text)

    async def press(self, key: str, code: int) -> None:
        """One key, such as Enter (13)."""
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    async def picture(self, file: Path) -> None:
        """What is to be seen, as PNG."""
        told = await self.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(told["data"]))

    async def _listen(self) -> None:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            told = json.loads(message.data)
            if "id" in told:
                waiting = self._waiting.get(told["id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(told)
            else:
                self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        """Failures of scripts and answers with errors: a page that looks right may still have them."""
        method, parameters = told.get("method"), told.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details.get("text", ""))
        elif method == "Network.responseReceived" and parameters["response"]["status"] >= 400:
            self.problems.append(f"{parameters['response']['status']} {parameters['response']['url']}")
