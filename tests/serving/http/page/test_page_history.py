"""The history of a user and what-if clicks on the page, in Chromium, by keyboard."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from crosstower.serving.state.state import State

from ....fixtures.live_films import LiveFilms
from ... import processes
from . import browsing
from .browsing import BLENDED, ids, open_page, post, tab
from .fake_items import CRUEL_NAME
from .fake_loop import HOSTILE
from .fake_server import FakeBundle

pytestmark = pytest.mark.slow

browser, bundle, url, page = browsing.browser, browsing.bundle, browsing.url, browsing.page

NOW, CLICKED = "#what-if .column[data-stage=now]", "#what-if .column[data-stage=clicked]"
WORDS = "#what-if-words"


def press(control: Locator, key: str = "Enter") -> None:
    control.focus()
    control.press(key)


def add(page: Page, place: int, where: str = BLENDED) -> str:
    """Add an item of a list by keyboard; return its id."""
    # A response that comes in between may put another item in this place.
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    found = page.locator(f"{where} li").nth(place).get_attribute("data-id") or ""
    press(page.locator(f'{where} li[data-id="{found}"] .add'))
    return found


def shown(url: str, **body: Any) -> list[str]:
    return ids(post(url, "recommend", k=10, query={"context": None}, **body)["items"])


def test_the_history_shows_training_live_and_waiting_events_as_text(
    page: Page, bundle: FakeBundle
) -> None:
    titles = [bundle.items.row(place, named=True)["title"] for place in range(8)]
    card = page.locator("#history")
    expect(card.locator("#history-summary")).to_have_text("2 from training, 3 live, 2 waiting")
    press(card.locator("summary"))
    live = card.get_by_role("list", name="Live events, newest first")
    expect(live.locator("button")).to_have_text([titles[7], titles[6], titles[5]])
    expect(live).to_contain_text("click · 2026-11-28 20:00 UTC")
    trained = card.get_by_role("list", name="From training, newest first")
    expect(trained.locator("button")).to_have_text([titles[4], titles[3]])
    expect(card).to_contain_text("acts at 2027-01-01 00:00 UTC")
    expect(card).to_contain_text(f"{HOSTILE} (this bundle does not read it)")
    unknown = card.get_by_role("list", name="Events that wait for their item")
    expect(unknown).to_contain_text(f"{HOSTILE} · 2026-11-28 21:10 UTC")
    press(live.locator("button").first)
    expect(page.get_by_role("dialog").get_by_role("heading", name="Item 7")).to_be_focused()
    page.keyboard.press("Escape")
    assert page.evaluate("window.broken") is None


def test_the_history_is_that_of_the_user_and_can_be_refreshed(
    page: Page, bundle: FakeBundle
) -> None:
    summary = page.locator("#history-summary")
    press(page.locator("#history summary"))
    bundle.histories["u1"].append(9)
    press(page.locator("#history").get_by_role("button", name="Refresh"))
    expect(summary).to_have_text("3 from training, 3 live, 2 waiting")
    page.get_by_label("User (user_id)").fill("stranger")
    page.keyboard.press("Enter")
    expect(summary).to_have_text("unknown user")
    expect(page.locator("#history-content")).to_contain_text("no training row, attribute or event")
    expect(page.locator("#history-problem")).to_be_empty()
    page.get_by_label("User (user_id)").fill("")
    page.keyboard.press("Enter")
    expect(summary).to_have_text("no user")


def test_a_history_that_comes_late_does_not_replace_that_of_the_next_user(page: Page) -> None:
    summary, waiting = page.locator("#history-summary"), list[Route]()
    press(page.locator("#history summary"))
    page.route("**/v1/users?id=u1", lambda route: waiting.append(route))  # noqa: PLW0108
    with page.expect_request("**/v1/users?id=u1"):
        press(page.locator("#history").get_by_role("button", name="Refresh"))
    page.get_by_label("User (user_id)").fill("stranger")
    page.keyboard.press("Enter")
    expect(summary).to_have_text("unknown user")
    with page.expect_response("**/v1/users?id=u1"):
        waiting[0].continue_()
    expect(summary).to_have_text("unknown user")
    page.unroute("**/v1/users?id=u1")


def test_clicks_show_the_new_list_beside_the_present_one(page: Page, url: str) -> None:
    now = shown(url, user="u1")
    first = add(page, 2)
    one = shown(url, user="u1", history=[3, 4, 5, 6, 7, int(first)])
    expect(page.locator(f"{CLICKED} .item b")).to_have_text(one)
    expect(page.locator(f"{NOW} .item b")).to_have_text(now)
    expect(page.locator("#what-if")).to_be_focused()
    expect(page.locator("#what-if")).to_contain_text("nothing is stored")
    second = add(page, 0, CLICKED)
    two = shown(url, user="u1", history=[3, 4, 5, 6, 7, int(first), int(second)])
    expect(page.locator(f"{CLICKED} .item b")).to_have_text(two)
    expect(page.locator(f"{CLICKED} .add").first).to_be_focused()
    expect(page.locator(f"{BLENDED} .item b")).to_have_text(two)
    expect(page.locator("#what-if-clicks button")).to_have_text([f"1. {first} ✕", f"2. {second} ✕"])
    expect(page.locator("#what-if-source")).to_have_text(
        "Computed from the 5 items of the user's history and these 2 clicks, without exploration."
    )
    gone, fresh = [i for i in now if i not in two], [i for i in two if i not in now]
    moved = sum(i in now and now.index(i) != two.index(i) for i in two)
    words = f"Of the first 10: {len(fresh)} new, {moved} moved, {len(gone)} gone."
    assert {first, second} <= set(gone)
    expect(page.locator(WORDS)).to_have_text(words)
    expect(page.locator("#status")).to_contain_text(words)
    for item in two:
        before = now.index(item) - two.index(item) if item in now else None
        text = "new" if before is None else "as in" if before == 0 else str(abs(before))
        expect(page.locator(f'{CLICKED} li[data-id="{item}"] .move')).to_contain_text(text)
    for item in now:
        then = str(two.index(item) + 1) if item in two else "gone"
        expect(page.locator(f'{NOW} li[data-id="{item}"] .move')).to_have_text(then)


def test_clicks_can_be_taken_back_one_by_one_and_all_at_once(page: Page, url: str) -> None:
    now = shown(url, user="u1")
    first, second = add(page, 0), add(page, 3)
    expect(page.locator("#what-if-clicks button")).to_have_count(2)
    press(page.get_by_role("button", name=f"Remove click 1, item {first}"))
    alone = shown(url, user="u1", history=[3, 4, 5, 6, 7, int(second)])
    expect(page.locator(f"{CLICKED} .item b")).to_have_text(alone)
    press(page.locator("#what-if").get_by_role("button", name="Reset"))
    expect(page.locator("#what-if")).to_be_hidden()
    expect(page.locator("#funnel")).to_be_focused()
    expect(page.locator(f"{BLENDED} .item b")).to_have_text(now)
    add(page, 1)
    expect(page.locator("#what-if-clicks button")).to_have_count(1)
    page.get_by_label("Sample users").select_option("u7")  # another user has no clicks
    expect(page.locator("#what-if")).to_be_hidden()
    expect(page.locator(f"{BLENDED} .item b")).to_have_text(shown(url, user="u7"))


def test_clicks_of_nobody_and_a_changed_blend_are_compared_too(page: Page, url: str) -> None:
    page.get_by_label("User (user_id)").fill("")
    page.keyboard.press("Enter")
    expect(page.locator("#history-summary")).to_have_text("no user")
    first = add(page, 1)
    expect(page.locator("#what-if-source")).to_contain_text("Computed from no user and this click")
    blend = {"weights": {"like": 4, "comment": 2}, "transform": "identity", "by": None}
    browsing.set_weight(page, "like", 4)
    history = [int(first)]
    expect(page.locator(f"{NOW} .item b")).to_have_text(shown(url, blend=blend))
    expect(page.locator(f"{CLICKED} .item b")).to_have_text(
        shown(url, blend=blend, history=history)
    )


def test_the_page_sends_previews_and_both_lists_of_a_click_as_one_request(page: Page) -> None:
    sent = list[Any]()
    page.on("request", lambda r: "/recommend" in r.url and sent.append(r))
    add(page, 0)
    expect(page.locator(CLICKED)).to_be_visible()
    bodies = [json.loads(request.post_data or "") for request in sent]
    assert [body["explain"] for body in bodies] == [True, True]  # logged nowhere, charged to nobody
    assert [body["explore"] for body in bodies] == [None, None]
    assert ["history" in body for body in bodies] == [False, True]
    names = {request.headers["x-request-id"] for request in sent}
    assert len(names) == 1


def test_a_hostile_title_in_both_lists_stays_text(page: Page) -> None:
    page.locator("#where").fill("price < 30")
    page.keyboard.press("Enter")
    expect(page.locator("#request-problem")).to_be_empty()
    row = page.locator(f"{BLENDED} li", has_text=CRUEL_NAME)
    expect(row).to_have_count(1)
    place = [li.get_attribute("data-id") for li in page.locator(f"{BLENDED} li").all()]
    add(page, 0 if place[0] != row.get_attribute("data-id") else 1)
    for where in (NOW, CLICKED):
        expect(page.locator(where)).to_contain_text(CRUEL_NAME)
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 0


def test_a_phone_shows_both_lists_without_scrolling_sideways(browser: Browser, url: str) -> None:
    with tab(browser, viewport={"width": 390, "height": 844}, is_mobile=True) as page:
        open_page(page, url)
        add(page, 0)
        expect(page.locator(f"{NOW} .item")).to_have_count(10)
        expect(page.locator(f"{CLICKED} .item").first).to_be_in_viewport()
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.fixture(scope="module")
def films(
    live_films: LiveFilms, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The address and the state of a server that logs lists, and whose towers read histories."""
    state = tmp_path_factory.mktemp("server") / "state"
    with processes.serving(live_films.bundle.folder, state, "--log") as server:
        yield f"{server.url}/", state


