from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.evaluation.experiments.report_tables import tables_of

from ...fixtures.experiment_log import events, experiment


def test_tables_hold_the_numbers_of_the_report() -> None:
    report = experiment_report(events(users=300, lift=0.5), experiment())
    arms, lifts, segments, sizes, explained = tables_of(report)
    assert [row[:2] for row in arms.rows] == [[n, f"{u:,}"] for n, u in report.users.items()]
    assert [row[3] for row in arms.rows] == ["45.0 %", "45.0 %", "10.0 %"]
    assert len(lifts.rows) == len(report.lifts)
    one, row = report.lifts[0], lifts.rows[0]
    assert row[:4] == [
        "clicks",
        "likes",
        f"{one.lift.control.value:.4g}",
        f"{one.lift.arm.value:.4g}",
    ]
    assert row[4] == f"+{100 * one.lift.value:.1f} %"
    assert row[6] == one.outcome
    assert {row[0] for row in segments.rows} == {"device = tv", "device = phone"}
    assert sizes.rows[0][2] == f"{report.sizes[0].needed:,}"
    assert explained.rows[0] == ["clicks", f"{100 * one.reduction:.1f} %"]


def test_unknown_numbers_are_dashes() -> None:
    few = experiment_report(events(users=40).head(300), experiment(segments=[]))
    lifts = tables_of(few)[1]
    assert {tuple(row[4:]) for row in lifts.rows} == {("–", "–", "too few users")}
