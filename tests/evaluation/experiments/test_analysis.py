"""Reports of whole event logs: against NumPy by hand, and what they conclude."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.evaluation.experiments.confidence_sequences import half_width
from crosstower.evaluation.experiments.report import ExperimentReport
from crosstower.evaluation.experiments.units import events_of, units_of

from ...fixtures.experiment_log import START, events, experiment


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return events(users=900, lift=0.6)


@pytest.fixture(scope="module")
def report(log: pl.DataFrame) -> ExperimentReport:
    return experiment_report(log, experiment())


def test_a_lift_is_that_of_a_regression_on_arm_and_covariate(
    log: pl.DataFrame, report: ExperimentReport
) -> None:
    one = experiment()
    frame = units_of(events_of(log, one, None), one).frame
    control = frame["arm"].to_numpy() == "control"
    likes, holdout = (frame["arm"].to_numpy() == name for name in ("likes", "holdout"))
    before = frame["clicks:before"].to_numpy()
    design = np.column_stack([control, likes, holdout, before - before.mean()]) * 1.0
    means = np.linalg.lstsq(design, frame["clicks:top"].to_numpy(), rcond=None)[0]
    found = next(c for c in report.lifts if (c.metric, c.arm) == ("clicks", "likes"))
    assert found.lift.value == pytest.approx(means[1] / means[0] - 1)
    assert found.reduction > 0.3
    level = 1 - 0.05 / 2  # two comparisons with the control
    reach = half_width(found.lift.standard_error, 0.05, level=level)
    assert found.lift.high == pytest.approx(found.lift.value + reach)


def test_the_covariate_narrows_the_interval(log: pl.DataFrame, report: ExperimentReport) -> None:
    plain = experiment_report(log, experiment(covariate_days=0))
    for less, more in zip(report.lifts, plain.lifts, strict=True):
        assert more.reduction == 0.0
        if less.metric == "clicks":
            assert less.lift.standard_error < 0.9 * more.lift.standard_error


def test_a_ratio_is_the_ratio_of_sums(log: pl.DataFrame) -> None:
    one = experiment(covariate_days=0)
    frame = units_of(events_of(log, one, None), one).frame
    sums = {
        arm: frame.filter(arm=arm).select("ctr:top", "ctr:top_per").sum().row(0)
        for arm in ("control", "likes")
    }
    found = experiment_report(log, one).lifts
    ctr = next(c for c in found if (c.metric, c.arm) == ("ctr", "likes"))
    rates = {arm: top / bottom for arm, (top, bottom) in sums.items()}
    assert ctr.lift.control.value == pytest.approx(rates["control"])
    assert ctr.lift.value == pytest.approx(rates["likes"] / rates["control"] - 1)


def test_the_verdicts_name_the_better_arm_and_the_guardrail(report: ExperimentReport) -> None:
    assert report.verdicts[0].startswith("likes is better than control: clicks +")
    assert report.verdicts[1].startswith("holdout: no difference from control shown yet: clicks")
    assert "Guardrail revenue of likes (at most 50.0 % loss) holds" in report.verdicts[2]
    assert report.ratio is not None
    assert not report.ratio.mismatch
    assert list(report.users) == ["control", "likes", "holdout"]
    assert 850 < sum(report.users.values()) <= 900  # some never came


def test_the_order_of_events_changes_no_digit(log: pl.DataFrame, report: ExperimentReport) -> None:
    for seed in range(5):
        shuffled = log.sample(fraction=1.0, shuffle=True, seed=seed)
        assert experiment_report(shuffled, experiment()).plain() == report.plain()


def test_a_segment_that_no_event_has_is_noted(log: pl.DataFrame, report: ExperimentReport) -> None:
    found = experiment_report(log.drop("query.device"), experiment())
    assert (found.segments, found.lifts) == ((), report.lifts)
    words = (
        "No event has the segment 'device', so it is not reported: give it in the query of requests"
        " or events; if it is a column of the bundle's query, it may also be put for users, for a"
        " report from the state of the server."
    )
    assert found.notes == (words, *report.notes)


def test_segments_and_days_are_reported(log: pl.DataFrame, report: ExperimentReport) -> None:
    segments = {c.segment for c in report.segments}
    assert segments == {("device", "tv"), ("device", "phone")}
    one = next(c for c in report.segments if c.segment == ("device", "tv") and c.arm == "likes")
    alone = experiment_report(log.filter(pl.col("query.device") == "tv"), experiment())
    expected = next(c for c in alone.lifts if (c.metric, c.arm) == ("clicks", "likes"))
    assert one.lift.value == pytest.approx(expected.lift.value)
    assert one.lift.high - one.lift.value > expected.lift.high - expected.lift.value  # more looks
    days = report.daily["likes"]
    assert [time for time, _ in days] == [START + timedelta(days=d) for d in range(1, 7)]
    middle = experiment_report(log, experiment(), until=START + timedelta(days=3))
    expected = next(c for c in middle.lifts if (c.metric, c.arm) == ("clicks", "likes"))
    assert days[2][1] == expected.lift


def test_a_decrease_is_a_gain_where_lower_is_better(log: pl.DataFrame) -> None:
    metrics = {"clicks": {"event": "click", "lower_is_better": True, "guardrail": 0.01}}
    found = experiment_report(log, experiment(metrics=metrics))
    assert found.verdicts[0].startswith("likes is worse than control: clicks +")
    assert "Guardrail clicks of likes (at most 1.0 % loss) is broken" in " ".join(found.verdicts)


def test_a_mismatch_comes_first_and_says_what_to_do(log: pl.DataFrame) -> None:
    lost = (pl.col("attributes.arm") == "likes") & (pl.col("user") % 4 == 0)
    found = experiment_report(log.filter(lost.not_().fill_null(value=True)), experiment())
    assert found.verdicts[0].startswith("Sample ratio mismatch (p = ")
    assert "so the results are not reliable" in found.verdicts[0]


def test_early_looks_say_how_many_users_are_needed(log: pl.DataFrame) -> None:
    found = experiment_report(log, experiment(), until=START + timedelta(hours=20))
    assert "About" in found.verdicts[0]
    size = found.sizes[0]
    assert f"About {size.needed:,} users are needed, {size.users:,} are in." in found.verdicts[0]
    few = log.filter(pl.col("user") < 12)
    assert "too close to 0" in experiment_report(few, experiment()).verdicts[0]


def test_the_needed_sample_size_detects_the_lift_as_often_as_stated() -> None:
    metric = {"clicks": {"event": "click", "expected_lift": 0.3}}
    one = experiment(metrics=metric, holdout=0.0, covariate_days=0)
    found = experiment_report(events(users=500, lift=0.3), one)
    size = found.sizes[0]
    lift = found.lifts[0].lift
    error = lift.standard_error * (size.users / size.needed) ** 0.5
    assert 0.3 - half_width(error, 0.3) == pytest.approx(0.8416 * error, rel=0.01)


def test_unknown_arms_and_users_of_several_are_noted(log: pl.DataFrame) -> None:
    arms = {"control": {"share": 0.45}, "other": {"share": 0.45}}
    notes = " ".join(experiment_report(log, experiment(arms=arms)).notes)
    assert "users have an arm without a share in the file and are omitted" in notes
    moved = log.filter(pl.col("attributes.arm") == "control").head(400)
    moved = moved.with_columns(pl.lit("likes").alias("attributes.arm"))
    notes = " ".join(experiment_report(pl.concat([log, moved]), experiment()).notes)
    assert "were seen in several arms and are omitted. Was a share changed?" in notes