def test_the_real_server_gives_both_lists_and_stores_nothing(
    browser: Browser, films: tuple[str, Path]
) -> None:
    (url, state), ranked = films, ".column[data-stage=ranked]"
    click = {"type": "click", "user": 3}
    clicks = [click | {"event_id": f"c{i}", "item_id": f"f0{i}"} for i in (3, 6)]
    assert httpx.post(f"{url}v1/events", json={"events": clicks}).json()["stored"] == 2
    with tab(browser, viewport={"width": 1280, "height": 900}) as page:
        page.goto(url)
        page.get_by_label("User (user)").fill("3")
        page.keyboard.press("Enter")
        expect(page.locator("#history-summary")).to_contain_text("2 live")
        user = httpx.get(f"{url}v1/users?id=3").json()
        own = [event["item_id"] for event in user["history"]]
        assert own[-2:] == ["f03", "f06"]
        now = ids(post(url, "recommend", user=3, explain=True)["items"])
        assert ids(post(url, "recommend", user=3, history=own, explain=True)["items"]) == now
        expect(page.locator(f"{ranked} .item b")).to_have_text(now)
        first = add(page, 0, ranked)
        second = add(page, 4, CLICKED)
        history = [*own, first, second]
        then = ids(post(url, "recommend", user=3, history=history, explain=True)["items"])
        expect(page.locator(f"{CLICKED} .item b")).to_have_text(then)
        expect(page.locator(f"{NOW} .item b")).to_have_text(now)
        assert then != now
    assert httpx.get(f"{url}v1/users?id=3").json() == user
    with State.open_existing(state) as stored:
        assert stored.events() == 2
