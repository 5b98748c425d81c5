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
