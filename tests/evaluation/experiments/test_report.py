import json
import math
from dataclasses import replace
from html import escape, unescape

import pytest

from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.evaluation.experiments.lifts import Lift, Mean
from crosstower.evaluation.experiments.report import ArmComparison
from crosstower.evaluation.experiments.report_tables import tables_of

from ...fixtures.experiment_log import events, experiment

MEAN = Mean(1.0, 0.01, 100, 50)


def comparison(low: float, high: float, **more: object) -> ArmComparison:
    lift = Lift(MEAN, MEAN, (low + high) / 2, 0.01, low, high, 0.5)
    return ArmComparison("clicks", "likes", lift, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "lower", "outcome"),
    [
        (0.01, 0.07, False, "better"),
        (-0.07, -0.01, False, "worse"),
        (-0.01, 0.07, False, "no difference yet"),
        (0.01, 0.07, True, "worse"),
        (-0.07, -0.01, True, "better"),
        (math.nan, math.nan, False, "too few users"),
    ],
)
def test_outcomes_follow_the_interval(low: float, high: float, lower: bool, outcome: str) -> None:
    assert comparison(low, high, lower_is_better=lower).outcome == outcome


def test_a_report_is_json() -> None:
    report = experiment_report(events(users=100), experiment())
    plain = json.loads(json.dumps(report.plain(), allow_nan=False))
    assert plain["verdicts"] == list(report.verdicts)
    assert plain["lifts"][0]["outcome"] == report.lifts[0].outcome
    assert plain["lifts"][0]["lift"]["low"] == report.lifts[0].lift.low
    assert plain["ratio"]["mismatch"] is False
    assert plain["until"].startswith("2026-11-0")


def test_a_notebook_shows_verdicts_and_tables_escaped() -> None:
    report = replace(experiment_report(events(users=100), experiment()), name="likes<b>")
    html = report._repr_html_()
    assert "likes&lt;b&gt;: 2026-11-01 to 2026-11-0" in html
    for table in tables_of(report):
        assert f"<b>{table.title}</b>" in html
        assert all(escape(cell) in html for row in table.rows for cell in row)
    for words in (*report.verdicts, *report.notes):
        assert words in unescape(html)


def test_a_report_is_one_line_in_a_terminal() -> None:
    report = experiment_report(events(users=100), experiment())
    users = ", ".join(f"{arm} {count}" for arm, count in report.users.items())
    until = f"{report.until:%Y-%m-%d %H:%M}"
    assert repr(report) == f"ExperimentReport('likes' until {until}: users {users})"
