import os
from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.fitting.tuning.trial_run import BeatenError, TrialWatcher, words_of
from crosstower.training.trainer import TrainingInterruptedError


class Reported:
    def __init__(self, beaten: int) -> None:
        self.beaten, self.values = beaten, list[tuple[float, int]]()

    def is_beaten(self, value: float, evaluation: int) -> bool:
        self.values.append((value, evaluation))
        return evaluation == self.beaten


def test_each_evaluation_is_reported_until_the_trial_is_beaten() -> None:
    trial: Any = Reported(beaten=2)
    watcher = TrialWatcher(trial, "click.auc")
    watcher.begin(rows=10, epoch=0)
    watcher.finish({"valid": {"click.auc": 0.6}})
    with pytest.raises(BeatenError):
        watcher.finish({"valid": {"click.auc": 0.5}})
    assert trial.values == [(0.6, 1), (0.5, 2)]


def test_a_trial_ends_with_the_process_that_leads_the_search() -> None:
    trial: Any = Reported(beaten=9)
    TrialWatcher(trial, "click.auc", os.getppid()).advance(rows=1, loss=0.5)
    TrialWatcher(trial, "click.auc").advance(rows=1, loss=0.5)
    with pytest.raises(TrainingInterruptedError):
        TrialWatcher(trial, "click.auc", os.getppid() + 1).advance(rows=1, loss=0.5)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RecipeError("model.heads: wrong\nmore"), "model.heads: wrong"),
        (RuntimeError("CUDA out of memory. Tried"), "out of memory: CUDA out of memory. Tried"),
        (MemoryError(), "out of memory: no message"),
        (ValueError("shape"), "ValueError: shape"),
    ],
)
def test_an_error_is_kept_as_one_sentence(error: Exception, words: str) -> None:
    assert words_of(error) == words
