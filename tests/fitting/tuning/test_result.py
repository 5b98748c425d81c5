import re
from dataclasses import replace

import polars as pl

from crosstower.fitting.tuning.folder import open_folder
from crosstower.fitting.tuning.result import TuneResult, trials_frame
from crosstower.fitting.tuning.study import Study


def test_the_table_has_a_row_per_trial(tuned: TuneResult) -> None:
    _, search = open_folder(tuned.folder)
    study = Study(tuned.folder, search.settings, search.space, higher=search.higher)
    frame = trials_frame(study, list(search.space))
    assert frame.equals(tuned.trials)
    assert frame["trial"].to_list() == list(range(9))
    assert frame.columns[-3:] == ["training.learning_rate", "model.hidden", "model.dropout"]
    assert set(frame["model.hidden"]) <= {"[8]", "[16, 8]"}
    complete = frame.filter(pl.col("state") == "complete")
    assert complete["epochs"].to_list() == [4] * complete.height
    assert frame["seconds"].min() > 0
    assert set(frame["state"]) == {"complete", "pruned"}
    assert frame["value"].null_count() == 0  # a pruned one has its last


def test_a_notebook_shows_the_best_options_and_links_to_the_pages(tuned: TuneResult) -> None:
    html = tuned._repr_html_()
    assert f"{tuned.monitor} {tuned.value:.4f} in trial {tuned.best} of 9 trials" in html
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    best = tuned.trials.row(by_predicate=pl.col("trial") == tuned.best, named=True)
    assert cells[::3] == ["training.learning_rate", "model.hidden", "model.dropout"]
    assert cells[4] == best["model.hidden"]
    assert cells[2] == f"{tuned.importance['training.learning_rate']:.0%}"
    for path in (tuned.page, tuned.tuned, tuned.run.report):
        assert path.as_uri() in html


def test_a_notebook_escapes_options_and_has_dashes_without_importance(tuned: TuneResult) -> None:
    trials = pl.DataFrame({"trial": [0], "state": ["complete"], "model.body": ["<deep>"]})
    html = replace(tuned, trials=trials, best=0, importance={})._repr_html_()
    assert "&lt;deep&gt;" in html
    assert "<deep>" not in html
    assert ">–</td>" in html
