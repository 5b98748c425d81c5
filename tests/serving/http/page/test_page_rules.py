"""The rules editor of the page on the real server, in Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from crosstower.serving.bundle import Bundle

from ... import processes
from . import browsing
from .browsing import BLENDED, open_page, post, tab

pytestmark = pytest.mark.slow

browser = browsing.browser
RULED = ".column[data-stage=ruled]"


@pytest.fixture(scope="module")
def url(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state: Path = tmp_path_factory.mktemp("server") / "state"
    with processes.serving(bundle.folder, state) as server:
        yield f"{server.url}/"


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with tab(browser, viewport={"width": 1400, "height": 900}) as page:
        open_page(page, url)
        yield page


def write(page: Page, text: str) -> None:
    """Open the editor and type rules, by keyboard alone."""
    if not page.locator("#rules-text").is_visible():
        page.locator("#rules summary").first.focus()
        page.keyboard.press("Enter")
    page.get_by_label("Rules of this request").focus()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.type(text)


def test_rules_reorder_the_list_live_and_say_what_they_moved(page: Page, url: str) -> None:
    user = page.locator("#user").input_value()
    last = post(url, "recommend", user=int(user), k=50)["items"][-1]["item_id"]
    write(page, f'{{"pin": {{"item": {last}, "at": 1}}, "exclude": "price > 150"}}')
    first = page.locator(f"{RULED} .item").first
    expect(first.locator("b")).to_have_text(str(last))
    expect(first).to_contain_text("pin[0] ▲")
    expect(page.locator(f"{RULED} .item").nth(1)).to_contain_text("pin[0]: down 1.")
    rules = {"pin": {"item": last, "at": 1}, "exclude": "price > 150"}
    wanted = post(url, "recommend", user=int(user), k=10, rules=rules)["items"]
    expect(page.locator(f"{RULED} .item b")).to_have_text([str(i["item_id"]) for i in wanted])
    write(page, "{}")
    expect(page.locator(RULED)).to_have_count(0)
    expect(page.locator(f"{BLENDED} .item")).to_have_count(10)


def test_wrong_rules_are_explained_beside_the_editor_and_the_list_stays(page: Page) -> None:
    problem = page.locator("#rules-problem")
    write(page, '{"exclude": "prise > 150"}')
    expect(problem).to_contain_text("no column 'prise'; did you mean 'price'")
    write(page, '{"exclude": ')
    expect(problem).to_contain_text("The rules are not JSON")
    expect(problem).to_have_role("alert")
    write(page, "[1]")
    expect(problem).to_contain_text("must be an object")
    expect(page.locator(f"{BLENDED} .item")).to_have_count(10)
    write(page, '{"pin": {"item": -5, "at": 1}}')
    expect(problem).to_be_empty()
    expect(page.locator("#notice")).to_contain_text("item -5 is not in the list")


def test_templates_name_columns_of_the_items(page: Page) -> None:
    page.locator("#rules summary").first.click()
    page.get_by_role("button", name="max_per").click()
    text = page.locator("#rules-text")
    expect(text).to_be_focused()
    one = '{\n "max_per": {\n  "column": "city",\n  "most": 1,\n  "within": 3\n }'
    expect(text).to_have_value(f"{one}\n}}")
    expect(page.locator(f"{RULED} .item")).to_have_count(10)
    page.get_by_role("button", name="exclude").click()
    page.get_by_role("button", name="exclude").click()
    two = ' "exclude": [\n  "price > 100",\n  "price > 100"\n ]\n}'
    expect(text).to_have_value(f"{one},\n{two}")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(RULED)).to_have_count(0)
