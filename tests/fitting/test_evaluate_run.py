"""A run evaluated on other rows from Python gives what the command line gives."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import crosstower as ct
from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.recipe.own_columns import PREDICTION
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

from ..cli.command_line import run as command
from ..fixtures.films import watches

pytestmark = pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")


def test_a_ranker_is_evaluated_on_a_frame(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(recipe, out=tmp_path / "run", quiet=True)
    new = frame.tail(400)
    found = run.evaluate(new, report=tmp_path / "page.html")
    scores = run.predict(new)[f"click{PREDICTION}"]
    auc = found["tasks"]["click"]["wide_deep"]["auc"]["mean"]
    assert auc == pytest.approx(roc_auc_score(new["click"], scores))
    assert found["tasks"].keys() == run.metrics["tasks"].keys()
    assert any("AUC" in sentence for sentence in found["verdicts"]["click"])
    assert (tmp_path / "page.html").is_file()
    new.write_parquet(tmp_path / "new.parquet")
    given = ("evaluate", run.folder, "--data", tmp_path / "new.parquet", "--json")
    code, out, _ = command(capsys, *given)
    assert (code, json.loads(out)) == (0, found["tasks"])
    assert (run.folder / "report-new.html").is_file()
    with pytest.raises(DataError, match="no column 'click'"):
        run.evaluate(new.drop("click"))


def test_a_retriever_is_evaluated_on_a_frame(film_run: Run, tmp_path: Path) -> None:
    found = ct.evaluate_run(film_run.folder, watches(200, seed=5), report=tmp_path / "page.html")
    models = found["retrieval"]
    assert models["two_tower"]["recall@10"]["mean"] > models["popularity"]["recall@10"]["mean"]
    assert found["verdicts"]["retrieval"]
    assert np.isfinite(models["two_tower"]["ndcg@10"]["mean"])
    with pytest.raises(RunError, match="run"):
        ct.evaluate_run(tmp_path / "none", watches(10))
