"""The page on the real server: it shows the response of the bundle."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from crosstower.funnel.online.blends import Override
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

from ... import processes
from . import browsing
from .browsing import BLENDED, open_page, set_weight, tab

pytestmark = pytest.mark.slow

browser = browsing.browser


@pytest.fixture(scope="module")
def url(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state: Path = tmp_path_factory.mktemp("server") / "state"
    with processes.serving(bundle.folder, state) as server:
        yield f"{server.url}/"


def test_the_studio_orders_by_the_bundles_own_scores(
    browser: Browser, url: str, bundle: Bundle
) -> None:
    live = Live.open(bundle).needs_funnel
    troubles: list[str] = []
    with tab(browser, viewport={"width": 1280, "height": 800}) as page:
        page.on("console", lambda message: troubles.append(message.text))
        open_page(page, url)
        user = page.locator("#user").input_value()

        def expected(blend: Override | None) -> list[str]:
            found = live.recommend(FunnelRequest(user=user, k=10, blend=blend))
            return [str(i) for i in live.catalogue.items.ids(found.places[:10])]

        shown = page.locator(f"{BLENDED} .item b")
        first = expected(None)
        expect(shown).to_have_text(first)
        set_weight(page, "booking", 0)
        moved = expected(Override({"click": 1.0, "booking": 0.0}))
        assert moved != first
        expect(shown).to_have_text(moved)
        page.get_by_label("Fitted per").select_option("city")
        page.get_by_label("Transform").select_option("probit")
        by_type = expected(Override({"click": 1.0, "booking": 0.0}, "probit", "city"))
        assert by_type != moved
        expect(shown).to_have_text(by_type)
    assert troubles == []


def test_the_versions_view_shows_the_bundle_of_the_command_line(
    browser: Browser, url: str, bundle: Bundle
) -> None:
    with tab(browser, viewport={"width": 1280, "height": 800}) as page:
        page.goto(f"{url}#versions")
        card = page.get_by_role("article", name="Version 0")
        expect(card.locator(".badge")).to_have_text(["bundle of the command line", "live"])
        expect(card).to_contain_text(bundle.version)
        expect(page.locator("#versions-note")).to_contain_text("Version 0 is live")
        expect(card.locator("details")).to_have_count(0)
