"""Training a retrieval recipe: what the run folder holds, resuming, objectives, bad input."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from crosstower.errors import DataError, RecipeError, RunError
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.yaml_reader import read_yaml
from crosstower.retrieval.files import COUNT, ID, SEEN_ITEMS, USER
from crosstower.retrieval.results import stored_report
from crosstower.training.progress import Watcher
from crosstower.training.run import Run
from crosstower.training.trainer import TrainingInterruptedError

from ..fixtures.films import recipe, watches


def test_the_model_beats_popularity_and_learns_from_histories(film_run: Run) -> None:
    metrics = film_run.metrics["retrieval"]
    assert list(metrics) == ["two_tower", "ease", "item_knn", "popularity"]
    assert metrics["two_tower"]["recall@10"]["mean"] > 0.3
    assert (
        metrics["two_tower"]["recall@10"]["mean"] > metrics["popularity"]["recall@10"]["mean"] + 0.1
    )
    assert metrics["two_tower"]["recall@10"]["sd"] is not None
    assert metrics["popularity"]["recall@10"]["sd"] is None


def test_metrics_at_every_k(film_run: Run) -> None:
    names = {"recall", "hit_rate", "ndcg", "mrr", "map", "coverage", "popularity", "novelty"}
    expected = {f"{name}@{k}" for name in names for k in (5, 10, 20)}
    assert set(film_run.metrics["retrieval"]["two_tower"]) == expected


def test_the_run_folder_holds_what_is_asked_later(film_run: Run) -> None:
    folder = film_run.folder / "retrieval"
    items = pl.read_parquet(folder / "items.parquet")
    assert items.columns == ["film", "genre", "title", "year", ID, COUNT]
    assert items[COUNT].sum() == film_run.info.facts.rows["train"]
    users = pl.read_parquet(folder / "users.parquet")
    assert users.columns == [USER, SEEN_ITEMS, "device"]
    assert users[SEEN_ITEMS].list.len().sum() == 4000
    assert {p.stem for p in (folder / "baselines").iterdir()} == {"ease", "item_knn", "popularity"}
    page = film_run.report.read_text()
    assert "NDCG@10 by epoch" in page
    assert "items never trained on (cold)" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_slices_count_cold_items(film_run: Run) -> None:
    table = stored_report(film_run).slices.table
    rows = dict(zip(table["slice"], table["rows"], strict=True))
    assert rows["all"] == rows["items trained on"] + rows["items never trained on (cold)"] == 120
    assert rows["users without (cold)"] == 0


def test_verdicts_name_every_baseline(film_run: Run) -> None:
    verdicts = " ".join(stored_report(film_run).verdicts)
    assert "two_tower is better than popularity: NDCG@10 +0." in verdicts
    assert "ease" in verdicts
    assert "item_knn" in verdicts


def test_a_search_recipe_is_measured_beside_bm25(search_run: Run) -> None:
    metrics = search_run.metrics["retrieval"]
    assert list(metrics) == ["two_tower", "bm25", "popularity"]
    found = metrics["two_tower"]["recall@20"]["mean"]
    assert found > metrics["popularity"]["recall@20"]["mean"] + 0.1


@pytest.mark.parametrize(
    "retrieval",
    [
        {"objective": "full_softmax"},
        {
            "objective": "contrastive",
            "negatives": {"uniform": 40},
            "margin": 0.3,
            "negative_weight": 1,  # the negatives are more than the films
        },
        {"negatives": {"uniform": 32}},
        {"negatives": {"in_batch": False, "uniform": 64}},
        {"negatives": {"hard": 2, "hard_pool": 20}},
        {"log_q": False, "mask_accidental": False},
    ],
    ids=lambda r: str(r.get("objective") or r.get("negatives") or "uncorrected"),
)
def test_every_objective_learns(tmp_path: Path, retrieval: dict[str, Any]) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"], **retrieval})
    metrics = fit(one, out=tmp_path / "run", quiet=True).metrics["retrieval"]
    known = metrics["popularity"]["recall@10"]["mean"]
    assert metrics["two_tower"]["recall@10"]["mean"] > known + 0.08


@pytest.mark.parametrize("pooling", ["mean", "gru"])
def test_every_pooling_learns(tmp_path: Path, pooling: str) -> None:
    columns = {
        "had": {"kind": "sequence", "table": "film", "max_len": 5, "pooling": pooling},
        "film": "categorical",
        "genre": "categorical",
    }
    one = recipe(tmp_path, schema={"columns": columns}, retrieval={"baselines": ["popularity"]})
    metrics = fit(one, out=tmp_path / "run", quiet=True).metrics["retrieval"]
    known = metrics["popularity"]["recall@10"]["mean"]
    assert metrics["two_tower"]["recall@10"]["mean"] > known + 0.08


@pytest.mark.parametrize("negatives", [{}, {"uniform": 8, "hard": 1, "hard_pool": 9}])
def test_a_resumed_training_ends_where_an_undisturbed_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, negatives: dict[str, int]
) -> None:
    one = recipe(
        tmp_path,
        retrieval={"baselines": ["popularity"], "negatives": negatives},
        training={"epochs": 2},
    )
    whole = fit(one, out=tmp_path / "whole", quiet=True)
    steps, real = 0, Watcher.advance

    def stop(self: Watcher, *, rows: int, loss: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 40:
            import signal

            signal.raise_signal(signal.SIGINT)
        real(self, rows=rows, loss=loss)

    monkeypatch.setattr(Watcher, "advance", stop)
    with pytest.raises(TrainingInterruptedError, match="--resume"):
        fit(one, out=tmp_path / "cut", quiet=True)
    monkeypatch.setattr(Watcher, "advance", real)
    resumed = fit(one, out=tmp_path / "cut", quiet=True, resume=True)
    assert resumed.metrics["retrieval"] == whole.metrics["retrieval"]
    folders = [r.model_folder("two_tower", 0) / "last.safetensors" for r in (whole, resumed)]
    left, right = (load_file(f) for f in folders)
    assert all(torch.equal(left[k], right[k]) for k in left)


def test_duplicate_pairs_are_kept_and_told(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"]}, training={"epochs": 1})
    facts = fit(one, out=tmp_path / "run", quiet=True).info.facts
    assert any("repeat a pair; they count" in note for note in facts.notes)


def test_users_without_a_history_are_served_and_counted(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"]}, training={"epochs": 1})
    rows = watches(600)
    late = rows.head(5).with_columns(user=pl.int_range(900, 905))
    run = fit(one, data=pl.concat([rows, late]), out=tmp_path / "run", quiet=True)
    assert any("users without a history" in note for note in run.info.facts.notes)


def test_k_beyond_the_catalogue_ends_lists_early(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"k": [5, 500]}, training={"epochs": 1})
    metrics = fit(one, out=tmp_path / "run", quiet=True).metrics["retrieval"]
    assert metrics["two_tower"]["recall@500"]["mean"] == 1.0


def test_frozen_text_vectors_train_and_come_back(tmp_path: Path) -> None:
    columns = {
        "had": {"kind": "sequence", "table": "film", "max_len": 5},
        "film": "categorical",
        "title": {"kind": "text", "encoder": "wordllama"},
    }
    one = recipe(
        tmp_path,
        schema={"columns": columns},
        model={"item": ["film", "title"]},
        retrieval={"baselines": ["popularity"]},
        training={"epochs": 1},
    )
    run = fit(one, out=tmp_path / "run", quiet=True)
    assert run.encoder.layout.numbers[:1] == ("title[0]",)
    assert run.model() is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"monitor": "retrieval.auc@10"}}, "retrieval.METRIC@K"),
        ({"model": {"name": "dcn_v2"}}, "dcn_v2 does not retrieve"),
        ({"retrieval": {"baselines": ["bm25"]}}, "bm25 needs text in the query"),
        (
            {"retrieval": {"objective": "contrastive", "negatives": {"uniform": 9}},
             "model": {"normalise": False}},
            "contrastive compares cosines",
        ),
    ],
)  # fmt: skip
def test_recipes_that_cannot_be_trained(tmp_path: Path, changes: dict, words: str) -> None:
    one = recipe(tmp_path, **changes)
    with pytest.raises(RecipeError, match=words):
        fit(one, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_run_that_retrieves_scores_no_rows(film_run: Run) -> None:
    with pytest.raises(RunError, match="recommend, search or similar"):
        film_run.predict(watches(5))


def test_the_report_is_written_again_from_what_is_stored(film_run: Run, tmp_path: Path) -> None:
    report = stored_report(film_run)
    assert report.questions == 120
    assert json.loads((film_run.folder / "metrics.json").read_text())["peak_memory_mb"] > 0


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"baselines": ["popularity"]}, training={"epochs": 1})
    run = fit(one, out=tmp_path / "run", quiet=True)
    path = run.folder / "retrieval" / "questions.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RunError, match=r"questions\.parquet: damaged"):
        stored_report(run)


def test_an_item_that_the_table_lacks_stops_the_training(tmp_path: Path) -> None:
    one = recipe(tmp_path)
    rows = watches(400).with_columns(film=pl.col("film").str.replace("f01", "f99"))
    with pytest.raises(DataError, match=r"film 'f99' is not in the item table"):
        fit(one, data=rows, out=tmp_path / "run", quiet=True)


def test_a_history_may_have_a_table_of_its_own(tmp_path: Path) -> None:
    columns = {
        "had": {"kind": "sequence", "max_len": 5, "min_count": 2},
        "genre": "categorical",
    }
    one = recipe(
        tmp_path,
        schema={"columns": columns},
        model={"item": ["genre"]},
        retrieval={"baselines": ["popularity"]},
        training={"epochs": 1},
    )
    run = fit(one, out=tmp_path / "run", quiet=True)
    assert run.encoder.tables["had"].size > 50
    assert run.encoder.lengths["had"] == 5


def test_a_history_may_come_with_the_rows(tmp_path: Path) -> None:
    rows = watches(1500).with_columns(
        before=pl.col("film").shift(1).over("user", order_by="time").fill_null("f00")
    )
    rows = rows.with_columns(before=pl.concat_list("before"))
    columns = {
        "before": {"kind": "sequence", "table": "film"},
        "film": "categorical",
        "genre": "categorical",
    }
    plain = read_yaml(recipe(tmp_path).to_yaml())
    plain["schema"] = {"columns": columns}
    del plain["retrieval"]["history"]
    plain["retrieval"]["baselines"] = ["popularity"]
    run = fit(Recipe.model_validate(plain), data=rows, out=tmp_path / "run", quiet=True)
    metrics = run.metrics["retrieval"]
    known = metrics["popularity"]["recall@10"]["mean"]
    assert metrics["two_tower"]["recall@10"]["mean"] > known
