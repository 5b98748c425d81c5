"""A ranker that was trained with a bias tower serves without its columns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError
from crosstower.fitting.fit import fit
from crosstower.nn.position_bias import PositionBias
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.results import read_predictions
from crosstower.recipe.recipe import Recipe
from crosstower.serving.bundle.building import make_bundle
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.export.exported import export_model, open_exported
from crosstower.training.run import Run

ITEMS = 20
RELEVANCE = np.linspace(0.9, 0.3, ITEMS)


def impressions(count: int = 10_000) -> pl.DataFrame:
    """Clicks on items that are mostly shown the higher, the less relevant they are."""
    random = np.random.default_rng(1)
    item = random.integers(0, ITEMS, count)
    anywhere = random.random(count) < 0.3
    position = np.where(anywhere, random.integers(1, 11, count), 10 - item // 2)
    click = random.random(count) < RELEVANCE[item] / np.sqrt(position)
    frame = {"user": random.integers(0, 9, count), "item": item, "position": position}
    device = random.choice(["tv", "phone"], count)
    return pl.DataFrame(frame | {"device": device, "click": click.astype(np.int8)})


def recipe_of(bias: Any, **training: Any) -> Recipe:
    columns = ["user", "item", *([] if bias is None else bias)]
    return Recipe.model_validate(
        {
            "schema": {
                "columns": dict.fromkeys(columns, "categorical"),
                "tasks": {"click": "binary"},
            },
            "bias": bias,
            "model": {"name": "logistic_regression"},
            "training": {"epochs": 6, "batch_size": 200, "learning_rate": 0.02} | training,
            "evaluation": {"baselines": ["mlp"]},
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("bias") / "run"
    return fit(recipe_of(["position", "device"]), data=impressions(), out=out, quiet=True)


def scores_of(run: Run) -> np.ndarray:
    """The score of each item for one user, without a position."""
    items = pl.DataFrame({"user": [0] * ITEMS, "item": range(ITEMS)})
    return run.predict(items)["click__prediction"].to_numpy()


def test_rows_need_no_bias_columns(run: Run) -> None:
    rows = impressions().head(50)
    expected = run.predict(rows)
    assert run.predict(rows.drop("position", "device")).equals(expected)
    with pytest.raises(DataError, match="no column 'item'"):
        run.predict(rows.drop("item"))
    model = run.model()
    assert isinstance(model, PositionBias)
    batch = run.encoder.encode(_cleaned(run, rows))
    logits = model(batch)["click"].detach().numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected["click__prediction"], rtol=1e-5)


def _cleaned(run: Run, rows: pl.DataFrame) -> pl.DataFrame:
    cleaner = replace(Ranker.open(run).scorer().cleaner(), schema=run.recipe.schema_)
    return cleaner.clean(Chunk(rows, "rows", 0, 0))


def test_the_report_is_of_what_is_served(run: Run) -> None:
    stored = read_predictions(run, "logistic_regression", run.info.seeds[0])
    assert len(stored["click__prediction"].unique()) <= ITEMS * 9  # whatever the positions


@pytest.mark.slow
def test_a_bundle_and_an_export_serve_without_them(run: Run, tmp_path: Path) -> None:
    rows = impressions().head(50).drop("position", "device")
    expected = run.predict(rows)["click__prediction"]
    bundled = Bundle.open(make_bundle([run], tmp_path / "bundle").folder).ranking
    assert bundled is not None
    assert bundled.predict(rows)["click__prediction"].equals(expected)
    scorer = Ranker.open(run).scorer()
    export_model(scorer, tmp_path / "onnx")
    exported = replace(scorer, model=open_exported(tmp_path / "onnx", scorer.encoder.layout))
    cleaned = scorer.cleaner().clean(Chunk(rows, "rows", 0, 0))
    np.testing.assert_allclose(exported.score(cleaned)["click__prediction"], expected, rtol=1e-4)


def test_a_warm_start_keeps_the_tower(run: Run, tmp_path: Path) -> None:
    recipe = recipe_of(["position", "device"], epochs=1, learning_rate=1e-9)
    later = fit(recipe, data=impressions(), out=tmp_path / "run", warm_start=run, quiet=True)
    one, other = (r.model().state_dict()["head.weight"] for r in (run, later))
    assert float((one - other).abs().max()) < 1e-5


def test_items_are_ordered_by_relevance_instead_of_their_places(run: Run, tmp_path: Path) -> None:
    plain = fit(recipe_of(None), data=impressions(), out=tmp_path / "run", quiet=True)
    with_tower, without = (spearmanr(scores_of(r), RELEVANCE).statistic for r in (run, plain))
    assert with_tower > 0.85
    assert without < with_tower - 0.1
