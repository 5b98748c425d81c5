from typing import Any

import pytest

from crosstower.errors import TrainingError
from crosstower.fitting.tuning.folder import open_folder
from crosstower.fitting.tuning.result import TuneResult
from crosstower.fitting.tuning.study import Study
from crosstower.fitting.tuning.trial_run import TrialRows
from crosstower.fitting.tuning.tuning import Tuning


def test_the_best_trial_is_complete(tuned: TuneResult) -> None:
    recipe, search = open_folder(tuned.folder)
    study = Study(tuned.folder, search.settings, search.space, higher=search.higher)
    tuning = Tuning(recipe, tuned.folder, study, search, TrialRows(None), quiet=True)
    assert (tuning.best().number, tuning.best().value) == (tuned.best, tuned.value)


def test_pruned_trials_alone_give_no_recipe(tuned: TuneResult) -> None:
    class NoneComplete:
        def best(self) -> None:
            return None

        def trials(self) -> list[Any]:
            return []

    recipe, search = open_folder(tuned.folder)
    study: Any = NoneComplete()
    with pytest.raises(TrainingError, match="no trial ran to its end; run more --trials"):
        Tuning(recipe, tuned.folder, study, search, TrialRows(None), quiet=True).best()
