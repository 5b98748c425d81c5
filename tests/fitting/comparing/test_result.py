import json
import math
from html import unescape

import numpy as np
import polars as pl
import pytest

from crosstower.evaluation.metrics.summary import Summary
from crosstower.fitting.comparing.compare import compare
from crosstower.fitting.comparing.page import sentences_of
from crosstower.fitting.comparing.result import Comparison, TaskComparison
from crosstower.training.run import Run


@pytest.fixture
def compared(rankers: tuple[Run, Run, Run]) -> Comparison:
    return compare(rankers)


def test_frames_and_json_hold_the_same(compared: Comparison) -> None:
    plain = compared.plain()
    json.dumps(plain, allow_nan=False)
    assert len(plain["tests"]) == compared.tests().height == 2 * 2 * 3
    metrics = compared.metrics().filter(pl.col("run") == "blind<b>")
    assert metrics["sd"].null_count() == metrics.height  # one seed
    assert all(math.isfinite(t["p"]) for t in plain["tests"])
    assert np.isfinite(compared.tests()["value"].to_numpy()).all()


def test_a_notebook_shows_metrics_and_findings_escaped(compared: Comparison) -> None:
    html = compared._repr_html_()
    assert "blind&lt;b&gt;" in html
    assert "<b>blind" not in html
    assert ">click</td>" in html
    assert str(compared.tasks[0].metrics["good"]["auc"]) in html
    for sentence in [*sentences_of(compared), *compared.notes]:
        assert sentence in unescape(html)


def test_a_metric_that_is_not_defined_is_a_dash_in_a_notebook() -> None:
    metrics = {"a": {"auc": Summary(math.nan)}, "b": {"log_loss": Summary(0.5)}}
    task = TaskComparison("click", 9, metrics, {})
    html = Comparison(("a", "b"), ("mlp", "mlp"), (task,), (), ())._repr_html_()
    assert html.count(">–</td>") == 3
    assert ">0.5000</td>" in html
