"""Trials of a tuning run, in an SQLite file that its processes share.

The sampler is Optuna's TPE (Bergstra et al. 2011), the pruner its median rule: a trial ends early
if its best value so far is worse than the median of the earlier trials at the same evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from crosstower.blending.tuning import import_optuna
from crosstower.fitting.tuning.space import Space, given_values, stored_values, suggested
from crosstower.recipe.tune import Tune

STUDY, LOCK = "study.db", "ask.lock"
_NAME = "tune"
_INTERRUPTED, _ERROR, _PROCESS, _START = "interrupted", "error", "process", "start"
_STARTUP = 5
_WAIT = 120.0  # seconds for the lock of the database

State = Literal["complete", "pruned", "failed", "interrupted", "running", "waiting"]


def optuna() -> Any:
    """Return the module optuna.

    Raises:
        RecipeError: it is not installed.

    """
    return import_optuna("tuning a recipe", "set the options by hand and compare runs")


class Study:
    """The trials in a folder.

    Args:
        folder: of the tuning.
        settings: the `tune` section of the recipe.
        space: that trials are drawn from.
        higher: whether higher values are better.

    """

    def __init__(self, folder: Path, settings: Tune, space: Space, *, higher: bool) -> None:
        self._optuna, self._folder, self._settings, self._space = optuna(), folder, settings, space
        self.higher = higher
        connect = {"connect_args": {"timeout": _WAIT}}
        address = f"sqlite:///{(folder / STUDY).absolute()}"
        storage = self._optuna.storages.RDBStorage(address, engine_kwargs=connect)
        warmup = settings.prune_after
        pruners = self._optuna.pruners
        self._study = self._optuna.create_study(
            study_name=_NAME,
            storage=storage,
            direction="maximize" if higher else "minimize",
            pruner=pruners.NopPruner()
            if warmup is None
            else pruners.MedianPruner(_STARTUP, warmup, n_min_trials=_STARTUP),
            load_if_exists=True,
        )

    def begin(self, values: Mapping[str, Any]) -> None:
        """Let the first trial be that of given values; other options of it are drawn."""
        if not self.trials():
            start = stored_values(self._space, values)
            self._study.enqueue_trial(start, user_attrs={_START: "recipe"})

    def ask(self, limit: int, process: int) -> Trial | None:
        """Return the next trial; None once there are `limit`, without interrupted ones.

        The draw depends only on the seed and on the earlier trials, so that an
        interrupted run tries the same values as an uninterrupted one.

        Args:
            limit: of trials.
            process: id of the process that runs the trial.

        """
        with FileLock(self._folder / LOCK):
            counted = self.counted()
            if counted >= limit:
                return None
            self._study.sampler = self._optuna.samplers.TPESampler(
                seed=1_000_003 * self._settings.seed + counted
            )
            asked = self._study.ask()
            asked.set_user_attr(_PROCESS, process)
            return Trial(asked, suggested(asked, self._space))

    def tell(self, trial: Trial, value: float | None, *, error: str | None = None) -> None:
        """Record the end of a trial.

        Args:
            trial: from `ask`.
            value: of the monitored metric; None if the trial was pruned or has failed.
            error: why the trial has failed.

        """
        states = self._optuna.trial.TrialState
        if error is not None:
            trial.asked.set_user_attr(_ERROR, error)
            self._study.tell(trial.asked, state=states.FAIL)
        elif value is None:
            self._study.tell(trial.asked, state=states.PRUNED)
        else:
            self._study.tell(trial.asked, value)

    def fail(self, process: int, error: str) -> None:
        """Record the trial of a process that has ended as failed.

        Args:
            process: id.
            error: why it ended.

        """
        for found in self._running():
            if found.user_attrs.get(_PROCESS) == process:
                self._end(found, _ERROR, error)

    def take_up(self) -> int:
        """Requeue the trials of dead workers; return their number."""
        stale = self._running()
        for found in stale:
            self._end(found, _INTERRUPTED, "true")
            start = {_START: found.user_attrs[_START]} if _START in found.user_attrs else None
            self._study.enqueue_trial(found.params, user_attrs=start)
        return len(stale)

    def _running(self) -> list[Any]:
        running = self._optuna.trial.TrialState.RUNNING
        return self._study.get_trials(deepcopy=False, states=(running,))

    def _end(self, found: Any, key: str, value: str) -> None:
        storage, states = self._study._storage, self._optuna.trial.TrialState
        storage.set_trial_user_attr(found._trial_id, key, value)
        self._study.tell(found.number, state=states.FAIL)

    def trials(self) -> list[Any]:
        """Return Optuna's records of all trials, by number."""
        return self._study.get_trials(deepcopy=False)

    def counted(self) -> int:
        """Return the number of trials that have begun, without interrupted ones."""
        return sum(state_of(t) not in ("interrupted", "waiting") for t in self.trials())

    def best(self) -> Any | None:
        """Return the record of the best complete trial, the first of equal ones; None if none is.

        Pruned trials do not count: their values are of fewer evaluations.
        """
        complete = [t for t in self.trials() if state_of(t) == "complete"]
        sign = -1.0 if self.higher else 1.0
        return min(complete, key=lambda t: (sign * t.value, t.number), default=None)

    def values_of(self, found: Any) -> dict[str, Any]:
        """Return the values of a record, by option."""
        return given_values(self._space, found.params)

    def importance(self) -> dict[str, float]:
        """Return the share of each option in the variance of the value, by fANOVA.

        Hutter et al. 2014. Empty with fewer than four complete trials, or if all values are equal.
        """
        complete = [t for t in self.trials() if state_of(t) == "complete"]
        if len(complete) < 4 or len({t.value for t in complete}) == 1:
            return {}
        module = self._optuna.importance
        shares = module.get_param_importances(
            self._study, evaluator=module.FanovaImportanceEvaluator(seed=self._settings.seed)
        )
        return {key: float(share) for key, share in shares.items()}


class Trial:
    """One running trial: its number, values and reported evaluations.

    Args:
        asked: Optuna's trial.
        values: by option.

    """

    def __init__(self, asked: Any, values: Mapping[str, Any]) -> None:
        self.asked, self.values = asked, dict(values)

    @property
    def number(self) -> int:
        """From 0."""
        return self.asked.number

    def is_beaten(self, value: float, evaluation: int) -> bool:
        """Record a value; return whether the trial should end.

        The trial of the recipe's own values goes to its end, also if it was interrupted and begins
        again behind others: no tuning is worse than its recipe.

        Args:
            value: of the monitored metric.
            evaluation: its number, from 1.

        """
        self.asked.report(value, evaluation)
        return _START not in self.asked.user_attrs and self.asked.should_prune()

    def note(self, **figures: Any) -> None:
        """Record numbers of the trial, such as its seconds."""
        for name, figure in figures.items():
            self.asked.set_user_attr(name, figure)


def state_of(found: Any) -> State:
    """Return the state of a record of Optuna."""
    name = found.state.name
    if name == "FAIL":
        return "interrupted" if _INTERRUPTED in found.user_attrs else "failed"
    names: dict[str, State] = {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        "RUNNING": "running",
        "WAITING": "waiting",
    }
    return names[name]


def error_of(found: Any) -> str | None:
    """Return why a trial has failed."""
    return found.user_attrs.get(_ERROR)


def errors_of(trials: Sequence[Any]) -> list[tuple[int, str]]:
    """Return (number, error) of the trials that have failed."""
    return [
        (t.number, error_of(t) or "no reason was kept") for t in trials if state_of(t) == "failed"
    ]
