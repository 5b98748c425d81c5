"""Experiments and their verdicts on the page, in Chromium, by keyboard."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from crosstower.serving.state.state import State

from ....fixtures.experiment_log import TEXT, events, stored
from ....fixtures.live_films import LiveFilms
from ... import processes
from . import browsing
from .browsing import open_page, tab
from .fake_loop import HOSTILE, MISMATCH
from .fake_server import FakeBundle
from .test_page_versions import show

pytestmark = pytest.mark.slow

browser, bundle, url, page = browsing.browser, browsing.bundle, browsing.url, browsing.page


def cell_texts(table: Locator, row: int) -> list[str]:
    return table.get_by_role("row").nth(row).locator("th, td").all_inner_texts()


def test_verdicts_intervals_and_the_arm_of_the_user(page: Page) -> None:
    card = show(page, "Experiments").get_by_role("article", name="more_likes")
    expect(card.locator(".badge").first).to_have_text("runs since 2026-11-01 00:00 UTC")
    expect(card.locator(".verdicts li")).to_have_text(
        [MISMATCH, f"likes is better than control in {HOSTILE}."]
    )
    expect(card.locator(".verdicts .down")).to_have_text(MISMATCH)
    expect(card).not_to_contain_text("match the declared shares")
    arms = card.get_by_role("table", name="Arms")
    assert cell_texts(arms, 1) == ["control", "50 %", "1,000", "45 %"]
    expect(arms.get_by_role("row").nth(2)).to_contain_text("user u1")
    expect(arms.get_by_role("row").nth(2)).to_contain_text("bundle 0123456789ab")
    lifts = card.get_by_role("table", name="Lift over control")
    assert cell_texts(lifts, 1) == [
        *("clicks", "likes", "7.20", "8.09", "+12.4 %", "+3.1 % to +21.7 %", "better")
    ]
    assert cell_texts(lifts, 2)[4:] == ["−20.0 %", "−30.0 % to −10.0 %", "worse"]
    assert cell_texts(lifts, 3)[4:] == ["–", "–", "too few users"]
    plots = lifts.locator(".interval")
    expect(plots).to_have_count(2)
    expect(plots.nth(0)).to_have_class("interval up")
    zero = float(plots.nth(0).locator(".axis").get_attribute("x1") or "nan")
    low, high = (plots.nth(0).locator(".reach").get_attribute(end) for end in ("x1", "x2"))
    assert zero < float(low or "nan") < float(high or "nan")
    card.locator("summary").focus()
    page.keyboard.press("Enter")
    segments = card.get_by_role("table", name="Lift in clicks over control by segment")
    assert cell_texts(segments, 1)[0] == f"device = {HOSTILE}"
    assert cell_texts(card.get_by_role("table", name="Interleaved lists"), 2) == ["", "likes", "61"]
    expect(card).to_contain_text("Report of 2026-11-28 21:10 UTC, at most a minute old")
    assert page.evaluate("window.broken") is None


def test_an_experiment_that_has_not_begun_has_no_report(page: Page) -> None:
    asked = list[str]()
    page.on("request", lambda r: "/report" in r.url and asked.append(r.url))
    view = show(page, "Experiments")
    later = view.get_by_role("article", name="later")
    expect(later).to_contain_text("starts at 2126-01-01 00:00 UTC")
    expect(later).to_contain_text("There is no report before the start.")
    expect(view.locator(".verdicts")).to_have_count(1)
    assert [re.sub(r".*name=", "", address) for address in asked] == ["more_likes"]


def test_a_token_without_the_scope_is_explained_and_can_be_replaced(
    browser: Browser, bundle: FakeBundle, url: str
) -> None:
    bundle.admin = "an-admin-token"
    with tab(browser) as page:
        open_page(page, url)
        card = show(page, "Experiments").get_by_role("article", name="more_likes")
        expect(card.get_by_role("alert")).to_have_text(
            "this token may not read reports of experiments"
        )
        expect(card.get_by_role("table", name="Arms")).to_be_visible()
        card.get_by_role("button", name="Use another token").focus()
        page.keyboard.press("Enter")
        page.get_by_role("textbox", name="Token").fill(bundle.admin)
        page.keyboard.press("Enter")
        expect(card.locator(".verdicts")).to_be_visible()
        expect(card.get_by_role("alert")).to_have_count(0)


def test_the_real_server_computes_the_report(
    browser: Browser, live_films: LiveFilms, tmp_path: Path
) -> None:
    text = TEXT.replace("{like: 2}", "{liked: 2}").strip().replace("\n", "\n    ")
    (tmp_path / "experiments.yaml").write_text(f"experiments:\n  - {text}\n")
    with State.open(tmp_path / "state") as state:
        state.add_events(stored(events(users=300, lift=1.0)))
    more = ("--experiments", str(tmp_path / "experiments.yaml"))
    with (
        processes.serving(live_films.bundle.folder, tmp_path / "state", *more) as server,
        tab(browser, viewport={"width": 1280, "height": 900}) as page,
    ):
        page.goto(server.url)
        expect(page.locator("#main")).to_be_visible()  # from then on, links are followed
        card = show(page, "Experiments").get_by_role("article", name="likes")
        expect(card.locator(".verdicts")).to_be_visible(timeout=60_000)
        report = httpx.get(f"{server.url}/v1/experiments/report").json()
        assert not report["ratio"]["mismatch"]
        expect(card).to_contain_text("the numbers of users match the declared shares")
        expect(card.locator(".verdicts li")).to_have_text(report["verdicts"])
        arms = card.get_by_role("table", name="Arms")
        for row, (arm, users) in enumerate(report["users"].items(), 1):
            assert cell_texts(arms, row)[0].startswith(arm)
            assert cell_texts(arms, row)[2] == f"{users:,}"


def test_a_server_without_experiments_says_how_to_start_one(page: Page) -> None:
    page.route("**/v1/experiments*", lambda route: route.fulfill(json={"experiments": []}))
    view = show(page, "Experiments")
    expect(view.locator("#experiments-note")).to_contain_text("serve BUNDLE --experiments FILE")
