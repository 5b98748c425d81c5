"""`crosstower play` as a user types it."""

from pathlib import Path
from typing import Any

import pytest

from crosstower.cli import serve
from crosstower.cli.demo import browser
from crosstower.cli.play import building, command
from crosstower.serving.bundle import Bundle

from ..command_line import Capture, run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The settings of the servers that were started; none runs."""
    found: list[Any] = []
    monkeypatch.setattr(serve, "run_server", lambda settings, _folder: found.append(settings))
    monkeypatch.setattr(command, "open_when_listening", lambda _port: found.append("browser"))
    monkeypatch.setattr(command, "check_can_serve", lambda _port, otherwise: None)
    return found


def test_the_help_has_examples(capsys: Capture) -> None:
    code, out, _ = run(capsys, "play", "--help")
    assert code == 0
    assert "crosstower play --world restaurants" in " ".join(out.split())


def test_a_given_bundle_is_served_with_a_state_of_its_own(
    bundle: Bundle, here: Path, served: list[Any], capsys: Capture
) -> None:
    code, out, _ = run(capsys, "play", bundle.folder, "--no-browser", "--port", "8123")
    assert code == 0
    (settings,) = served
    assert (settings.bundle, settings.port) == (bundle.folder, 8123)
    assert settings.state == bundle.folder.with_name(f"{bundle.folder.name}.play")
    assert settings.shop is not None
    assert settings.shop.searches == ()
    assert "note: no map: it needs numeric item columns" in out
    run(capsys, "play", bundle.folder, "--state", "clicks")
    assert served[1:2] == ["browser"]
    assert served[2].state == here / "clicks"


def test_the_folder_of_the_shell_is_a_bundle_like_any_other(
    bundle: Bundle, served: list[Any], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle.folder)
    assert run(capsys, "play", ".", "--no-browser")[0] == 0
    assert served[0].state == bundle.folder.with_name(f"{bundle.folder.name}.play")


def test_a_shop_is_trained_once_and_reused(
    bundle: Bundle,
    here: Path,
    served: list[Any],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[Path] = []

    def build(_shop: object, place: Path) -> None:
        trained.append(place)
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            place.symlink_to(bundle.folder)

    monkeypatch.setattr(building, "build_shop", build)
    ask = ("play", "--world", "restaurants", "--no-browser")
    _, first, _ = run(capsys, *ask)
    _, second, _ = run(capsys, *ask)
    assert "Train a shop of restaurants, once" in first
    assert "runs/play-restaurants already exists; --rebuild trains it again" in second
    assert trained == [Path("runs/play-restaurants")]
    assert [s.bundle for s in served] == [here / "runs/play-restaurants"] * 2
    assert served[0].shop
    assert "tonight" in served[0].shop.searches[0]
    run(capsys, *ask, "--rebuild")
    assert len(trained) == 2


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ("missing", 5, "missing"),
        ("missing --world homes", 2, "--world: not with BUNDLE"),
        ("missing --rebuild", 2, "--rebuild: not with BUNDLE"),
        ("missing --out runs", 2, "--out: not with BUNDLE"),
        ("--out file", 5, "file is a file; choose another place"),
    ],
)
@pytest.mark.usefixtures("served")
def test_what_cannot_be_served_is_refused_with_the_way_out(
    given: str, code: int, words: str, here: Path, capsys: Capture
) -> None:
    (here / "file").touch()
    found, _, err = run(capsys, "play", *given.split())
    assert found == code
    assert words in " ".join(err.split())


def test_a_port_in_use_is_refused_before_the_training(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "find_spec", lambda _: None)
    code, _, err = run(capsys, "play")
    assert code != 0
    assert err.strip().endswith("pip install 'crosstower[serve]'")
    assert not (here / "runs").exists()
