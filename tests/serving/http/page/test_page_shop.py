"""The shop page: its panels, a click that changes the list, the map, keyboard and phone."""

import re
from collections.abc import Iterator

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from . import browsing
from .browsing import contrast, open_page, tab
from .fake_items import CRUEL_NAME
from .fake_server import FakeBundle, serving
from .fake_shop import SEARCHES, ShopBundle

pytestmark = pytest.mark.slow

browser = browsing.browser
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
CARD = "#shop-list > li"
TEXTS = (".look .title", ".look .attributes", ".look .move", ".acts .quiet", "#shop-changes")
HOURS = {
    "thai at 9 pm": 21, "at 21:30": 21.5, "tonight": 20, "for lunch": 13, "at 1 am": 25,
    "12 am": 24, "12 pm": 12, "breakfast": 9, "7 o'clock": 19, "for 4 people": None,
    "a 10 km walk": None,
}  # fmt: skip
IDS = "rows => rows.map((row) => row.dataset.id)"
COUNT_MOVES = """() => {
  const animate = Element.prototype.animate;
  window.moved = 0;
  Element.prototype.animate = function (...given) {
    window.moved += 1;
    return animate.apply(this, given);
  };
}"""


@pytest.fixture
def bundle() -> ShopBundle:
    return ShopBundle()


@pytest.fixture
def url(bundle: ShopBundle) -> Iterator[str]:
    with serving(bundle) as address:
        yield address


@pytest.fixture
def shop(browser: Browser, url: str) -> Iterator[Page]:
    """The shop of a new visitor."""
    with tab(browser, viewport=LAPTOP) as page:
        open_shop(page, url)
        yield page


def open_shop(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator(CARD)).to_have_count(12, timeout=20_000)


def shown(page: Page) -> list[str]:
    return page.locator(CARD).evaluate_all(IDS)


def test_a_server_without_a_shop_shows_none(browser: Browser) -> None:
    with serving(FakeBundle()) as url, tab(browser, viewport=LAPTOP) as page:
        open_page(page, f"{url}#shop")
        expect(page.locator("#shop-link")).to_be_hidden()
        expect(page.locator("#shop")).to_be_hidden()


def test_a_click_is_an_event_and_the_next_list_shows_what_moved(
    shop: Page, bundle: ShopBundle
) -> None:
    expect(shop.locator(f"{CARD} .title", has_text="<script>")).to_have_count(1)
    assert shop.evaluate("window.broken") is None
    before = shown(shop)
    card = shop.locator(CARD, has_not_text="Paris").nth(2)
    item = card.get_attribute("data-id")
    card.locator(".look").click()
    expect(shop.locator("#shop-changes")).to_contain_text("After your click, ")
    (event,) = bundle.told
    assert (event["type"], str(event["item_id"])) == ("click", item)
    assert event["user"] == bundle.asked[-1]["user"]
    assert event["user"].startswith("visitor-")
    assert (event["request_id"], event["rank"]) == ("r1", before.index(str(item)) + 1)
    moves = shop.locator(f"{CARD} .move")
    expect(moves).to_have_count(12)
    for row, move in zip(shown(shop), moves.all_inner_texts(), strict=True):
        assert ("new" in move) == (row not in before)
    expect(shop.locator("#shop-visitor")).to_contain_text("Clicked: 1")


def test_one_starts_again_as_a_new_visitor_or_as_a_user(shop: Page, bundle: ShopBundle) -> None:
    first = bundle.asked[-1]["user"]
    shop.locator(f"{CARD} .look").first.click()
    expect(shop.locator("#shop-visitor")).to_contain_text("Clicked: 1")
    shop.reload()
    expect(shop.locator(CARD)).to_have_count(12)
    expect(shop.locator("#shop-visitor")).to_contain_text(f"The history of {first} has 1 item.")
    assert bundle.asked[-1]["user"] == first
    shop.get_by_role("button", name="Start again as a new visitor").click()
    expect(shop.locator("#shop-changes")).to_have_text("You are a new visitor.")
    assert bundle.asked[-1]["user"] != first
    expect(shop.locator(f"{CARD}.clicked")).to_have_count(0)
    bundle.histories["u7"] = [3, 4]
    shop.locator("#shop-user").select_option("u7")
    expect(shop.locator("#shop-title")).to_have_text("For u7")
    expect(shop.locator("#shop-visitor")).to_contain_text("The history of u7 has 2 items.")
    assert bundle.asked[-1]["user"] == "u7"


