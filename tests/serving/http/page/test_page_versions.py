"""The versions of the bundle on the page, in Chromium, by keyboard."""

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from . import browsing
from .browsing import open_page, tab
from .fake_loop import HOSTILE
from .fake_server import FakeBundle

pytestmark = pytest.mark.slow

browser, bundle, url, page = browsing.browser, browsing.bundle, browsing.url, browsing.page


def show(page: Page, name: str) -> Locator:
    """Open a view by keyboard, and return it."""
    page.get_by_role("link", name=name).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_focused()
    return page.locator(f"#{name.lower()}")


def card(view: Locator, number: int) -> Locator:
    return view.get_by_role("article", name=f"Version {number}")


def test_versions_show_what_is_live_and_why_one_was_refused(page: Page) -> None:
    view = show(page, "Versions")
    expect(page.locator("#recommendations")).to_be_hidden()
    expect(page.get_by_role("link", name="Versions")).to_have_attribute("aria-current", "page")
    expect(view.locator("#versions-note")).to_have_text(
        "Version 1 is live since 2026-11-28 21:10 UTC."
    )
    expect(card(view, 1).locator(".badge")).to_have_text(["published", "live"])
    expect(card(view, 1)).to_contain_text("rows12,345")
    expect(card(view, 1)).to_contain_text("2 rows had no label.")
    refused = card(view, 2)
    expect(refused.locator(".badge")).to_have_text(["rejected by the gate"])
    expect(refused.locator(".reasons")).to_contain_text(f"the AUC of {HOSTILE} is worse")
    title = "Compared with the bundle that was live, on 2,000 rows of 180 users"
    gain = refused.get_by_role("table", name=title)
    expect(gain.get_by_role("row").nth(1)).to_have_text(
        "likeauc0.7010.7120.01100.0040 to 0.0180passed"
    )
    expect(gain.get_by_role("row").nth(2)).to_contain_text("not passed")
    calibration = refused.get_by_role("table", name="Calibration")
    expect(calibration.get_by_role("row").nth(1)).to_have_text("like1.020.9700.800 to 1.25passed")
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 0


def test_a_rollback_is_a_command_for_versions_that_can_be_served(page: Page) -> None:
    view = show(page, "Versions")
    base = card(view, 0)
    base.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(base.locator("pre")).to_have_text("crosstower rollback BUNDLE --state DIR --to 0")
    for number in (1, 2):  # live, and removed
        expect(card(view, number).locator("details")).to_have_count(0)
    view.locator("summary", has_text="Journal").focus()
    page.keyboard.press("Enter")
    expect(view.get_by_role("table", name="Newest first").get_by_role("row").nth(1)).to_have_text(
        "2026-11-28 21:10 UTC1published"
    )


def test_views_have_addresses_and_the_browser_goes_back(page: Page, url: str) -> None:
    show(page, "Versions")
    show(page, "Experiments")
    page.go_back()
    expect(page.locator("#versions")).to_be_visible()
    page.go_back()
    expect(page.locator("#columns .item").first).to_be_visible()
    page.goto(f"{url}#versions")
    page.reload()
    expect(page.locator("#versions .card").first).to_be_visible()
    page.get_by_role("link", name="Skip to the content").press("Enter")
    expect(page.locator("#main")).to_be_focused()
    expect(page.locator("#versions")).to_be_visible()


def test_a_problem_is_shown_and_goes_when_the_versions_can_be_read(
    page: Page, bundle: FakeBundle
) -> None:
    page.route("**/v1/versions", lambda route: route.abort())
    view = show(page, "Versions")
    problem = view.locator("#versions-problem")
    expect(problem).to_contain_text("Cannot reach the server")
    expect(problem).to_have_role("alert")
    page.unroute("**/v1/versions")
    view.get_by_role("button", name="Refresh").focus()
    page.keyboard.press("Enter")
    expect(card(view, 1)).to_be_visible()
    expect(problem).to_be_empty()


def test_all_views_fit_screens_from_a_phone_to_a_wide_one(browser: Browser, url: str) -> None:
    for width in (390, 760, 1600):
        with tab(browser, viewport={"width": width, "height": 844}) as page:
            page.goto(url)
            expect(page.locator("#columns .item:visible").first).to_be_visible()
            for name in ("Versions", "Experiments"):
                view = show(page, name)
                expect(view.locator("table").first).to_be_visible()
                for summary in view.locator("summary").all():
                    summary.click()
                assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_a_hidden_view_is_drawn_for_the_width_that_it_has_later(page: Page) -> None:
    show(page, "Versions")
    page.set_viewport_size({"width": 1000, "height": 800})
    page.wait_for_timeout(200)
    page.get_by_role("link", name="Recommendations").click()
    page.wait_for_function(
        """() => {
          const drawing = document.querySelector(".plot svg");
          const width = drawing?.parentElement.clientWidth;
          return width > 100 && drawing.getAttribute("width") === `${width}`;
        }"""
    )


def test_the_page_opens_in_a_dark_theme_with_legible_badges(browser: Browser, url: str) -> None:
    with tab(browser, color_scheme="dark") as page:
        open_page(page, url)
        view = show(page, "Versions")
        colours = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        for badge in view.locator(".badge:is(.live, .refused)").all():
            assert browsing.contrast(*badge.evaluate(colours)) >= 4.5
