"""Lists of several models against baselines: metrics, verdicts, slices."""

import numpy as np
import pytest

from crosstower.evaluation.metrics.ranked_lists import mean_metrics
from crosstower.evaluation.reports.retrieval_report import RelevantItems, retrieval_report

QUERIES, ITEMS, K = 60, 40, 10
RANDOM = np.random.default_rng(0)
TARGET = RANDOM.integers(0, ITEMS, QUERIES)
ANSWERED = RelevantItems(
    (np.arange(QUERIES), TARGET),
    np.arange(QUERIES) % 4 == 0,
    np.where(np.arange(ITEMS) < 5, 0, np.arange(ITEMS)),
)


def lists(first: np.ndarray) -> np.ndarray:
    """Return lists that begin with an item and continue with others, each once."""
    found = [[i, *(j for j in RANDOM.permutation(ITEMS) if j != i)][:K] for i in first]
    return np.array(found)


GOOD, OTHER = lists(TARGET), lists(np.where(np.arange(QUERIES) % 3 > 0, TARGET, 0))
RANDOM_LISTS = np.array([RANDOM.permutation(ITEMS)[:K] for _ in range(QUERIES)])
REPORT = retrieval_report(
    {"two_tower": [GOOD, OTHER]}, [("popularity", RANDOM_LISTS)], ANSWERED, [5, 10]
)


def test_metrics_are_those_of_the_lists_over_seeds() -> None:
    model, baseline = REPORT.models
    each = [mean_metrics(x, ANSWERED.relevant, ANSWERED.counts, [5, 10]) for x in (GOOD, OTHER)]
    for name in ("ndcg@5", "recall@10"):
        assert model.metrics[name].mean == pytest.approx(np.mean([m[name] for m in each]))
        assert model.metrics[name].sd == pytest.approx(np.std([m[name] for m in each], ddof=1))
    assert (model.role, baseline.role) == ("model", "baseline")
    assert (REPORT.queries, REPORT.items, REPORT.headline) == (QUERIES, ITEMS, 10)


def test_a_difference_beyond_the_noise_is_told_and_no_other() -> None:
    (verdict,) = REPORT.verdicts
    assert verdict.startswith("two_tower is better than popularity: NDCG@10 +")
    turned = retrieval_report({"m": [RANDOM_LISTS]}, [("b", GOOD)], ANSWERED, [10]).verdicts[0]
    assert turned.startswith("m is worse than b: NDCG@10 -")
    assert turned.endswith(").")
    advice = {"b": "Use b.", "c": "Use c."}
    advised = retrieval_report(
        {"m": [RANDOM_LISTS]}, [("b", GOOD), ("c", RANDOM_LISTS)], ANSWERED, [10], advice=advice
    ).verdicts
    assert advised[0] == f"{turned} Use b."
    assert "Use c." not in advised[1]
    same = retrieval_report({"m": [GOOD]}, [("b", GOOD)], ANSWERED, [10]).verdicts[0]
    assert same.startswith("m does not differ significantly from b: NDCG@10 +0.0000")


def test_a_model_that_is_no_better_than_popularity_shows_no_learning() -> None:
    same = [("popularity", RANDOM_LISTS)]
    verdicts = retrieval_report({"m": [RANDOM_LISTS]}, same, ANSWERED, [10]).verdicts
    assert verdicts[0].startswith("m does not differ significantly from popularity")
    assert verdicts[1].startswith("Nothing shows that m has learned about users or queries")
    assert len(retrieval_report({"m": [GOOD]}, same, ANSWERED, [10]).verdicts) == 1


def test_the_longest_list_is_the_headline_where_ten_is_not_asked_for() -> None:
    report = retrieval_report({"m": [GOOD]}, [], ANSWERED, [3, 5])
    assert (report.headline, report.verdicts) == (5, ())


def test_slices_divide_queries_and_items() -> None:
    rows = {row["slice"]: row for row in REPORT.slices.table.iter_rows(named=True)}
    counts = {name: row["rows"] for name, row in rows.items()}
    cold = [n for name, n in counts.items() if name.startswith("users")]
    items = [n for name, n in counts.items() if name.startswith("items") and "trained" in name]
    assert counts["all"] == sum(cold) == sum(items) == QUERIES
    assert rows["all"]["two_tower"] == 1.0  # of the first seed, which finds everything
