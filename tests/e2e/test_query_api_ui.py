"""Jaeger's own UI in a real browser, served by the query API itself, with no Jaeger anywhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from browser.chromium import browsing, find_chromium
from browser.jaeger_ui import NoUi, jaeger_ui
from browser.page import Page
from kubeweft.display.serving.http.assets import UserInterface
from query_api import Client, query_api
from span_builders import at
from story_answers import answers_of, story

pytestmark = [pytest.mark.jaeger, pytest.mark.timeout(180)]
DEMO = "/redirect?resource=deploy&name=demo"
DAY = f"start={at('08:00:00') // 1000}&end={at('12:00:00') // 1000}&lookback=custom"
VIOLATIONS = """
window.violations = [];
document.addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective + ' ' + e.blockedURI));
"""


@pytest.fixture(scope="module")
def ui() -> UserInterface:
    """The built UI."""
    try:
        return UserInterface(folder=jaeger_ui())
    except NoUi as reason:
        pytest.skip(str(reason))


@pytest.fixture
async def client(ui: UserInterface) -> AsyncIterator[Client]:
    async with query_api(answers_of(story()), ui=ui) as client:
        yield client


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A fresh browser that notes what the policy of a page forbids."""
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium on this machine: CHROMIUM may name one")
    async with browsing(program, tmp_path, size=(1400, 500)) as page:
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=VIOLATIONS)
        yield page


async def check(page: Page) -> None:
    """Nothing has failed in the page, and nothing was forbidden to it."""
    assert page.problems == []
    assert await page.value("window.violations") == []


def address(client: Client, path: str) -> str:
    return f"http://127.0.0.1:{client.port}{path}"


async def test_a_link_to_an_object_opens_its_trace(client: Client, page: Page) -> None:
    await page.open(address(client, DEMO))
    for text in ("default/demo", "default/demo-1", "default/demo-1-a", "Conflict"):
        await page.wait_text(text)
    await check(page)


async def test_a_search_finds_it(client: Client, page: Page) -> None:
    tags = json.dumps({"resource": "deployments"})
    await page.open(address(client, f"/search?service=tree&limit=20&tags={tags}&{DAY}"))
    await page.wait_text("1 Trace")
    await page.wait_text("1 Error")
    await check(page)
    await page.click("a", containing="default/demo")
    await page.wait("location.pathname.startsWith('/trace/')", "the page of the trace")
    await page.wait_text("default/demo-1")
    await check(page)


async def test_types_and_their_links_are_drawn(client: Client, page: Page) -> None:
    await page.open(address(client, "/dependencies"))
    for text in ("Deployment", "ReplicaSet", "Pod", "Node"):
        await page.wait_text(text)
    await check(page)


async def test_walking_over_folded_spans_with_the_keyboard_comes_to_an_end(
    client: Client, page: Page
) -> None:
    """The UI looks spans of links up by their ID alone: with one that is also in this trace it would walk for ever."""
    await page.open(address(client, DEMO))
    await page.wait_text("default/demo-1-a")
    rows = "document.querySelectorAll('.span-row').length"
    before = await page.value(rows)
    await page.value("[...document.querySelectorAll('.SpanTreeOffset.is-parent')].at(-1).click()")
    await page.wait(f"{rows} < {before}", "fewer spans")
    for letter in "ffbf":
        for kind, text in (("keyDown", letter), ("keyUp", "")):
            key: dict[str, Any] = {
                "code": f"Key{letter.upper()}",
                "windowsVirtualKeyCode": ord(letter.upper()),
            }
            await page.call("Input.dispatchKeyEvent", type=kind, key=letter, text=text, **key)
    assert await page.value("1 + 1") == 2
    await check(page)
