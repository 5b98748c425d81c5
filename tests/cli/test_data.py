import json
from pathlib import Path

import polars as pl

from .command_line import Capture, run


def test_data_sets_and_worlds_are_listed(capsys: Capture) -> None:
    _, out, _ = run(capsys, "data", "list")
    assert "movielens-100k" in out
    assert "world:app_installs" in out
    assert max(len(line) for line in out.splitlines()) <= 100
    _, out, _ = run(capsys, "data", "list", "--json")
    assert set(json.loads(out)) >= {"adult", "world:rentals"}


def test_a_world_becomes_a_file_once(here: Path, capsys: Capture) -> None:
    command = ["data", "get", "world:rentals", "--rows", "50", "--out", "d"]
    code, out, _ = run(capsys, *command)
    assert (code, out) == (0, "d/rentals.parquet\n")
    assert pl.read_parquet("d/rentals.parquet").height == 50
    code, _, err = run(capsys, *command)
    assert (code, "already exists" in err) == (5, True)


def test_a_data_set_is_fetched(here: Path, capsys: Capture) -> None:
    (here / "d" / "adult").mkdir(parents=True)
    (here / "d" / "adult" / "adult.parquet").write_bytes(b"")
    code, out, _ = run(capsys, "data", "get", "adult", "--out", "d")
    assert (code, out) == (0, "d/adult/adult.parquet\n")
