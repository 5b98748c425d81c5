"""The numbers of a report against the functions that they come from."""

import json
import math

import numpy as np

from crosstower.evaluation.metrics.bootstrap import bootstrap_interval
from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.funnel.report import (
    Change,
    Estimate,
    FunnelReport,
    Values,
    lifts_of,
    stages_of,
    values_of,
)
from crosstower.funnel.stages import Step

RANDOM = np.random.default_rng(0)
LISTS = {
    name: np.array([RANDOM.permutation(9)[:4] for _ in range(40)])
    for name in ("popular", "retrieved", "ranked", "all items ranked")
} | {"perfect order of the retrieved": np.tile(np.arange(4), (40, 1))}
RELEVANT = np.repeat(np.arange(40), 2), np.tile([1, 3], 40)
SOME = np.arange(40) % 2 == 0
COVERED = {"all items ranked": SOME}


def test_values_are_those_of_the_list_metrics() -> None:
    values = values_of(LISTS, RELEVANT, 4, covered=COVERED)
    for name, shown in LISTS.items():
        expected = list_metrics(shown, RELEVANT, [4])
        mine = COVERED.get(name, np.ones(40, bool))
        assert set(values[name]) == {"recall@4", "ndcg@4", "mrr@4", "hit_rate@4"}
        for metric, found in values[name].items():
            assert np.array_equal(found[mine], expected[metric][mine])
            assert np.isnan(found[~mine]).all()


def test_a_stage_has_the_mean_and_the_bootstrap_interval() -> None:
    values = values_of(LISTS, RELEVANT, 4, covered=COVERED)
    stages = {stage.name: stage for stage in stages_of(values, seed=3)}
    found = stages["ranked"].metrics["ndcg@4"]
    ndcg = list_metrics(LISTS["ranked"], RELEVANT, [4])["ndcg@4"]
    assert found == Estimate(ndcg.mean(), *bootstrap_interval(ndcg, seed=3))
    assert (stages["ranked"].queries, stages["all items ranked"].queries) == (40, 20)


def test_lifts_are_paired_over_the_queries_that_both_cover() -> None:
    values = values_of(LISTS, RELEVANT, 4, covered=COVERED)
    lifts = {(lift.stage, lift.over): lift.changes for lift in lifts_of(values, seed=1)}
    assert list(lifts) == [
        ("retrieved", "popular"),
        ("ranked", "retrieved"),
        ("all items ranked", "ranked"),
        ("perfect order of the retrieved", "ranked"),
    ]
    after, before = (values[n]["mrr@4"][SOME] for n in ("all items ranked", "ranked"))
    gap = Estimate(after.mean() - before.mean(), *bootstrap_interval(after - before, seed=1))
    found = lifts["all items ranked", "ranked"]["mrr@4"]
    assert (found.before, found.after) == (before.mean(), after.mean())
    assert math.isclose(found.difference.mean, gap.mean, abs_tol=1e-12)
    assert (found.difference.low, found.difference.high) == (gap.low, gap.high)


def test_an_interval_that_holds_0_is_no_finding() -> None:
    assert Estimate(0.1, 0.01, 0.2).is_real
    assert Estimate(-0.1, -0.2, -0.01).is_real
    assert not Estimate(0.1, -0.01, 0.2).is_real


def report_of(values: Values) -> FunnelReport:
    return FunnelReport(
        retrieval="a",
        ranking="b",
        source="rows",
        queries=40,
        relevant=80,
        items=9,
        candidates=4,
        k=4,
        stages=stages_of(values),
        lifts=lifts_of(values),
        steps=(Step("retrieval", 1, 0, 79),),
        verdicts=("yes",),
        notes=(),
    )


def test_a_report_is_plain_json() -> None:
    values = values_of(LISTS, RELEVANT, 4)
    values["ranked"]["mrr@4"][:] = np.nan
    report = report_of(values)
    plain = json.loads(json.dumps(report.plain(), allow_nan=False))
    assert plain["stages"][2]["metrics"]["mrr@4"] == {"mean": None, "low": None, "high": None}
    assert plain["steps"] == [{"name": "retrieval", "lost": 1, "gained": 0, "left": 79}]
    assert report.stage("popular").metrics["ndcg@4"].mean == values["popular"]["ndcg@4"].mean()
    assert isinstance(report.lifts[0].changes["ndcg@4"], Change)


def test_a_notebook_shows_every_stage_and_the_verdicts() -> None:
    values = values_of(LISTS, RELEVANT, 4)
    values["ranked"]["mrr@4"][:] = np.nan
    report = report_of(values)
    html = report._repr_html_()
    found = report.stage("popular").metrics["ndcg@4"]
    assert f"{found.mean:.4f} ± {(found.high - found.low) / 2:.4f}" in html
    assert "NDCG@4" in html
    assert "<div>yes</div>" in html
    assert "nan" not in html
    counts = f"{report.queries} queries, {report.candidates} candidates of {report.items} items"
    assert repr(report) == f"FunnelReport({counts}; {', '.join(values)})"
