"""Runs without test rows: a share of the training rows validates, and nothing is tested."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import crosstower as ct
from crosstower.blending.blend_run import blend_run
from crosstower.errors import CrosstowerError, DataError, RecipeError, RunError
from crosstower.training.history import read_predictions
from crosstower.training.run import Run

from ..cli.command_line import Capture
from ..cli.command_line import run as command
from ..conftest import rows
from ..fixtures.films import recipe as film_recipe

SCHEMA = ct.Schema(
    columns={"user_id": "categorical", "genre": "categorical"},  # type: ignore[arg-type]
    tasks={"click": "binary"},  # type: ignore[arg-type]
)
QUICK = {"training.epochs": 2, "evaluation.baselines": []}
UNTESTED = "nothing was tested, as no test rows were given"


@pytest.fixture(scope="module")
def untested(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A ranker of training rows alone, read only."""
    folder = tmp_path_factory.mktemp("untested") / "run"
    return ct.fit(SCHEMA, train=rows(), overrides=QUICK, out=folder, quiet=True)


def test_a_tenth_of_the_training_rows_validates(untested: Run) -> None:
    found = untested.info.facts
    assert sum(found.rows.values()) == rows().height
    assert 90 < found.rows["valid"] < 150
    assert found.rows.get("test", 0) == 0
    assert found.split == "given (valid_fraction 0.1, seed 0)"
    again = ct.fit(SCHEMA, train=rows(), overrides=QUICK, quiet=True)
    assert again.info.facts.fingerprint == found.fingerprint


def test_the_report_and_the_notebook_say_that_nothing_was_tested(untested: Run) -> None:
    assert not untested.tested
    assert untested.metrics["tasks"] == {}
    for page in (untested.report.read_text(), untested._repr_html_()):
        assert UNTESTED in page
        assert "click.log_loss" in page
    assert len(untested.plot().axes) == 1  # the curve, and no calibration on test rows
    opened = Run.open(untested.folder)
    assert (opened.tested, opened.recipe) == (False, untested.recipe)


def test_what_needs_test_rows_says_so(untested: Run) -> None:
    with pytest.raises(RunError, match=UNTESTED):
        read_predictions(untested, "dcn_v2", 0)
    with pytest.raises(RunError, match=UNTESTED):
        blend_run(untested, ct.Blend(weights={"click": 1.0}), user="user_id")
    blend = {"blend": {"weights": {"click": 1}}, "evaluation.group": "user_id"}
    with pytest.raises(RecipeError, match="blend: its effect is measured on test rows"):
        ct.fit(SCHEMA, train=rows(), overrides=blend, quiet=True)


def test_other_rows_are_predicted_and_evaluated(
    untested: Run, tmp_path: Path, capsys: Capture
) -> None:
    other = rows(400, seed=5)
    assert untested.predict(other).height == 400
    other.write_parquet(tmp_path / "other.parquet")
    code, out, _ = command(
        capsys, "evaluate", untested.folder, "--data", tmp_path / "other.parquet"
    )
    assert (code, "click: 400 test rows" in out) == (0, True)
    code, _, err = command(capsys, "evaluate", untested.folder)
    assert (code, UNTESTED in err) == (5, True)


def test_the_command_trains_on_files_without_test_rows(tmp_path: Path, capsys: Capture) -> None:
    rows().write_parquet(tmp_path / "train.parquet")
    rows(300, seed=2).write_parquet(tmp_path / "valid.parquet")
    recipe = ct.Recipe(schema=SCHEMA, data=ct.Data(path="train.parquet", valid="valid.parquet"))
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    given = ["fit", tmp_path / "recipe.yaml", "--out", tmp_path / "run", "-o", "training.epochs=1"]
    code, out, _ = command(capsys, *given, "-o", "evaluation.baselines=[]")
    assert (code, UNTESTED in out) == (0, True)
    run = Run.open(tmp_path / "run")
    assert run.info.facts.rows == {"train": 1200, "valid": 300, "test": 0}


def test_a_retriever_needs_no_test_rows(tmp_path: Path) -> None:
    given = film_recipe(tmp_path)
    frame = pl.read_parquet(str(given.data.path))
    recipe = given.model_copy(update={"data": ct.Data()})
    run = ct.fit(recipe, train=frame, overrides={"training.epochs": 1}, quiet=True)
    assert run.metrics["retrieval"] == {}
    assert UNTESTED in run.report.read_text()
    assert UNTESTED in run._repr_html_()
    assert ct.Retriever.open(run).recommend(frame["user"][0], k=3).height == 3


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"train": rows(), "test": rows().drop("genre")}, DataError, "test data frame: no column"),
        ({"train": rows().head(0)}, DataError, "train rows: data frame: no rows"),
        ({"train": rows(), "valid": rows().head(0)}, DataError, "valid rows: data frame: no rows"),
        ({"test": rows()}, RecipeError, "no train rows; give them with train="),
        ({"train": 5}, DataError, "train rows: expected a path or a polars"),
        ({"train": rows(5)}, DataError, "labels of the|holds no rows"),
    ],
)
def test_wrong_rows_are_named(given: Any, error: type[CrosstowerError], words: str) -> None:
    with pytest.raises(error, match=words):
        ct.fit(SCHEMA, **given, overrides=QUICK, quiet=True)
