"""`crosstower vectors`: from a run to the state of a server."""

import json
from pathlib import Path

import polars as pl
import pytest

from crosstower.serving.state.state import State
from crosstower.training.run import Run

from ..fixtures.live_films import LiveFilms
from ..retrieval.test_query_tower import changed_run, plus
from .command_line import Capture
from .command_line import run as typed


def test_changed_vectors_travel_from_a_run_to_a_state(
    live_films: LiveFilms, tmp_path: Path, capsys: Capture
) -> None:
    run = changed_run(live_films.retrieval, tmp_path / "run", plus("item_tower.head.weight"))
    out, state, bundle = tmp_path / "v.parquet", tmp_path / "state", live_films.bundle.folder
    export = ("vectors", "export", run.folder, "--since", bundle, "-o", out)
    code, words, _ = typed(capsys, *export)
    assert code == 0
    assert "30 changed vectors, and 0 of items that are not in the bundle; 0 are unchanged" in words
    assert "already exists" in typed(capsys, *export)[2]
    with State.open(state) as opened:
        opened.set_bundle(bundle)
    code, plain, _ = typed(capsys, "vectors", "push", out, "--state", state, "--json")
    assert (code, json.loads(plain)) == (0, {"vectors": 30, "unknown": None})
    assert (
        "the server ignores those without an item"
        in typed(capsys, "vectors", "push", out, "--state", state)[1]
    )
    with State.open(state) as opened:
        assert opened.last_sequence() == 60


def test_all_vectors_of_a_run_are_written(film_run: Run, tmp_path: Path, capsys: Capture) -> None:
    for options, found in ((["--users"], film_run.user_vectors()), ([], film_run.item_vectors())):
        out = tmp_path / f"v{len(options)}.parquet"
        code, words, _ = typed(capsys, "vectors", "export", film_run.folder, "-o", out, *options)
        assert (code, f"{found.height} {'users' if options else 'items'}, 8 numbers" in words) == (
            0,
            True,
        )
        assert pl.read_parquet(out).equals(found)
    wrong = ("vectors", "export", film_run.folder, "--since", tmp_path, "--users", "-o", "none")
    code, _, words = typed(capsys, *wrong)
    assert (code, "drop --users and --rows" in words) == (2, True)


def test_users_may_come_from_a_file(film_run: Run, tmp_path: Path, capsys: Capture) -> None:
    users = film_run.user_vectors().head(3)
    users.select("user").write_parquet(tmp_path / "users.parquet")
    export = ("vectors", "export", film_run.folder, "--users", "--rows", tmp_path / "users.parquet")
    assert typed(capsys, *export, "-o", tmp_path / "v.parquet")[0] == 0
    assert pl.read_parquet(tmp_path / "v.parquet")["user"].equals(users["user"])
    code, _, words = typed(capsys, *export, "-o", tmp_path / "none" / "v.parquet")
    assert (code, "no folder" in words) == (3, True)
    code, _, words = typed(capsys, *export, "-o", tmp_path / "v.csv")
    assert (code, "such as v.parquet" in words) == (3, True)


@pytest.mark.parametrize("more", [[], ["--state", "a", "--server", "http://b"]])
def test_one_destination_is_needed(tmp_path: Path, more: list[str], capsys: Capture) -> None:
    code, _, words = typed(capsys, "vectors", "push", tmp_path / "v", *more)
    assert (code, "either --server URL or --state" in words) == (2, True)
