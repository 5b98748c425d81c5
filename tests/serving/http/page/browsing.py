"""A page in a real Chromium, and what the server would respond to it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from .fake_server import FakeBundle, serving

BLENDED = ".column[data-stage=blended]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        words = f"no browser: looked for {', '.join(names)}; install one: apt install chromium"
        (pytest.fail if "CI" in os.environ else pytest.skip)(words)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def bundle() -> FakeBundle:
    return FakeBundle()


@pytest.fixture
def url(bundle: FakeBundle) -> Iterator[str]:
    """The address of a server, with a slash at its end."""
    with serving(bundle) as address:
        yield address


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page on a laptop, with a response drawn."""
    with tab(browser, viewport={"width": 1280, "height": 800}) as page:
        open_page(page, url)
        yield page


@contextmanager
def tab(browser: Browser, **options: Any) -> Iterator[Page]:
    """Give an empty page of its own context; when it closes, no script may have failed on it."""
    with browser.new_context(**options) as context:
        page, failures = context.new_page(), list[str]()
        page.on("pageerror", lambda error: failures.append(str(error)))
        yield page
        assert failures == []


def open_page(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator(f"{BLENDED} .item")).to_have_count(10, timeout=20_000)


def post(url: str, route: str, **body: Any) -> dict[str, Any]:
    content = json.dumps(body).encode()
    request = Request(f"{url}v1/{route}", content, {"Content-Type": "application/json"})
    with urlopen(request) as response:
        return json.load(response)


def recommended(page: Page, url: str, blend: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the response of the server to a request for the user that the page shows."""
    user = page.locator("#user").input_value()
    return post(url, "recommend", user=user, query={}, k=10, blend=blend, stages=True)


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [str(item["item_id"]) for item in items]


def expect_order(page: Page, response: dict[str, Any]) -> None:
    expect(page.locator(f"{BLENDED} .item b")).to_have_text(ids(response["items"]))


def set_weight(page: Page, task: str, weight: float) -> None:
    page.get_by_label(f"Weight of {task} as a number").fill(str(weight))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours `rgb(r, g, b)` by WCAG 2.2, from 1 to 21."""
    lights = []
    for colour in (one, other):
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return (max(lights) + 0.05) / (min(lights) + 0.05)
