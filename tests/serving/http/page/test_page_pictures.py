"""Pictures, titles and the taste of a user on the page, in Chromium."""

import polars as pl
import pytest
from playwright.sync_api import Browser, expect

from . import browsing
from .browsing import BLENDED, contrast, open_page, tab
from .fake_items import CRUEL_NAME
from .fake_server import FakeBundle

pytestmark = pytest.mark.slow

browser, bundle, url = browsing.browser, browsing.bundle, browsing.url

ROW, PHONE = f"{BLENDED} .item", {"width": 390, "height": 844}
LAPTOP = {"width": 1280, "height": 800}
ATTACK = "<svg onload='window.broken = true'>"


def draw(bundle: FakeBundle, words: pl.Expr | str) -> None:
    """Give all items of a bundle a picture."""
    picture = pl.lit(words) if isinstance(words, str) else words
    bundle.items = bundle.items.with_columns(picture=picture)


@pytest.mark.parametrize("landscape", ["sea", "mountains", "lake", "countryside", "forest", "city"])
def test_known_words_are_drawn_and_stay_out_of_the_text(
    landscape: str, browser: Browser, bundle: FakeBundle, url: str
) -> None:
    draw(bundle, f"{landscape} cabin evening")
    with tab(browser, viewport=LAPTOP) as page:
        open_page(page, url)
        expect(page.locator(f"{ROW} svg.picture[aria-hidden=true]")).to_have_count(10)
        shapes = page.locator(f"{ROW} svg.picture").first.locator("*")
        assert shapes.count() > 6
        expect(page.locator(f"{ROW} .attributes").first).not_to_contain_text("evening")
        page.locator(ROW).first.press("Enter")
        expect(page.get_by_role("dialog").locator("svg.picture.large")).to_have_count(1)


@pytest.mark.parametrize("words", [ATTACK, "cabin evening", "constructor toString", ""])
def test_other_words_are_not_drawn(
    words: str, browser: Browser, bundle: FakeBundle, url: str
) -> None:
    draw(bundle, words)
    with tab(browser, viewport=LAPTOP) as page:
        open_page(page, url)
        expect(page.locator(ROW)).to_have_count(10)
        assert page.locator("svg.picture, img").count() == 0
        assert page.evaluate("window.broken") is None


def test_the_title_comes_before_the_id_and_numbers_say_of_what(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    with tab(browser, viewport=LAPTOP) as page:
        open_page(page, url)
        row = page.locator(ROW, has_not_text=CRUEL_NAME).first
        place = [row.locator(part).bounding_box() for part in (".title", ".id b")]
        assert place[0]
        assert place[1]
        assert place[0]["x"] < place[1]["x"]
        item = bundle.items.filter(pl.col("item_id") == int(row.locator("b").inner_text()))
        expect(row.locator(".title")).to_have_text(item["title"][0])
        expect(row.locator(".attributes")).to_contain_text(f"price {item['price'][0]:.0f}")
        lines = page.locator(f"{ROW} .attributes").all_inner_texts()
        shown = [int(number) for number in page.locator(f"{ROW} b").all_inner_texts()]
        on_foot = dict(bundle.items.select("item_id", "on_foot").iter_rows())
        assert {on_foot[one] for one in shown} == {0, 1}
        for one, line in zip(shown, lines, strict=True):  # a flag is its name, or nothing
            assert (on_foot[one] == 1) == ("on foot" in line.split(" · ")), line


def test_a_title_has_many_names_and_an_address_is_not_read(browser: Browser, url: str) -> None:
    found = """async () => {
      const { titleOf, attributeText } = await import("/page/titles.js");
      const items = [{ id: 1, movie_title: "Heat", name: "x" }, { movie_title: "Heat" },
        { brand_name: "Acme", product_name: "Anvil" }, { title: 7 }, null];
      const texts = [attributeText("site", "https://a.b/c"), attributeText("n_rooms", 3)];
      return [items.map((item) => titleOf(item) ?? null), ...texts];
    }"""
    with tab(browser) as page:
        page.goto(url)
        assert page.evaluate(found) == [["x", "Heat", "Anvil", None, None], "", "n rooms 3"]


def test_the_taste_of_a_user_is_shown_in_words_and_pictures(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    draw(bundle, "lake villa day")
    with tab(browser, viewport=LAPTOP) as page:
        open_page(page, url)
        taste, pictures = page.locator("#history-taste"), page.locator("#history-pictures svg")
        expect(pictures).to_have_count(5)  # the items of u1
        column = bundle.model()["types"]
        kinds = bundle.items[3:8][column].value_counts(sort=True)
        for kind, count in kinds.head(1).iter_rows():
            expect(taste).to_contain_text(f"{kind} {20 * count} %")
        colours = (
            "e => [getComputedStyle(e).color, getComputedStyle(e.closest('.card')).backgroundColor]"
        )
        assert contrast(*taste.evaluate(colours)) >= 4.5
        page.get_by_label("User (user_id)").fill("")
        page.keyboard.press("Enter")
        expect(taste).to_be_empty()
        expect(pictures).to_have_count(0)


def test_pictures_leave_room_for_titles_on_a_phone(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    draw(bundle, "forest treehouse morning")
    with tab(browser, viewport=PHONE) as page:
        open_page(page, url)
        title = page.locator(f"{ROW} .title").nth(1).bounding_box()
        assert title
        assert title["width"] > 60
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
