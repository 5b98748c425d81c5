from pathlib import Path

import pytest

import crosstower as ct
from crosstower.errors import RunError
from crosstower.fitting.comparing.compare import compare
from crosstower.training.run import Run

from ...fixtures.compared import RANKS, frame, run_of


def test_equal_rows_are_known_by_their_fingerprint(rankers: tuple[Run, Run, Run]) -> None:
    again = ct.compare(rankers[:2])
    assert again.notes == ("Same rows, by their fingerprint.",)
    assert repr(again) == "Comparison(good vs bad: click, watch_time)"


def test_a_run_of_one_seed_is_said_to_lack_the_spread(rankers: tuple[Run, Run, Run]) -> None:
    good, _, blind = rankers
    note = compare([good, blind]).notes[-1]
    assert note.startswith("Trained with one seed: blind<b>. Their intervals and p values")


def test_a_ranker_and_a_retriever_are_not_compared(
    rankers: tuple[Run, Run, Run], retrievers: tuple[Run, Run]
) -> None:
    with pytest.raises(RunError, match="rankers and retrievers; compare runs of one kind"):
        compare([rankers[0], retrievers[0]])


def test_runs_that_cannot_be_compared_are_named(
    rankers: tuple[Run, Run, Run], tmp_path: Path
) -> None:
    good = rankers[0]
    with pytest.raises(RunError, match="expected two runs or more, got 1"):
        compare([good])
    with pytest.raises(RunError, match="is given twice"):
        compare([good, good])
    with pytest.raises(RunError, match="no run in this folder"):
        compare([good, tmp_path])
    parts = {"train": frame().head(700), "valid": frame().tail(200)}
    untested = run_of(RANKS, tmp_path / "untested", "training.epochs=1", data=parts)
    with pytest.raises(RunError, match="has no test rows to compare"):
        compare([good, untested])
    (untested.folder / "metrics.json").unlink()
    with pytest.raises(RunError, match="the training has not finished; continue with"):
        compare([good, untested])


def test_runs_of_the_same_name_are_told_apart_by_their_path(
    rankers: tuple[Run, Run, Run], tmp_path: Path
) -> None:
    other = run_of(RANKS, tmp_path / "good", "training.epochs=1")
    names = compare([rankers[0], other]).runs
    assert names == (str(rankers[0].folder), str(other.folder))
