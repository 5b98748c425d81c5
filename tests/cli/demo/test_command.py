"""The short demo as a user types it, and options that do not go together."""

from pathlib import Path

import pytest

from crosstower.cli.demo import browser
from crosstower.serving.bundle import building
from crosstower.serving.bundle.forms import EAGER

from ..command_line import Capture, run


@pytest.mark.slow
def test_the_demo_trains_compares_and_ends_without_a_server(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tests/serving/bundle exports models for speed, which takes longer than this whole training.
    monkeypatch.setattr(building, "write_fastest", lambda *_, **__: EAGER)
    code, out, _ = run(capsys, "demo", "--no-serve", "--rows", "1500")
    assert code == 0
    assert "Best possible list" in out
    assert "true value of the first 10" in out
    assert all(f"{step} of 4: " in out for step in range(1, 5))
    assert "crosstower serve runs/demo-homes-bundle" in out
    assert max(map(len, out.splitlines())) <= 100
    assert sorted(p.name for p in (here / "runs").iterdir()) == [
        "demo-homes-bundle",
        "demo-homes-ranking",
        "demo-homes-retrieval",
        "demo-homes.parquet",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--seeds", "3"), "--seeds: only with --full"),
        (("--full", "--seed", "1"), "--seed: not with --full"),
        (("--full", "--no-serve"), "--no-serve: not with --full"),
        (("--no-serve", "--port", "8001"), "--port: not with --no-serve"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    options: tuple[str, ...], words: str, here: Path, capsys: Capture
) -> None:
    code, _, err = run(capsys, "demo", *options)
    assert code != 0
    assert words in err
    assert not (here / "runs").exists()


def test_a_page_that_cannot_be_served_is_refused_before_the_training(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "find_spec", lambda _: None)
    code, _, err = run(capsys, "demo")
    assert code != 0
    assert "pip install 'crosstower[serve]', or give --no-serve" in " ".join(err.split())
    assert not (here / "runs").exists()


@pytest.mark.parametrize("options", [("--no-serve",), ("--full",)])
def test_a_folder_that_cannot_be_made_is_refused_before_the_training(
    here: Path, capsys: Capture, options: tuple[str, ...]
) -> None:
    (here / "file").touch()
    code, out, err = run(capsys, "demo", *options, "--out", "file")
    assert (code, out) == (5, "")
    assert "file/run: cannot be created: " in err
    assert "file is a file; choose another place" in err
