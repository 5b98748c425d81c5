from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.training.run import Run


def test_a_run_is_one_short_line(feed_run: Run) -> None:
    assert repr(feed_run) == f"Run('{feed_run.folder}': shared_bottom, 2 seeds, 40,000 rows)"
    assert str(feed_run) == repr(feed_run)


def test_a_notebook_shows_every_task_and_model_with_its_metrics(feed_run: Run) -> None:
    html = feed_run._repr_html_()
    auc = feed_run.metrics["tasks"]["like"]["shared_bottom"]["auc"]
    assert f"{auc['mean']:.4f} ± {auc['sd']:.4f}" in html
    for words in ("like", "comment", "shared_bottom", "AUC", "Log loss", "2 seeds", "report.html"):
        assert words in html


def test_the_verdicts_of_the_report_are_below_the_table(feed_run: Run, film_run: Run) -> None:
    for run, names in ((feed_run, ["like", "comment"]), (film_run, ["retrieval"])):
        assert list(run.verdicts) == names
        html, report = unescape(run._repr_html_()), unescape(run.report.read_text())
        for name, sentences in run.verdicts.items():
            assert sentences
            for sentence in sentences:
                assert sentence in report
                assert (f"{name}: {sentence}" if len(names) > 1 else sentence) in html


def test_a_notebook_shows_a_retriever_with_its_baselines(film_run: Run) -> None:
    html = film_run._repr_html_()
    for model in film_run.metrics["retrieval"]:
        assert model in html
    assert "NDCG@10" in html


def test_a_plot_has_curves_and_calibration_per_task(feed_run: Run) -> None:
    titles = [axes.get_title() for axes in feed_run.plot().axes]
    assert "like: AUC by epoch, valid rows" in titles
    assert titles.count("calibration, test rows") == len(feed_run.recipe.schema_.tasks)


def test_the_plot_of_a_retriever_has_its_metric_by_epoch(film_run: Run) -> None:
    (axes,) = film_run.plot().axes
    assert axes.get_title() == "NDCG@10 by epoch, valid rows"
    assert len(axes.lines[0].get_ydata()) > 1  # type: ignore[arg-type]


def test_a_run_that_has_not_finished_says_how_to_go_on(feed_run: Run, tmp_path: Path) -> None:
    begun = replace(feed_run, folder=tmp_path)
    assert repr(begun).endswith("unfinished)")
    assert f"crosstower fit --resume {tmp_path}" in begun._repr_html_()
    with pytest.raises(RunError):
        begun.plot()