def test_a_token_that_may_write_is_asked_for_and_used(shop: Page, bundle: ShopBundle) -> None:
    bundle.writer = "let-me-write"
    shop.locator(f"{CARD} .look").first.click()
    expect(shop.locator("#token-problem")).to_contain_text("use a token for write")
    shop.get_by_role("textbox", name="Token").fill(bundle.writer)
    shop.get_by_role("button", name="Use token").click()
    expect(shop.locator("#shop-visitor")).to_contain_text("Clicked: 1")
    assert len(bundle.told) == 1


def test_a_search_in_words_reads_the_time_from_the_sentence(shop: Page, bundle: ShopBundle) -> None:
    shop.get_by_role("button", name=SEARCHES[0]).click()
    expect(shop.locator("#shop-title")).to_have_text(f"“{SEARCHES[0]}”")
    expect(shop.get_by_label("Open at")).to_have_value("21")
    assert bundle.asked[-1]["query"] == {"context": None, "wish": SEARCHES[0]}
    assert bundle.asked[-1]["where"] == "opens <= 21 and closes > 21"
    for title in shop.locator(f"{CARD} .title").all_inner_texts():
        assert "market" in title
    shop.get_by_label("Search in words").fill("nothing-like-this")
    shop.keyboard.press("Enter")
    expect(shop.locator("#shop-notice")).to_have_text("Nothing was found: use other words.")
    assert bundle.asked[-1]["where"] is None  # the time went with the question that named it
    shop.get_by_label("Search in words").fill("market at 7 am")
    shop.keyboard.press("Enter")
    expect(shop.get_by_label("Open at")).to_have_value("7")
    shop.get_by_label("Search in words").fill("")
    shop.get_by_label("Open at").select_option("")
    shop.locator("#shop").get_by_label("budget").fill("80")
    shop.keyboard.press("Enter")
    expect(shop.locator("#shop-title")).to_have_text("For you")
    assert bundle.asked[-1]["query"] == {"context": None, "wish": None, "budget": 80}
    assert bundle.asked[-1]["where"] is None
    found = shop.evaluate(
        "async (texts) => { const { hourIn } = await import('/page/shop/offers.js');"
        " return texts.map((text) => hourIn(text)); }",
        list(HOURS),
    )
    assert dict(zip(HOURS, found, strict=True)) == HOURS


def test_the_map_searches_within_a_distance_by_keyboard_and_by_pointer(
    shop: Page, bundle: ShopBundle
) -> None:
    everywhere = len(shop.locator(".map [data-id]").all())
    assert everywhere == 60
    slider = shop.get_by_label("Distance from the centre")
    expect(slider).to_have_attribute("aria-valuetext", "any distance")
    slider.focus()
    shop.keyboard.press("ArrowLeft")
    expect(shop.locator(f"{CARD} .attributes").first).to_contain_text("km away")
    where = re.fullmatch(
        r"distance_km\(latitude, longitude, ([\d.]+), ([\d.]+)\) < ([\d.]+)",
        bundle.asked[-1]["where"],
    )
    assert where
    assert slider.get_attribute("aria-valuetext") == f"{where[3]} km"
    shop.locator(".map").focus()
    with shop.expect_response("**/v1/recommend"):
        shop.keyboard.press("ArrowUp")
    expect(shop.locator(".map")).not_to_have_attribute("aria-label", re.compile(where[1][:5]))
    box = shop.locator(".map").bounding_box()
    assert box
    with shop.expect_response("**/v1/recommend") as response:
        shop.mouse.click(box["x"] + 3, box["y"] + box["height"] - 3)
    best = str(response.value.json()["items"][0]["item_id"])
    expect(shop.locator(CARD).first).to_have_attribute("data-id", best)
    shop.locator(f"{CARD} .look").first.focus()
    lit = shop.locator(".map .spot.on")
    expect(lit).to_have_attribute("data-id", shown(shop)[0])
    shop.locator(".map .spot:not(.small)").last.click()
    expect(shop.locator(CARD).first.locator(".look")).to_be_focused()


