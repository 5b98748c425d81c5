"""The report of a retrieval run: metrics, slices, verdicts."""

import json
from pathlib import Path

from crosstower.fitting.fit import fit
from crosstower.retrieval.results import stored_report
from crosstower.training.run import Run

from ..fixtures.films import recipe


def test_metrics_at_every_k(film_run: Run) -> None:
    names = {"recall", "hit_rate", "ndcg", "mrr", "map", "coverage", "popularity", "novelty"}
    expected = {f"{name}@{k}" for name in names for k in (5, 10, 20)}
    assert set(film_run.metrics["retrieval"]["two_tower"]) == expected


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


def test_k_beyond_the_catalogue_ends_lists_early(tmp_path: Path) -> None:
    one = recipe(tmp_path, retrieval={"k": [5, 500]}, training={"epochs": 1})
    metrics = fit(one, out=tmp_path / "run", quiet=True).metrics["retrieval"]
    assert metrics["two_tower"]["recall@500"]["mean"] == 1.0


def test_the_report_is_written_again_from_what_is_stored(film_run: Run, tmp_path: Path) -> None:
    report = stored_report(film_run)
    assert report.queries == 120
    assert json.loads((film_run.folder / "metrics.json").read_text())["peak_memory_mb"] > 0
