from html import escape
from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.evaluation.experiments.page import (
    daily_plot,
    render_experiment_page,
    write_experiment_page,
)

from ...fixtures.experiment_log import events, experiment


def test_the_page_has_verdicts_tables_days_and_notes(tmp_path: Path) -> None:
    log = events(users=300, lift=0.5)
    report = experiment_report(log, experiment(segments=["device"]))
    html = write_experiment_page(tmp_path / "pages" / "report.html", report).read_text()
    for words in report.verdicts:
        assert escape(words, quote=False) in html.replace("&#39;", "'")
    assert "<h3>Lift over control</h3>" in html
    assert html.count("<svg") == 2  # one per arm
    assert "miss the truth with a probability of at most 5 %" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    empty = render_experiment_page(experiment_report(log.head(400), experiment()))
    assert "<svg" not in empty


def test_names_of_users_are_escaped() -> None:
    log = events(users=60).rename({"query.device": "query.<b>"})
    report = experiment_report(log, experiment(segments=["<b>"]))
    html = render_experiment_page(report)
    assert "<b>" not in html.replace("<b>likes</b>", "").replace("<b>holdout</b>", "")


def test_the_daily_plot_leaves_out_days_without_an_interval() -> None:
    report = experiment_report(events(users=300), experiment())
    series = report.daily["likes"]
    assert "<svg" in daily_plot(series, name="a")


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    report = experiment_report(events(users=60), experiment())
    with pytest.raises(RunError, match="cannot be written"):
        write_experiment_page(tmp_path / "file" / "report.html", report)
