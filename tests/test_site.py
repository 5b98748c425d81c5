"""The site builds without warnings, has every page and every name, and can be searched and read."""

import json
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import crosstower

from .fixtures.made_once import made_once
from .serving.http.page.browsing import browser, tab
from .test_public_names import FACES

pytestmark = pytest.mark.slow

__all__ = ["browser"]

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this version."""

    def build(folder: Path) -> None:
        command = [sys.executable, str(ROOT / "docs/site/build.py"), "--out", str(folder)]
        subprocess.run(command, check=True, capture_output=True, text=True)

    return made_once(tmp_path_factory, "site", build) / crosstower.__version__


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """The address of the site's root on a server, since the search fetches pages."""
    handler = partial(QuietHandler, directory=str(site.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Links(HTMLParser):
    """The targets of a page's links, and the anchors that it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links, self.anchors = set[str](), set[str]()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a" and (link := found.get("href")):
            self.links.add(link)
        if name := found.get("id"):
            self.anchors.add(name)


def test_every_page_of_the_documentation_is_in_the_navigation(site: Path) -> None:
    links = Links(site / "index.html").links
    pages = {p.stem for p in (ROOT / "docs").glob("*.md")} - {"api"}  # which the reference replaces
    pages |= {f"notebooks/{p.stem}" for p in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    pages |= {"commands", "gallery", "leaderboard", "changelog", "contributing", "reference/index"}
    assert {f"{page}.html" for page in pages} <= links


def test_every_public_name_has_an_entry(site: Path) -> None:
    *_, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)  # four lines of a header
    found = {line.split(" ")[0] for line in zlib.decompress(packed).decode().splitlines()}
    modules = {"losses", "metrics", "models", "nn", "retrieval", "worlds"}
    names = {f"{face}.{name}" for face, names in FACES.items() for name in names.split()}
    assert names - {f"crosstower.{module}" for module in modules} <= found


def test_links_within_the_site_lead_somewhere(site: Path) -> None:
    pages = {p: Links(p) for p in site.rglob("*.html") if p.parent.name != "_static"}
    broken = []
    for page, links in pages.items():
        for link in links.links:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", path):
                continue
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in pages[target].anchors):
                broken.append((page.name, link))
    assert broken == []


def test_language_models_find_an_index_whose_pages_exist(site: Path) -> None:
    text = (site / "llms.txt").read_text(encoding="utf-8")
    title, _, summary, *_ = text.split("\n")
    assert title == "# Crosstower"
    assert summary.startswith("> Crosstower trains, evaluates and serves")
    pages = re.findall(r"^- \[.+?\]\((.+?)\): \S", text, re.M)
    assert len(pages) > 20
    assert all((site / page).is_file() for page in pages)


def test_the_versions_are_listed_newest_first(site: Path) -> None:
    assert json.loads((site.parent / "versions.json").read_text()) == [crosstower.__version__]
    assert f"url={site.name}/index.html" in (site.parent / "index.html").read_text()


def test_the_search_finds_a_term_and_a_name(address: str, browser: Browser) -> None:
    name = "crosstower.LeaveLastOutSplit"
    for words, page in (("early stopping", "Training"), ("LeaveLastOutSplit", name)):
        with tab(browser) as found:
            found.goto(f"{address}/{crosstower.__version__}/search.html?q={words}")
            found.get_by_text("Search finished").wait_for()  # results come one by one
            assert page in found.locator("ul.search li a").all_inner_texts()


def test_a_question_is_answered_by_the_first_results(address: str, browser: Browser) -> None:
    asked = {
        "how do I weight a task?": "Multi-task models",
        "how do new items get served?": "Serving",
        "how do I call the server from Python?": "Clients",
        "how do I call the server from TypeScript?": "Requests in curl and TypeScript",
    }
    with tab(browser) as found:
        for question, page in asked.items():
            found.goto(f"{address}/{crosstower.__version__}/search.html?q={question}")
            found.get_by_text("Search finished").wait_for()
            assert page in found.locator("ul.search li a").all_inner_texts()[:2], question


def test_the_root_leads_to_the_newest_version_and_a_list_to_the_others(
    site: Path, address: str, browser: Browser
) -> None:
    with tab(browser) as page:
        page.route("**/versions.json", lambda route: route.fulfill(json=[site.name, "0.0.1"]))
        page.goto(address)
        page.wait_for_url(f"**/{site.name}/index.html")
        versions = page.get_by_label("Version")
        expect(versions.locator("option")).to_have_text([site.name, "0.0.1"])  # once loaded
        assert versions.input_value() == site.name


NARROW = ["index", "benchmarks", "commands", "leaderboard", "reference/columns", "requests"]


@pytest.mark.parametrize("page", [*NARROW, "notebooks/watch_next"])
def test_no_page_scrolls_sideways_on_a_phone(site: Path, browser: Browser, page: str) -> None:
    with tab(browser, viewport={"width": 390, "height": 800}) as phone:
        phone.goto(f"{site.as_uri()}/{page}.html")
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
