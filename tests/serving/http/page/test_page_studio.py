"""The blend studio in a real Chromium, by mouse and by keyboard."""

from __future__ import annotations

import json
from collections import Counter
from statistics import median

import pytest
import yaml
from playwright.sync_api import Browser, Page, Route, expect

from crosstower.recipe.blend import Blend, Diversity

from . import browsing
from .browsing import (
    BLENDED,
    expect_order,
    ids,
    open_page,
    recommended,
    set_weight,
    tab,
)
from .fake_server import FakeBundle

pytestmark = pytest.mark.slow

# Fixtures are found by their names in this module.
browser, bundle, url, page = browsing.browser, browsing.bundle, browsing.url, browsing.page


def test_a_slider_changes_the_order_and_reset_brings_it_back(page: Page, url: str) -> None:
    own = recommended(page, url)
    page.locator("#weight-comment").fill("-1.5")
    other = recommended(page, url, {"weights": {"like": 1, "comment": -1.5}})
    assert ids(own["items"]) != ids(other["items"])
    expect_order(page, other)
    ranks = {c["item_id"]: c["rank"] for c in own["stages"]["candidates"]}
    moved = page.locator(f"{BLENDED} .item .move:last-child").all_text_contents()
    for rank, (item, text) in enumerate(zip(other["items"], moved, strict=True), 1):
        by = ranks[item["item_id"]] - rank
        way = "up" if by > 0 else "down"
        assert f"{way} {abs(by)} from" in text if by else "as in" in text
    page.get_by_role("button", name="Reset to bundle").click()
    expect_order(page, own)
    expect(page.get_by_label("Weight of comment as a number")).to_have_value("2")


def test_transform_and_split_are_asked_for(page: Page, url: str) -> None:
    weights = {"like": 1, "comment": 2}
    page.get_by_label("Transform").select_option("probit")
    expect_order(page, recommended(page, url, {"weights": weights, "transform": "probit"}))
    page.get_by_label("Fitted per").select_option("city")
    blend = {"weights": weights, "transform": "probit", "by": "city"}
    response = recommended(page, url, blend)
    expect_order(page, response)
    rows = page.locator(".legend tbody tr")
    cities = Counter(c["type"] for c in response["stages"]["candidates"])
    expect(rows).to_have_count(len(cities))
    first = Counter(c["type"] for c in response["stages"]["candidates"][:10])
    for row in rows.all():
        name, shown, _, share = row.locator("th, td").all_text_contents()
        assert int(shown) == first[name]
        assert int(share.removesuffix(" %")) == pytest.approx(cities[name] / 2, abs=0.51)


def test_charts_tell_the_medians_of_scores_and_predictions(page: Page, url: str) -> None:
    candidates = recommended(page, url)["stages"]["candidates"]
    videos = [c for c in candidates if c["type"] == "video"]
    values = {
        "Blend score": [c["score"] for c in videos],
        "Prediction of like": [c["predictions"]["like"] for c in videos],
        "Prediction of comment": [c["predictions"]["comment"] for c in videos],
    }
    for title, numbers in values.items():
        name = page.get_by_role("img", name=title).get_attribute("aria-label") or ""
        shown = float(name.split("video ")[1].split(",")[0])
        assert shown == pytest.approx(median(numbers), rel=0.01)


def test_histograms_mark_the_first_items_of_each_type(page: Page, url: str) -> None:
    candidates = recommended(page, url)["stages"]["candidates"]
    counts = Counter(c["type"] for c in candidates)
    first = Counter(c["type"] for c in candidates if c["rank"] <= 10)
    for kind, number in counts.items():
        row = page.locator("figure[data-plot=score] g", has_text=kind)
        heights = "rects => rects.reduce((sum, r) => sum + r.height.baseVal.value, 0)"
        whole = row.locator("rect:not(.first)").evaluate_all(heights)
        marked = row.locator("rect.first").evaluate_all(heights)
        assert marked / whole == pytest.approx(first[kind] / number, abs=1e-6)


def test_only_the_newest_response_is_drawn(page: Page, url: str) -> None:
    held = list[Route]()

    def hold(route: Route) -> None:
        held.append(route) if not held else route.continue_()

    page.route("**/v1/recommend", hold)
    set_weight(page, "like", 5)
    with page.expect_event("requestfailed") as failed:  # the first one is called off
        expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
        set_weight(page, "like", -1)
    assert json.loads(failed.value.post_data or "")["blend"]["weights"]["like"] == 5
    last = recommended(page, url, {"weights": {"like": -1, "comment": 2}})
    expect_order(page, last)
    assert len(held) == 1


def test_a_refused_blend_is_told_at_the_studio_and_the_order_stays(page: Page, url: str) -> None:
    set_weight(page, "comment", 0)
    before = recommended(page, url, {"weights": {"like": 1}})
    expect_order(page, before)
    set_weight(page, "like", 0)
    expect(page.locator("#studio-problem")).to_contain_text("at least one weight must not be 0")
    expect_order(page, before)
    set_weight(page, "comment", 1)
    expect_order(page, recommended(page, url, {"weights": {"comment": 1}}))
    expect(page.locator("#studio-problem")).to_be_empty()


def test_the_copied_blend_is_a_recipes_section(browser: Browser, url: str) -> None:
    with tab(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        open_page(page, url)
        set_weight(page, "comment", 0.35)
        page.get_by_label("Transform").select_option("percentile")
        page.get_by_label("Fitted per").select_option("content_type")
        page.get_by_role("button", name="Copy YAML").click()
        expect(page.get_by_text("Copied.")).to_be_visible()
        text = page.evaluate("navigator.clipboard.readText()")
    blend = Blend.model_validate(yaml.safe_load(text)["blend"])
    assert blend.weights == {"like": 1, "comment": 0.35}
    assert (blend.transform, blend.by) == ("percentile", "content_type")
    assert blend.diversity == Diversity(by="city", caps={"Paris": 2})


def test_the_keyboard_moves_a_slider_and_opens_an_item(page: Page, url: str) -> None:
    focused = "document.activeElement.id"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "weight-like":
            break
    assert page.evaluate(focused) == "weight-like"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect_order(page, recommended(page, url, {"weights": {"like": 2, "comment": 2}}))
    assert page.evaluate(focused) == "weight-like"
    item = page.locator(f"{BLENDED} .item").nth(2)
    item.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Prediction of like")
    page.keyboard.press("Escape")
    expect(item).to_be_focused()


def test_a_product_of_predictions_is_no_start_for_sums(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    bundle.blend = {"weights": {"comment": 1.5}, "transform": "identity", "by": None}
    bundle.blend |= {"mode": "product", "amount": "price"}
    with tab(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        open_page(page, url)
        expect(page.locator("#studio-note")).to_contain_text("multiplies (mode: product)")
        page.get_by_role("button", name="Copy YAML").click()
        expect(page.get_by_text("Copied.")).to_be_visible()
        text = page.evaluate("navigator.clipboard.readText()")
        assert Blend.model_validate(yaml.safe_load(text)["blend"]) == Blend(**bundle.blend)
        expect(page.get_by_label("Weight of like as a number")).to_have_value("1")
        page.get_by_label("Transform").select_option("logit")
        expect_order(page, recommended(page, url, {"weights": {"like": 1}, "transform": "logit"}))
