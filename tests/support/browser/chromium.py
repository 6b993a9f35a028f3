"""Chromium without a window, as a process of its own that ends with the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from browser.page import Page
from controlplane.processes import Component
from controlplane.testing import wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 60.0
FLAGS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--lang=en-US",
)


def find_chromium() -> Path | None:
    """The browser of this machine (CHROMIUM names another), or None."""
    named = os.environ.get("CHROMIUM")
    found = [shutil.which(name) for name in ((named,) if named else NAMES)]
    return next((Path(path) for path in found if path), None)


@asynccontextmanager
async def browsing(program: Path, folder: Path, *, size: tuple[int, int]) -> AsyncIterator[Page]:
    """One page of a fresh browser whose files are in ``folder``; it is gone after the block."""
    profile = folder / "profile"
    sandbox = () if os.geteuid() else ("--no-sandbox",)  # Chromium's own does not work for root
    command = [str(program), *FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"]
    component = Component(name="chromium", command=command, log=folder / "chromium.log", grace=5)
    component.start()
    try:
        port_file = profile / "DevToolsActivePort"
        wait_until(
            lambda: _has_begun(component, port_file), "Chromium to take commands", seconds=START_SECONDS
        )
        port = port_file.read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = await answer.json()
            url = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                page = Page(socket)
                async with page.talking():
                    await page.resize(*size)
                    yield page
    finally:
        component.kill()


def _has_begun(component: Component, port_file: Path) -> bool:
    assert component.running, f"Chromium has ended: {component.last_words()}"
    return port_file.exists() and "\n" in port_file.read_text()
