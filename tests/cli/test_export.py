"""`crosstower export` as a user types it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from crosstower.cli.export import export_app
from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.ranker import Ranker
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.serving.export.exported import open_exported
from crosstower.training.run import Run

from ..conftest import RECIPE, rows
from ..fixtures.films import recipe as films_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    rows(400).write_parquet(folder / "rows.parquet")
    recipe: Recipe = parse_recipe(RECIPE, folder=folder)
    return fit(recipe, out=folder / "run", quiet=True, seeds=2)


def typed(*arguments: str | Path) -> str:
    found = CliRunner().invoke(export_app, [*map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_what_is_written_scores_as_the_run_does(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "exported"
    said = typed(run.folder, "-o", output, "--seed", "1", "--user", "user_id")
    for words in ("model.onnx: ", " MB", "largest difference", "inputs.json"):
        assert words in said
    frame, scorer = (
        rows(50, seed=3).with_columns(user_id=pl.lit(7)),
        Ranker.open(run, seed=1).scorer(),
    )
    cleaned = Cleaner(scorer.encoder.schema, [], with_labels=False).clean(
        Chunk(frame.head(1), "rows", 0, 0)
    )
    exported = replace(scorer, model=open_exported(output, scorer.encoder.layout))
    expected = scorer.score(cleaned)
    assert_frame_equal(exported.score(cleaned), expected, rel_tol=1e-5, abs_tol=1e-6)
    assert not Ranker.open(run, seed=0).scorer().score(cleaned).equals(expected)


def test_json_for_machines(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "exported"
    said: dict[str, Any] = json.loads(typed(run.folder, "-o", output, "--kind", "onnx", "--json"))
    assert set(said) == {"onnx"}
    assert said["onnx"]["file"] == str(output / "model.onnx")
    assert said["onnx"]["bytes"] == (output / "model.onnx").stat().st_size
    assert 0 <= said["onnx"]["difference"] < 1e-4


def test_a_baseline_may_be_exported(run: Run, tmp_path: Path) -> None:
    model = ["--model", "logistic_regression"]
    assert "model.onnx" in typed(run.folder, "-o", tmp_path / "exported", *model)


def test_a_run_that_retrieves_is_refused(tmp_path: Path) -> None:
    folder = fit(films_recipe(tmp_path), out=tmp_path / "run", quiet=True).folder
    with pytest.raises(RunError, match="a retrieval run; export needs a ranking run"):
        typed(folder, "-o", tmp_path / "exported")


def test_other_kinds_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--kind onnx --kind aoti: only ONNX can be exported"):
        typed(run.folder, "-o", tmp_path / "exported", "--kind", "onnx", "--kind", "aoti")
