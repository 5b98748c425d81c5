"""Opening the page: only where a person can see it, and once the server listens."""

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from crosstower.cli.demo import browser
from crosstower.errors import ServeError


def test_a_port_in_use_is_refused_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind((browser.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"port {port}: .*--port N, or give --no-serve"):
            browser.check_can_serve(port)
    browser.check_can_serve(port)


@pytest.mark.parametrize(
    ("environment", "platform", "watched", "expected"),
    [
        ({"DISPLAY": ":0"}, "linux", True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True, True),
        ({}, "darwin", True, True),
        ({}, "linux", True, False),
        ({"DISPLAY": ":0"}, "linux", False, False),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", True, False),
        ({"CI": "1"}, "win32", True, False),
    ],
)
def test_a_browser_opens_only_for_a_person_with_a_display(
    environment: Mapping[str, str], platform: str, watched: bool, expected: bool
) -> None:
    assert browser.has_browser(environment, platform, watched=watched) is expected


def test_the_page_opens_once_the_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(browser.webbrowser, "open", opened.append)
    with socket.socket() as server:
        server.bind((browser.HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        browser._open_page(port)
    assert opened == [f"http://127.0.0.1:{port}/"]


def test_nothing_opens_while_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[Path, str, int]] = []
    monkeypatch.setattr(
        browser, "serve", lambda bundle, *, host, port: served.append((bundle, host, port))
    )
    monkeypatch.setattr(browser, "has_browser", lambda *_, **__: False)
    monkeypatch.setattr(browser, "_open_page", pytest.fail)
    browser.serve_page(Path("bundle"), 8123)
    assert served == [(Path("bundle"), "127.0.0.1", 8123)]
