import importlib
import os
from pathlib import Path

import pytest

from crosstower.errors import RecipeError
from crosstower.fitting.tuning import study as module
from crosstower.fitting.tuning.study import Study, errors_of, state_of
from crosstower.recipe.tune import Dimension, Tune

SPACE = {"x": Dimension(low=0.0, high=1.0), "hidden": Dimension(choices=([8], [16, 8]))}
ME = os.getpid()


def study_in(folder: Path, seed: int = 0, *, higher: bool = True) -> Study:
    folder.mkdir(exist_ok=True)
    return Study(folder, Tune(seed=seed, prune_after=1), SPACE, higher=higher)


def run(study: Study, limit: int) -> list[dict[str, object]]:
    tried = []
    while (trial := study.ask(limit, ME)) is not None:
        tried.append(trial.values)
        study.tell(trial, 1.0 - (trial.values["x"] - 0.3) ** 2)
    return tried


def test_the_first_trial_is_the_recipes_own(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.begin({"x": 0.5, "hidden": [16, 8]})
    first = run(study, 3)[0]
    assert first == {"x": 0.5, "hidden": [16, 8]}
    study.begin({"x": 0.1})  # of the same command again: no second start
    assert len(study.trials()) == 3
    assert study.values_of(study.trials()[0]) == first


def test_an_interrupted_study_tries_what_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = study_in(tmp_path / "whole")
    wanted = run(whole, 12)
    parts = study_in(tmp_path / "parts")
    run(parts, 6)
    stopped = parts.ask(12, 1)  # a process that is killed
    assert stopped is not None
    again = study_in(tmp_path / "parts")
    assert again.take_up() == 1
    found = run(again, 12)
    assert stopped.values == found[0]
    assert found == wanted[6:]
    assert [state_of(t) for t in again.trials()].count("interrupted") == 1
    assert again.counted() == 12
    assert run(study_in(tmp_path / "other", seed=1), 3) != wanted[:3]


def test_a_search_finds_the_optimum(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    run(study, 20)
    best = study.best()
    assert best is not None
    assert abs(best.params["x"] - 0.3) < 0.1
    shares = study.importance()
    assert shares["x"] > 0.8
    assert sum(shares.values()) == pytest.approx(1.0)


def test_a_trial_below_the_median_is_beaten_after_the_warm_up(tmp_path: Path) -> None:
    study = study_in(tmp_path, higher=False)
    for value in (0.1, 0.2, 0.3, 0.4, 0.5):
        trial = study.ask(9, ME)
        assert trial is not None
        for evaluation in (1, 2):
            assert not trial.is_beaten(value, evaluation)
        study.tell(trial, value)
    worse, better = study.ask(9, ME), study.ask(9, ME)
    assert worse is not None
    assert better is not None
    assert worse.is_beaten(0.35, 1)  # the median is 0.3
    assert not better.is_beaten(0.25, 1)
    study.tell(worse, None)
    study.tell(better, 0.05)
    assert [state_of(t) for t in study.trials()][-2:] == ["pruned", "complete"]
    best = study.best()
    assert best is not None
    assert best.number == better.number


def test_the_recipes_own_trial_is_not_beaten_when_it_begins_again(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.begin({"x": 0.5, "hidden": [8]})
    assert study.ask(9, 1) is not None  # a process that is killed
    for _ in range(6):
        other = study.ask(9, ME)
        assert other is not None
        assert not other.is_beaten(0.9, 1)
        study.tell(other, 0.9)
    again = study_in(tmp_path)
    again.take_up()
    own = again.ask(9, ME)
    assert own is not None
    assert own.values == {"x": 0.5, "hidden": [8]}
    assert not any(own.is_beaten(0.1, evaluation) for evaluation in (1, 2, 3))


def test_a_failed_trial_keeps_its_reason_and_ends_nothing(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    trial = study.ask(3, ME)
    assert trial is not None
    study.tell(trial, None, error="loss became nan")
    assert study.best() is None
    assert study.importance() == {}
    other = study.ask(3, 4711)
    assert other is not None
    study.fail(4711, "killed")
    assert errors_of(study.trials()) == [(0, "loss became nan"), (1, "killed")]
    assert study.take_up() == 0
    assert len(run(study, 3)) == 1


def test_without_optuna_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> object:
        if name == "optuna":
            raise ImportError
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    words = r"tuning a recipe needs .* pip install 'crosstower\[tune\]'"
    with pytest.raises(RecipeError, match=words):
        module.optuna()