def test_a_tall_map_shows_every_item_that_has_a_place(browser: Browser) -> None:
    bundle = ShopBundle()
    has_place = pl.col("item_id") % 2 == 0
    north = pl.when(has_place).then((pl.col("latitude") - 48.86) * 100 - 35)
    bundle.items = bundle.items.with_columns(latitude=north)
    inside = """() => {
      const { width, height } = document.querySelector(".map").viewBox.baseVal;
      return [...document.querySelectorAll(".map .spot circle")].every(
        ({ cx: { baseVal: x }, cy: { baseVal: y } }) =>
          0 < x.value && x.value < width && 0 < y.value && y.value < height);
    }"""
    with serving(bundle) as url, tab(browser, viewport=LAPTOP) as page:
        open_shop(page, url)
        spots, cards = set(page.locator(".map .spot").evaluate_all(IDS)), shown(page)
        assert 0 < len(spots) < 60
        assert page.evaluate(inside)
        near = page.locator(CARD, has=page.get_by_role("button", name="Near here"))
        assert near.evaluate_all(IDS) == [item for item in cards if item in spots]
        page.locator(".map").focus()
        for _ in range(25):  # a step is a twentieth of the map
            page.keyboard.press("ArrowUp")
        centre = page.locator(".map").get_attribute("aria-label") or ""
        latitude = float(re.findall(r"Centre at (-?[\d.]+)", centre)[0])
        assert latitude < max(bundle.items["latitude"].drop_nulls().to_list()) + 5


def test_items_without_any_place_leave_no_map(browser: Browser) -> None:
    bundle = ShopBundle()
    bundle.items = bundle.items.with_columns(latitude=pl.lit(None, pl.Float64))
    with serving(bundle) as url, tab(browser, viewport=LAPTOP) as page:
        open_shop(page, url)
        expect(page.locator("#shop-map")).to_be_hidden()


def test_texts_give_neither_a_map_nor_opening_hours(shop: Page) -> None:
    """A condition on them would be refused."""
    types = {"lat": "String", "lon": "Float64", "opens": "String", "closes": "Int64"}
    offers = shop.evaluate(
        "async (model) => (await import('/page/shop/offers.js')).offersOf(model)",
        {
            "attributes": [
                {"name": name, "type": kind, "flag": False} for name, kind in types.items()
            ],
            "query_columns": [{"name": n, "kind": "categorical"} for n in ("lat", "lon")],
        },
    )
    assert (offers["place"], offers["hours"], offers["origin"]) == (None, None, None)
    assert [field["name"] for field in offers["fields"]] == ["lat", "lon"]


def test_a_double_click_is_one_click(shop: Page, bundle: ShopBundle) -> None:
    shop.locator(f"{CARD} .look").first.dblclick()
    expect(shop.locator("#shop-changes")).to_contain_text("your click")
    assert len(bundle.told) == 1


def test_the_way_back_closes_the_drawer(shop: Page) -> None:
    shop.get_by_role("link", name="Versions").click()
    shop.get_by_role("link", name="Shop").click()
    shop.locator(CARD).first.get_by_role("button", name="Why?").click()
    expect(shop.get_by_role("dialog")).to_be_visible()
    shop.go_back()
    expect(shop.locator("#versions")).to_be_visible()
    expect(shop.get_by_role("dialog")).to_be_hidden()


def test_near_here_moves_the_centre_and_other_events_have_buttons(
    shop: Page, bundle: ShopBundle
) -> None:
    card = shop.locator(CARD, has_not_text=CRUEL_NAME).nth(4)
    item = bundle.items.row(
        by_predicate=pl.col("item_id") == int(card.get_attribute("data-id") or ""), named=True
    )
    card.get_by_role("button", name="Near here").click()
    expect(shop.locator(f"{CARD} .attributes").first).to_contain_text("km away")
    assert f"{item['latitude']:.4f}, {item['longitude']:.4f}" in bundle.asked[-1]["where"]
    shop.locator(CARD).first.get_by_role("button", name="Booking").click()
    expect(shop.locator("#shop-visitor")).to_contain_text("Clicked: 1")
    assert [event["type"] for event in bundle.told] == ["booking"]


def test_why_an_item_is_here_is_said_stage_by_stage(shop: Page, bundle: ShopBundle) -> None:
    shop.locator(CARD).nth(1).get_by_role("button", name="Why?").click()
    reasons = shop.get_by_role("dialog").locator(".reasons-why li")
    expect(reasons).to_contain_text(
        ["Retrieved: place", "Predicted: like", "like + 2 comment: place 2."]
    )
    assert bundle.explained[-1]["user"] == bundle.asked[-1]["user"]
    shop.keyboard.press("Escape")
    expect(shop.get_by_role("button", name="Why?").nth(1)).to_be_focused()
    assert bundle.told == []


