"""Predictions have one row per input row; what a user may not expect is said."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from crosstower.cli.main import app
from crosstower.data.sources import source as sources
from crosstower.errors import CrosstowerWarning, DataError
from crosstower.fitting.fit import fit
from crosstower.ranking.results import evaluate_on
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

ROWS = 600


def rows(seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "user": random.integers(0, 50, ROWS),
            "age": random.normal(size=ROWS),
            "tag": [f"t{n}" for n in random.integers(0, 9, ROWS)],
        }
    )
    return frame.with_columns(click=pl.Series(random.integers(0, 2, ROWS)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("scored")
    users = pl.DataFrame({"user": range(50), "city": [f"c{n % 5}" for n in range(50)]})
    users.write_parquet(folder / "users.parquet")
    plain: dict[str, Any] = {
        "name": "scored",
        "data": {
            "joins": [{"path": str(folder / "users.parquet"), "on": "user"}],
            "on_bad_rows": "skip",
        },
        "schema": {
            "columns": {"tag": "categorical", "age": "numeric", "city": "categorical"},
            "tasks": {"click": "binary"},
        },
        "training": {"epochs": 1},
    }
    return fit(Recipe.model_validate(plain), data=rows(), out=folder / "run", quiet=True)


def bad_ages(every: int) -> pl.DataFrame:
    bad = pl.when(pl.int_range(ROWS) % every == 0).then(pl.lit("?")).otherwise("age")
    return rows(1).with_columns(age=bad)


def test_skipped_rows_have_null_predictions_in_their_place(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run.predict(rows(1))["click__prediction"]
    monkeypatch.setattr(sources, "CHUNK_ROWS", 7)
    with pytest.warns(
        CrosstowerWarning, match="86 of 600 rows are not scored.*86 bad cells in 'age'"
    ):
        found = run.predict(bad_ages(7), columns=["user", "age"])
    assert found["user"].to_list() == rows(1)["user"].to_list()
    assert found["age"].to_list()[7:9] == ["?", str(rows(1)["age"][8])]
    skipped = np.arange(ROWS) % 7 == 0
    assert found["click__prediction"].is_null().to_list() == skipped.tolist()
    rest = ~pl.Series(skipped)
    assert (found["click__prediction"] - whole).filter(rest).abs().max() < 1e-6  # type: ignore[operator]


def test_chunks_of_skipped_rows_only_are_null(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CHUNK_ROWS", 5)
    first = pl.when(pl.int_range(ROWS) < 10).then(pl.lit("?")).otherwise("age")
    with pytest.warns(CrosstowerWarning, match="10 of 600 rows"):
        found = run.predict(rows(1).with_columns(age=first))["click__prediction"]
    assert found.is_null().to_list() == [True] * 10 + [False] * (ROWS - 10)
    with pytest.raises(DataError, match="no row can be read: 600 bad cells in 'age'"):
        run.predict(rows(1).with_columns(age=pl.lit("?")))


def test_the_command_line_keeps_every_row_and_says_what_happened(run: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "new.parquet", tmp_path / "scores.parquet"
    bad_ages(7).with_columns(tag=pl.lit("new"), user=pl.col("user") * 2).write_parquet(path)
    result = CliRunner().invoke(app, ["predict", str(run.folder), str(path), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert pl.read_parquet(out).height == ROWS
    assert "86 of 600 rows are not scored" in result.stderr
    assert "column 'tag': none of the 514 values was ever seen in training" in result.stderr
    assert "rows found their key" in result.stderr
    assert "low: check that both sides write their keys alike" in result.stderr


def test_values_never_seen_are_reported_by_an_evaluation(run: Run, tmp_path: Path) -> None:
    with pytest.warns(CrosstowerWarning) as found:
        _, page = evaluate_on(run, rows(1).with_columns(tag=pl.lit("new")), tmp_path / "page.html")
    assert [str(w.message).partition(";")[0] for w in found] == [
        "column 'tag': none of the 600 values was ever seen in training"
    ]
    assert "none of the 600 values was ever seen" in page.read_text()
    path = tmp_path / "new.parquet"
    bad_ages(7).with_columns(tag=pl.lit("new")).write_parquet(path)
    result = CliRunner().invoke(app, ["evaluate", str(run.folder), "--data", str(path)])
    assert result.exit_code == 0, result.output
    assert "note: 86 of 600 rows are not scored" in result.stderr
    assert "note: column 'tag': none of the 514 values" in result.stderr


def test_rows_that_trained_the_model_are_reported(run: Run, tmp_path: Path) -> None:
    trained = run.info.facts.rows["train"]
    words = f"{trained} of 600 compared by their inputs"
    with pytest.warns(CrosstowerWarning, match=f"of these rows trained the model .{words}"):
        run.predict(rows())
    with pytest.warns(CrosstowerWarning, match=words):
        evaluate_on(run, rows(), tmp_path / "page.html")


def test_new_rows_give_no_warning(run: Run, recwarn: pytest.WarningsRecorder) -> None:
    assert run.predict(rows(1)).height == ROWS
    assert not list(recwarn)


def test_a_join_without_a_match_is_refused_everywhere(run: Run, tmp_path: Path) -> None:
    strangers = rows(1).with_columns(user=pl.col("user") + 1000)
    with pytest.raises(DataError, match=r"join of .*users\.parquet on 'user': none of 600 rows"):
        run.predict(strangers)
    with pytest.raises(DataError, match="none of 600 rows found its key: the rows hold"):
        evaluate_on(run, strangers, tmp_path / "page.html")
    recipe = run.recipe.model_copy(update={"name": "strangers"})
    with pytest.raises(DataError, match="the table holds 0, 1, 2; write the keys alike"):
        fit(recipe, data=strangers, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_match_rates_stand_in_the_run(run: Run) -> None:
    (match,) = run.info.facts.joins
    assert (match.on, match.rows, match.found) == ("user", 600, 600)
    assert run.info.facts.notes[0].endswith("on 'user': 600 of 600 rows found their key (100.0%)")
    assert run.metrics["joins"] == [match.model_dump() | {"rate": 1.0}]
    assert "600 of 600 rows found their key" in run.report.read_text()
