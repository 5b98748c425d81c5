from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import crosstower as ct
from crosstower.data.batch import Batch
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.sources.source import Chunk
from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.importance import (
    LabelledRows,
    importance_of,
    read_importance,
    sample,
    take,
)
from crosstower.ranking.ranker import Ranker
from crosstower.training.run import BACKGROUND, IMPORTANCE, Run


def rows(requests: int = 150) -> pl.DataFrame:
    """Clicks on items with a high `quality`, in requests with a high `mood`; `noise` is noise."""
    random = np.random.default_rng(0)
    request = np.repeat(np.arange(requests), 5)
    mood = random.normal(size=requests)[request]
    quality, noise = random.normal(size=(2, len(request)))
    click = random.random(len(request)) < 1 / (1 + np.exp(-(3 * quality + mood)))
    frame = {"request": request, "mood": mood, "quality": quality, "noise": noise, "click": click}
    return pl.DataFrame(frame)


def trained(folder: Path, *, bias: Any = None, **evaluation: Any) -> Run:
    recipe = ct.Recipe.model_validate(
        {
            "schema": {
                "columns": {"mood": "numeric", "quality": "numeric", "noise": "numeric"},
                "tasks": {"click": "binary"},
            },
            "data": {"split": {"kind": "group", "column": "request", "fractions": [0.5, 0.3, 0.2]}},
            "model": {"name": "logistic_regression"},
            "bias": bias,
            "evaluation": {"baselines": [], **evaluation},
            "training": {"epochs": 8, "batch_size": 32, "precision": "float32"},
        }
    )
    return fit(recipe, data=rows(), out=folder, quiet=True)


def test_columns_that_decide_are_important_and_noise_is_not(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", importance={"rows": 150, "repeats": 4})
    found = read_importance(run.folder)
    assert found is not None
    task = found.tasks["click"]
    assert (found.rows, found.repeats, found.by_group, task.metric) == (150, 4, (), "auc")
    lost = {name: spread.mean or 0.0 for name, spread in task.columns.items()}
    assert lost["quality"] > lost["mood"] > abs(lost["noise"])
    assert abs(lost["noise"]) < 0.05
    page = (run.folder / "report.html").read_text()
    assert "Importance of the columns" in page
    assert "AUC lost" in page


def test_without_it_there_is_neither_file_nor_section(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", importance=False)
    assert not (run.folder / IMPORTANCE).exists()
    assert not (run.folder / BACKGROUND).exists()
    assert "Importance of the columns" not in (run.folder / "report.html").read_text()


def test_columns_that_serving_leaves_out_are_left_out(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", bias=["noise"], importance={"rows": 100})
    found = read_importance(run.folder)
    assert found is not None
    lost = {name: spread.mean or 0.0 for name, spread in found.tasks["click"].columns.items()}
    assert list(lost) == ["mood", "quality"]
    assert lost["quality"] > lost["mood"]
    (explained,) = Ranker.open(run).explain(rows(5), rows=[3], background=8)
    assert set(explained.tasks["click"].contributions) == {"mood", "quality"}


def test_columns_of_a_group_are_shuffled_among_groups(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", group="request", importance={"rows": 100})
    found = read_importance(run.folder)
    assert found is not None
    assert found.by_group == ("mood",)
    assert found.rows % 5 == 0
    assert "Shuffled among groups: mood." in (run.folder / "report.html").read_text()


def test_shuffling_a_column_of_groups_keeps_the_order_within_them(tmp_path: Path) -> None:
    """A logistic regression adds the mood of a request to all its rows: NDCG does not change."""
    run = trained(tmp_path / "run", importance=False)
    scorer, frame = Ranker.open(run).scorer(), rows(20)
    cleaned = scorer.cleaner().clean(Chunk(frame, "rows", 0, 0))
    given = LabelledRows(scorer.encoder.encode(cleaned), frame, frame["request"])
    by_group, tasks = importance_of(scorer, given, {"click": "ndcg@10"}, repeats=3)
    assert by_group == ("mood",)
    assert tasks["click"].columns["mood"].mean == pytest.approx(0.0, abs=1e-9)
    assert (tasks["click"].columns["quality"].mean or 0.0) > 0.1


def test_a_metric_that_is_undefined_has_no_importance(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", importance=False)
    scorer, frame = Ranker.open(run).scorer(), rows(4).with_columns(click=True)
    cleaned = scorer.cleaner().clean(Chunk(frame, "rows", 0, 0))
    given = LabelledRows(scorer.encoder.encode(cleaned), frame, None)
    told: list[tuple[object, ...]] = []
    _, tasks = importance_of(
        scorer, given, {"click": "auc"}, repeats=2, on_progress=lambda *words: told.append(words)
    )
    assert tasks["click"].value is None
    assert tasks["click"].columns["mood"].mean is None
    columns = len(tasks["click"].columns)
    assert told == [("shuffling columns", place, columns) for place in range(columns)]


def test_a_sample_of_groups_holds_whole_groups() -> None:
    groups = pl.Series(["a", "b", "a", None, "c", "b", "c", "c"])
    for most in (1, 3, 5, 8):
        places = sample(8, most, groups)
        assert places.tolist() == sorted(places)
        kept = groups[places]
        assert all((kept == g).sum() == (groups == g).sum() for g in kept.unique())
        assert len(places) <= max(most, 3)
        assert len(places) > 0
    assert sample(8, 3, None).tolist() == sorted(set(sample(8, 3, None).tolist()))


def test_rows_are_taken_from_all_blocks(tmp_path: Path) -> None:
    held = EncodedRows(tmp_path, 10**6)
    for start in (0, 3, 6):
        codes = torch.arange(start, start + 3, dtype=torch.int32)[:, None]
        held.add(Batch(codes, codes.float(), {}, codes.float()))
    assert take(held, np.array([0, 2, 5, 8])).codes[:, 0].tolist() == [0, 2, 5, 8]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / IMPORTANCE).write_text("{")
    with pytest.raises(RunError, match=r"importance\.json"):
        read_importance(tmp_path)
    assert read_importance(tmp_path / "other") is None
