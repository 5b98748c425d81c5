"""Raw rows get the same scores from the training, the bundle, the exported form and the server.

Every model is compared with its ONNX form in tests/serving/export/test_parity.py; here those of
three models score raw rows.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.fitting.fit import fit
from crosstower.models.registry import model_names
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import PREDICTION
from crosstower.recipe.recipe import Recipe
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.export.exported import export_model, open_exported
from crosstower.training.run import Run

from ...ranking.test_scorer import COMPARED, EVERYTHING, OF_USER, TASKS, rows_of
from ..conftest import Start

pytestmark = pytest.mark.slow


def labelled(count: int, seed: int) -> pl.DataFrame:
    """Rows of every kind of column with labels of every kind of task."""
    frame, random = rows_of(10, seed, users=count // 10), np.random.default_rng(seed)
    clicked = random.random(count) < 0.4
    labels: dict[str, Any] = {
        "click": clicked.astype(np.int8),
        "buy": (clicked & (random.random(count) < 0.5)).astype(np.int8),
        "watch": np.where(clicked, random.random(count) * 100, 0.0),
        "stars": random.integers(1, 6, count),
    }
    return frame.with_columns(pl.Series(n, v) for n, v in labels.items() if n in TASKS)


def trained(name: str, folder: Path) -> Run:
    columns = dict(EVERYTHING)
    model: dict[str, Any] = {"name": name}
    if name == "two_tower":
        columns = {n: c for n, c in columns.items() if n not in _CROSSES}
        columns |= {n: columns[n] | {"pooling": "mean", "target": None} for n in COMPARED}
        model["item"] = [n for n in columns if n not in OF_USER]
    plain = {
        "name": name,
        "schema": {"columns": columns, "tasks": TASKS},
        "model": model,
        "calibration": {"method": "platt"},
        "training": {"epochs": 1, "batch_size": 128, "learning_rate": 0.01},
        "evaluation": {"baselines": [], "importance": False},
    }
    return fit(Recipe.model_validate(plain), data=labelled(600, 0), out=folder, quiet=True)


EXPORTED = ("logistic_regression", "dcn_v2", "two_tower")
_CROSSES = [n for n, c in EVERYTHING.items() if isinstance(c, dict) and c["kind"] == "cross"]


def by_onnx(run: Run, rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    scorer = Ranker.open(run).scorer()
    export_model(scorer, folder)
    exported = replace(scorer, model=open_exported(folder, scorer.encoder.layout))
    cleaner = Cleaner(run.recipe.schema_, scorer.columns, with_labels=False)
    return exported.score(cleaner.clean(Chunk(rows, "rows", 0, 0)))


@pytest.mark.parametrize("name", model_names())
def test_scores_are_the_same_everywhere(name: str, start: Start, tmp_path: Path) -> None:
    run, rows = trained(name, tmp_path / "run"), rows_of(10, 7, users=4)
    made = make_bundle([run], tmp_path / "bundle")
    bundled = Bundle.open(made.folder).ranking
    assert bundled is not None
    client = start(made.folder)
    response = client.post("/v1/rank", json={"rows": rows.to_dicts()})
    assert response.status_code == 200, response.text
    served = sorted(response.json()["items"], key=lambda item: item["item_id"])
    expected = run.predict(rows)
    others = {"bundle": bundled.predict(rows)}
    if name in EXPORTED:
        others["onnx"] = by_onnx(run, rows, tmp_path / "onnx")
    for task in TASKS:
        column = f"{task}{PREDICTION}"
        scores = expected[column].to_numpy()
        assert len(np.unique(scores)) > 5
        found = {other: frame[column].to_numpy() for other, frame in others.items()}
        found["server"] = np.array([item["predictions"][task] for item in served])
        for where, values in found.items():
            np.testing.assert_allclose(values, scores, rtol=1e-5, atol=1e-5, err_msg=where)