def test_the_keyboard_alone_is_enough(shop: Page, bundle: ShopBundle) -> None:
    shop.get_by_label("Search in words").focus()
    for _ in range(12):  # the time, the button, examples
        shop.keyboard.press("Tab")
        if shop.evaluate("document.activeElement.matches('.look')"):
            break
    item = shop.evaluate("document.activeElement.closest('li').dataset.id")
    shop.keyboard.press("Enter")
    expect(shop.locator("#shop-changes")).to_contain_text("your click")
    focused = (
        "document.activeElement.matches('.look') && document.activeElement.closest('li').dataset.id"
    )
    assert shop.evaluate(focused) in shown(shop)
    assert [str(event["item_id"]) for event in bundle.told] == [item]
    shop.get_by_role("button", name="Show more").focus()
    shop.keyboard.press("Enter")
    expect(shop.locator(CARD)).to_have_count(24)
    expect(shop.locator(f"{CARD} .look").nth(12)).to_be_focused()


@pytest.mark.parametrize(
    ("events", "user", "words"),
    [
        ([], "user_id", "history: {column: COLUMN, events: [click]}"),
        (["click"], None, "user: COLUMN"),
    ],
)
def test_without_events_a_click_explains_and_the_page_says_what_is_missing(
    events: list[str], user: str | None, words: str, browser: Browser
) -> None:
    bundle = ShopBundle(live_events=events, user_column=user)
    with serving(bundle) as url, tab(browser, viewport=LAPTOP) as page:
        open_shop(page, url)
        expect(page.locator("#shop-notice")).to_contain_text(words)
        page.locator(f"{CARD} .look").first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert bundle.told == []


def test_a_phone_shows_the_list_soon_and_nothing_is_cut(browser: Browser, url: str) -> None:
    with tab(browser, viewport=PHONE, has_touch=True) as page:
        open_shop(page, url)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        expect(page.locator("#shop-map-content")).to_be_hidden()
        box = page.locator(CARD).first.bounding_box()
        assert box
        assert box["y"] < PHONE["height"]
        cut = "rows => rows.filter((e) => e.scrollWidth > e.clientWidth + 1).length"
        assert page.locator(f"{CARD} .title").evaluate_all(cut) == 0
        heights = page.locator(f"{CARD} button").evaluate_all("b => b.map((e) => e.offsetHeight)")
        assert min(heights) >= 36
        page.locator("#shop-map summary").click()
        expect(page.locator(".map")).to_be_visible()
        page.get_by_label("Search in words").fill("W" * 300)
        page.keyboard.press("Enter")
        expect(page.locator("#shop-notice")).to_contain_text("Nothing was found")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_spots_have_the_contrast_of_wcag_aa(
    scheme: str, browser: Browser, url: str
) -> None:
    pick = "(s, name) => getComputedStyle(document.querySelector(s))[name]"

    with tab(browser, viewport=LAPTOP, color_scheme=scheme) as page:
        open_shop(page, url)
        page.locator(f"{CARD} .look").first.click()
        expect(page.locator("#shop-changes")).to_contain_text("After your click")

        def colour(selector: str, name: str = "color") -> str:
            return page.evaluate(f"([s, name]) => ({pick})(s, name)", [selector, name])

        panel, paper = colour(".card", "backgroundColor"), colour(".map", "backgroundColor")
        for text in TEXTS:
            assert contrast(colour(text), panel) >= 4.5, text
        assert contrast(colour(".look .number"), paper) >= 4.5
        spot = colour(".map .spot:not(.small) circle", "fill")
        assert contrast(colour(".map .spot:not(.small) text", "fill"), spot) >= 4.5
        assert contrast(spot, paper) >= 3
        assert contrast(colour(".map .spot.small circle", "fill"), paper) >= 3
        assert contrast(colour(".map .degrees", "fill"), paper) >= 4.5


def test_cards_glide_unless_less_motion_is_wanted(browser: Browser, url: str) -> None:
    for motion, moves in (("reduce", False), ("no-preference", True)):
        with tab(browser, viewport=LAPTOP, reduced_motion=motion) as page:
            open_shop(page, url)
            page.evaluate(COUNT_MOVES)
            page.locator(f"{CARD} .look").nth(3).click()
            expect(page.locator("#shop-changes")).to_contain_text("After your click")
            assert (page.evaluate("window.moved") > 0) == moves
