"""The page in a real Chromium, as a person uses it: users, filters, search, items, screens."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from . import browsing
from .browsing import (
    BLENDED,
    contrast,
    expect_order,
    ids,
    open_page,
    post,
    recommended,
    set_weight,
    tab,
)
from .fake_items import CRUEL_NAME, LARGE_ID
from .fake_server import FakeBundle

pytestmark = pytest.mark.slow

# Fixtures are found by their names in this module.
browser, bundle, url, page = browsing.browser, browsing.bundle, browsing.url, browsing.page

PHONE = {"width": 390, "height": 844}


def test_the_page_loads_from_its_own_host_alone_and_without_errors(
    browser: Browser, url: str
) -> None:
    hosts, troubles = set[str](), list[str]()
    with tab(browser) as page:
        page.on("request", lambda r: hosts.add(urlsplit(r.url).netloc))
        page.on("console", lambda message: troubles.append(message.text))
        open_page(page, url)
        set_weight(page, "like", 3)
        expect(page.locator("#studio-note")).to_contain_text("Compared with the bundle's blend")
        page.locator(f"{BLENDED} .item").first.click()
        expect(page.get_by_role("dialog").locator(".item").first).to_be_visible()
        assert troubles == []
        assert hosts - {""} == {urlsplit(url).netloc}


def test_each_stage_is_in_its_own_order(page: Page, url: str) -> None:
    response = recommended(page, url)
    for stage, rank in (("retrieved", "retrieval_rank"), ("ranked", "ranked_rank")):
        first = sorted(response["stages"]["candidates"], key=lambda c: c[rank])[:10]
        shown = page.locator(f".column[data-stage={stage}] .item b")
        expect(shown).to_have_text(ids(first))
        expect(page.locator(f".column[data-stage={stage}] .attributes").last).not_to_be_empty()
    expect_order(page, response)
    one = response["stages"]["candidates"][0]
    by = one["ranked_rank"] - one["rank"]
    expect(page.locator(f"{BLENDED} .move").first).to_contain_text(f"up {by} from the stage before")
    expect(page.locator("#latency")).to_contain_text("retrieve1.2 ms")


def test_another_user_and_a_filter(page: Page, url: str) -> None:
    page.get_by_label("Sample users").select_option("u7")
    expect_order(page, post(url, "recommend", user="u7", k=10))
    page.get_by_label("Filter").fill('city == "Oslo"')
    page.get_by_role("button", name="Recommend").click()
    expect_order(page, post(url, "recommend", user="u7", k=10, where='city == "Oslo"'))
    page.get_by_label("Filter").fill("price < 0")
    page.keyboard.press("Enter")
    expect(page.locator("#columns")).to_have_text("No item matches the filter price < 0")
    page.get_by_label("Filter").fill("")
    page.get_by_label("User (user_id)").fill("")
    page.keyboard.press("Enter")
    expect(page.get_by_text("these are the most popular items")).to_be_visible()


def test_a_column_of_the_query_is_asked_with_and_without_a_value(page: Page, url: str) -> None:
    expect(page.locator("#query-user_id")).to_have_count(0)  # the user has a field already
    for typed, sent in (("home", "home"), ("", None)):
        with page.expect_request("**/v1/recommend") as sent_request:
            page.get_by_label("context").fill(typed)
            page.keyboard.press("Tab")
        assert sent_request.value.post_data_json["query"] == {"context": sent}


def test_a_wrong_filter_is_told_beside_it_and_the_page_works_on(page: Page, url: str) -> None:
    page.get_by_label("Filter").fill("prize < 100")
    page.get_by_role("button", name="Recommend").click()
    problem = page.locator("#request-problem")
    expect(problem).to_contain_text("no column 'prize'; did you mean 'price'?")
    expect(problem).to_have_role("alert")
    set_weight(page, "like", 4)
    expect_order(page, recommended(page, url, {"weights": {"like": 4, "comment": 2}}))
    page.get_by_label("Filter").fill("price < 100")
    page.get_by_role("button", name="Recommend").click()
    expect(problem).to_be_empty()


def test_search_and_the_way_back_from_an_item(page: Page, url: str) -> None:
    page.get_by_role("searchbox").fill("harbour sunrise")
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog")
    found = post(url, "search", text="harbour sunrise", k=10)["items"]
    expect(drawer.locator(".item b")).to_have_text(ids(found))
    drawer.locator(".item").first.click()
    expect(drawer.get_by_role("heading", name=f"Item {found[0]['item_id']}")).to_be_focused()
    drawer.get_by_role("button", name="Back").click()
    expect(drawer.locator(".item b")).to_have_text(ids(found))
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_an_item_shows_the_counts_that_the_ranker_read(page: Page) -> None:
    page.locator(f"{BLENDED} .item").first.press("Enter")
    section = page.get_by_role("dialog").locator("section", has_text="Counts of events")
    expect(section.get_by_role("row")).to_have_text(["clicks1,200", "ctr3 of 40"])
    page.keyboard.press("Escape")
    shown = page.locator(f"{BLENDED} .item b").all_inner_texts()
    other = page.locator(".column[data-stage=retrieved] .item")
    place = next(
        i for i, text in enumerate(other.locator("b").all_inner_texts()) if text not in shown
    )
    other.nth(place).press("Enter")
    expect(page.get_by_role("dialog").locator("section", has_text="Scores")).to_be_visible()
    expect(section).to_have_count(0)  # only shown items have them


def test_items_show_the_sources_that_found_them(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    bundle.has_sources = True
    with tab(browser, viewport={"width": 1280, "height": 800}) as page:
        open_page(page, url)
        column = page.locator(".column[data-stage=retrieved]")
        expect(column.locator(".keys")).to_contain_text("by ranks in the sources")
        lines = column.locator(".item .attributes")
        expect(lines.nth(0)).to_have_text("two_tower · popular")
        expect(lines.nth(1)).to_have_text("added by rules")
        expect(lines.nth(2)).to_have_text("two_tower")
        column.locator(".item").first.press("Enter")
        section = page.get_by_role("dialog").locator("section", has_text="Sources that found it")
        rows = section.locator("tbody").get_by_role("row")
        expect(rows).to_have_text([re.compile(r"^two_tower1[0-9.]+$"), "popular21,234"])
        page.keyboard.press("Escape")
        column.locator(".item").nth(1).press("Enter")
        expect(page.get_by_role("dialog").locator("section", has_text="Scores")).to_be_visible()
        expect(section).to_have_count(0)


def test_names_are_text_and_large_ids_exact(page: Page) -> None:
    row = page.locator(".column[data-stage=retrieved] .item", has_text=str(LARGE_ID))
    expect(row).to_contain_text(CRUEL_NAME)
    with page.expect_request("**/v1/similar") as sent_request:
        row.click()
    assert json.loads(sent_request.value.post_data or "")["item"] == LARGE_ID
    expect(page.get_by_role("dialog")).to_contain_text(CRUEL_NAME)
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 0


def test_a_phone_shows_one_stage_at_a_time_and_never_scrolls_sideways(
    browser: Browser, url: str
) -> None:
    with tab(browser, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        open_page(page, url)
        wide = "document.documentElement.scrollWidth > innerWidth"
        expect(page.locator(".column:visible")).to_have_count(1)
        page.locator("label", has_text="Retrieved").tap()
        expect(page.locator(".column:visible")).to_have_attribute("data-stage", "retrieved")
        page.locator("#request-card summary").first.tap()
        page.get_by_text("Attributes and operators").tap()
        set_weight(page, "like", 3)
        expect(page.locator("#studio-note")).to_contain_text("Compared")
        assert not page.evaluate(wide)
        page.locator(".column:visible .item").first.tap()
        expect(page.get_by_role("dialog").locator(".item").first).to_be_visible()
        assert not page.evaluate(wide)


def test_an_id_of_many_characters_does_not_widen_a_narrow_page(browser: Browser, url: str) -> None:
    with tab(browser, viewport=PHONE) as page:
        open_page(page, url)
        page.locator("#request-card summary").first.click()
        page.locator("#user").fill("x" * 512)
        page.locator("#user").press("Enter")
        expect(page.locator("#request-summary")).to_contain_text("x" * 512)
        for view in ("Recommendations", "Experiments"):
            page.get_by_role("link", name=view, exact=True).click()
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_dark_and_light_differ_and_both_can_be_read(browser: Browser, url: str) -> None:
    pick = """selector => {
      const style = getComputedStyle(document.querySelector(selector));
      return [style.color, style.backgroundColor, style.fill];
    }"""
    seen = {}
    for scheme in ("light", "dark"):
        with tab(browser, color_scheme=scheme) as page:
            open_page(page, url)
            panel = page.evaluate(pick, ".card")[1]
            inks = [page.evaluate(pick, s)[0] for s in (".card", ".attributes", ".move.up")]
            fills = [page.evaluate(pick, f"rect.colour-{n}")[2] for n in range(3)]
            assert all(contrast(ink, panel) >= 4.5 for ink in inks)
            assert all(contrast(fill, panel) >= 3 for fill in fills)
            seen[scheme] = panel, inks, fills
    assert seen["light"][0] != seen["dark"][0]


def test_a_token_is_asked_for_and_kept_out_of_the_address(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    bundle.token = "let-me-in"
    with tab(browser) as page:
        addresses = list[str]()
        page.on("request", lambda r: addresses.append(r.url))
        page.goto(url)
        for token in ("wrong", bundle.token):
            page.get_by_role("textbox", name="Token").fill(token)
            page.get_by_role("button", name="Use token").click()
            if token == "wrong":
                expect(page.locator("#token-problem")).to_contain_text("was not accepted")
        expect(page.locator(f"{BLENDED} .item")).to_have_count(10)
        page.reload()
        expect(page.locator(f"{BLENDED} .item")).to_have_count(10)
        assert not any(bundle.token in address for address in [*addresses, page.url])


def test_an_address_fills_the_form(browser: Browser, bundle: FakeBundle, url: str) -> None:
    with tab(browser) as page:
        page.goto(f"{url}?user=u7&k=3&where=price+%3C+100&unknown=1#recommendations")
        shown = page.locator(f"{BLENDED} .item b")
        expect(shown).to_have_count(3)
        for name, value in {"user": "u7", "k": "3", "where": "price < 100"}.items():
            expect(page.locator(f"#{name}")).to_have_value(value)
        asked = {"user": "u7", "query": {}, "k": 3, "where": "price < 100"}
        expect(shown).to_have_text(ids(post(url, "recommend", **asked)["items"]))


def test_an_address_that_the_server_refuses_is_told(browser: Browser, url: str) -> None:
    with tab(browser) as page:
        page.goto(f"{url}?where=%3Cb%3E")
        expect(page.locator("#request-problem")).to_contain_text("filter '<b>': invalid syntax")


def test_another_version_is_told(page: Page, bundle: FakeBundle) -> None:
    bundle.version = "000000000002"
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#notice")).to_contain_text("now serves version 000000000002; reload")


def test_a_bundle_that_only_ranks_asks_for_items(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    bundle.stages, bundle.blend = ["rank"], None
    with tab(browser) as page:
        page.goto(url)
        expect(page.locator("#columns")).to_contain_text("Enter the items or rows to rank")
        page.get_by_label("Item ids to rank").fill("5, 6\n7 99999")
        page.get_by_role("button", name="Recommend").click()
        response = post(url, "rank", user="u1", items=[5, 6, 7], k=10)
        shown = page.locator(".column[data-stage=ranked] .item b")
        expect(shown).to_have_text(ids(response["items"]))
        expect(page.locator("#notice")).to_contain_text("Unknown items: 99999.")
        expect(page.locator("#studio-note")).to_contain_text("The bundle has no blend")
        set_weight(page, "comment", 3)
        blend = {"weights": {"like": 1, "comment": 3}}
        expect_order(page, post(url, "rank", user="u1", items=[5, 6, 7], k=10, blend=blend))


def test_a_bundle_without_items_asks_for_whole_rows(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    bundle.stages, bundle.items = ["rank"], bundle.items.clear()
    sent = list[Any]()
    with tab(browser) as page:
        page.route("**/v1/rank", lambda r: (sent.append(r.request.post_data_json), r.abort()))
        page.goto(url)
        page.get_by_label("Rows to rank").fill('[{"city": "Oslo"')
        page.get_by_role("button", name="Recommend").click()
        expect(page.locator("#request-problem")).to_contain_text("The rows are not JSON")
        assert sent == []
        page.get_by_label("Rows to rank").fill('[{"city": "Oslo"}, {"city": null}]')
        page.get_by_role("button", name="Recommend").click()
        expect(page.locator("#request-problem")).to_contain_text("Cannot reach the server")
    assert sent[-1]["rows"] == [{"city": "Oslo"}, {"city": None}]


def test_a_bundle_that_only_retrieves_has_no_studio(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    bundle.stages = ["retrieve"]
    with tab(browser) as page:
        page.goto(url)
        expect(page.locator(".column[data-stage=retrieved] .item")).to_have_count(10)
        expect(page.locator(".column")).to_have_count(1)
        expect(page.locator("#studio")).to_be_hidden()
        page.locator(".item").first.click()
        expect(page.get_by_role("dialog")).not_to_contain_text("Prediction")


def test_a_server_that_is_gone_is_told_in_words(page: Page) -> None:
    page.route("**/v1/recommend", lambda route: route.abort())
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#request-problem")).to_contain_text("Cannot reach the server")
    expect(page.locator(f"{BLENDED} .item")).to_have_count(10)
