from dataclasses import replace

import polars as pl

from crosstower.fitting.tuning.folder import open_folder
from crosstower.fitting.tuning.page import (
    cell,
    own_value,
    render_tune_page,
    sentences_of,
    winner_value,
)
from crosstower.fitting.tuning.result import TuneResult


def test_the_page_is_whole_and_refers_to_nothing_outside(tuned: TuneResult) -> None:
    html = tuned.page.read_text()
    assert html == render_tune_page(tuned, open_folder(tuned.folder)[1])
    for title in ("Findings", "Best values", "History", "Parallel coordinates", "Trials"):
        assert title in html
    assert html.count("<svg") == 2
    assert "http" not in html
    assert f"{tuned.value:.4f}" in html
    assert "training.learning_rate" in html
    assert f"winner-{tuned.best}/report.html" in html


def test_failed_trials_are_listed_with_their_reason(tuned: TuneResult) -> None:
    search = open_folder(tuned.folder)[1]
    assert "Failed trials" not in render_tune_page(tuned, search)
    last = pl.col("trial") == 8
    trials = tuned.trials.with_columns(
        state=pl.when(last).then(pl.lit("failed")).otherwise("state"),
        error=pl.when(last).then(pl.lit("loss <became> nan")).otherwise("error"),
    )
    html = render_tune_page(replace(tuned, trials=trials), search)
    assert "Trial 8: loss &lt;became&gt; nan" in html


def test_the_sentences_name_the_gain_and_its_luck(tuned: TuneResult) -> None:
    own, again = own_value(tuned), winner_value(tuned)
    assert own is not None
    assert again is not None
    best, luck = sentences_of(tuned)
    assert best == (
        f"Best click.log_loss on validation rows: {tuned.value:.4f}, in trial {tuned.best}. The"
        f" recipe's own values reach {own:.4f}."
    )
    assert luck.startswith(f"Trained again with 2 seeds, the best values reach {again} on")
    unmoved = replace(tuned, best=0)
    assert "No trial is better than the recipe's own values." in sentences_of(unmoved)[0]


def test_cells_are_short() -> None:
    assert [cell(value) for value in (None, 0.123456, 7, "[8]")] == ["–", "0.1235", "7", "[8]"]
