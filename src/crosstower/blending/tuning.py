"""Tuning of a blend's weights for a declared utility, by Optuna's TPE sampler.

The weights are searched as T - 1 numbers, log(w_i / (w_{i+1} + ... + w_T)), so that different
numbers give different orders and each ratio is searched on a log scale.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from crosstower.blending.blender import fit_blend
from crosstower.blending.measures import OrderMeasures, OrderResults
from crosstower.blending.pareto import front_of
from crosstower.blending.utility import Utility
from crosstower.data.progress import OnProgress, no_progress
from crosstower.errors import RecipeError
from crosstower.recipe.blend import Blend, Transform
from crosstower.recipe.tasks import HeadKind
from crosstower.values.arrays import Floats

_WIDEST = float(np.log(1e4))  # of a searched log ratio


@dataclass(frozen=True)
class Kept:
    """A constraint in words, and its value for the chosen blend."""

    words: str
    reached: float


@dataclass(frozen=True)
class Tuned:
    """The best blend that meets all constraints, and all trials.

    `trials` has one row per blend tried: `trial`, `start` (its name if it was not sampled),
    `transform`, `by`, `utility`, `feasible`, `TASK__weight` and `TASK__ndcg` per task, and the
    value of each constraint. All results are of the rows used for tuning and thus optimistic:
    report the blend on test rows. `left_out` rows have no value, as a label or the user is missing.
    """

    blend: Blend
    utility: float
    constraints: tuple[Kept, ...]
    trials: pl.DataFrame
    left_out: int

    @property
    def pareto(self) -> pl.DataFrame:
        """The trials on the Pareto front of the tasks' NDCG."""
        columns = [name for name in self.trials.columns if name.endswith("__ndcg")]
        return self.trials.filter(pl.Series(front_of(self.trials, columns)))


@dataclass(frozen=True)
class _Candidate:
    """A blend to try."""

    weights: Mapping[str, float]
    transform: Transform
    by: str | None
    start: str | None = None

    def blend(self) -> Blend:
        weights = {task: weight for task, weight in self.weights.items() if weight != 0.0}
        return Blend(weights=weights, transform=self.transform, by=self.by)


def tune_blend(
    utility: Utility,
    kinds: Mapping[str, HeadKind],
    frame: pl.DataFrame,
    *,
    on_progress: OnProgress = no_progress,
) -> Tuned:
    """Return the blend of all tasks with the highest utility that meets the constraints.

    Transforms are fitted and blends measured on the same rows, which must differ from those that
    the model was trained on and from those of the report. The first trials are, per content type
    column and transform, the utility's values as weights, equal weights, and each single task. The
    result is never worse than those on these rows, if they meet the constraints.

    Args:
        utility: its `transforms` and `by` are searched, its seed makes the search reproducible.
        kinds: of the model's tasks; all of them are blended.
        frame: held-out rows with labels, predictions and the columns of the utility.
        on_progress: called once per trial.

    Raises:
        RecipeError: Optuna is not installed, the utility names an unknown task, or no trial meets
            all constraints.
        DataError: a column is missing, a label or prediction is unusable, or no row has any value.

    """
    optuna = import_optuna("tuning a blend", "set blend.weights by hand")
    measures = OrderMeasures(utility, kinds, frame)
    starts = _starts(utility, list(kinds))
    count = max(utility.trials, len(starts))
    if len(kinds) == 1 or not measures.possible():
        count = len(starts)  # all there is to try, or enough to say why nothing fits
    parts, tried = _Parts(kinds, frame), list[tuple[_Candidate, OrderResults]]()
    with quiet(optuna):
        study = _study(optuna, utility, starts)
        for number in range(count):
            trial = study.ask()
            candidate = _suggested(trial, utility, list(kinds))
            # A start keeps its own weights: what is searched is rounded.
            candidate = starts[number] if number < len(starts) else candidate
            figures = measures.of(parts.score(candidate))
            for i, excess in enumerate(measures.excess(figures)):
                trial.set_constraint(str(i), excess)
            study.tell(trial, figures.utility)
            tried.append((candidate, figures))
            on_progress(f"tuning, utility {figures.utility:.4f}", number + 1, count)
    return _tuned(utility, measures, tried)


def _study(optuna: Any, utility: Utility, starts: list[_Candidate]) -> Any:
    sampler = optuna.samplers.TPESampler(seed=utility.seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for start in starts:
        study.enqueue_trial(_parameters(start))
    return study


class _Parts:
    """Transformed predictions of all tasks, computed once per transform and content type."""

    def __init__(self, kinds: Mapping[str, HeadKind], frame: pl.DataFrame) -> None:
        self._kinds, self._frame = kinds, frame
        self._made: dict[tuple[Transform, str | None], dict[str, Floats]] = {}

    def score(self, candidate: _Candidate) -> Floats:
        key = (candidate.transform, candidate.by)
        if key not in self._made:
            even = Blend(weights=dict.fromkeys(self._kinds, 1.0), transform=key[0], by=key[1])
            self._made[key] = fit_blend(even, self._kinds, self._frame).parts(self._frame)
        weights = candidate.blend().weights
        return sum(
            (w * self._made[key][t] for t, w in weights.items()), np.zeros(self._frame.height)
        )


def _starts(utility: Utility, tasks: list[str]) -> list[_Candidate]:
    """Return the obvious first candidates, the simplest first."""
    found = list[_Candidate]()
    for by, transform in itertools.product(utility.by, utility.transforms):
        values = {task: utility.values.get(task, 0.0) for task in tasks}
        found.append(_Candidate(values, transform, by, "values as weights"))
        found.append(_Candidate(dict.fromkeys(tasks, 1.0), transform, by, "equal weights"))
        if transform == utility.transforms[0]:  # alone, others differ by content type at most
            alone = ({t: float(t == task) for t in tasks} for task in tasks)
            named = zip(tasks, alone, strict=True)
            found += [_Candidate(w, transform, by, f"{task} alone") for task, w in named]
    return found


def _suggested(trial: Any, utility: Utility, tasks: list[str]) -> _Candidate:
    ratios = [trial.suggest_float(f"{t}__weight", -_WIDEST, _WIDEST) for t in tasks[:-1]]
    shares = expit(ratios).tolist()
    left = np.cumprod([1.0, *(1.0 - share for share in shares)])
    weights = dict(zip(tasks, (left * [*shares, 1.0]).tolist(), strict=True))
    transform = trial.suggest_categorical("transform", list(utility.transforms))
    return _Candidate(weights, transform, trial.suggest_categorical("by", list(utility.by)))


def _parameters(candidate: _Candidate) -> dict[str, Any]:
    """Return the search parameters that give these weights, approximately."""
    weights = np.array(list(candidate.weights.values()))
    rest = np.cumsum(weights[::-1])[::-1][1:]
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing, or nothing left
        ratios = np.log(weights[:-1]) - np.log(rest)
    ratios = np.nan_to_num(ratios, nan=0.0).clip(-_WIDEST, _WIDEST)
    names = [f"{task}__weight" for task in list(candidate.weights)[:-1]]
    numbers = dict(zip(names, ratios.tolist(), strict=True))
    return numbers | {"transform": candidate.transform, "by": candidate.by}


def _tuned(
    utility: Utility, measures: OrderMeasures, tried: list[tuple[_Candidate, OrderResults]]
) -> Tuned:
    feasible = [max(measures.excess(f), default=0.0) <= 0.0 for _, f in tried]
    if not any(feasible):
        raise RecipeError(_impossible(utility, measures, [f for _, f in tried]))
    kept = [pair for pair, good in zip(tried, feasible, strict=True) if good]
    candidate, figures = max(kept, key=lambda pair: pair[1].utility)  # the first of equal ones
    words = [constraint.words for constraint in utility.constraints]
    return Tuned(
        blend=candidate.blend(),
        utility=figures.utility,
        constraints=tuple(Kept(*pair) for pair in zip(words, figures.reached, strict=True)),
        trials=_table(words, tried, feasible),
        left_out=measures.left_out,
    )


def _table(
    words: list[str], tried: list[tuple[_Candidate, OrderResults]], feasible: list[bool]
) -> pl.DataFrame:
    rows = [
        {"trial": number, "start": c.start, "transform": c.transform, "by": c.by}
        | {"utility": figures.utility, "feasible": good}
        | {f"{task}__weight": weight for task, weight in c.weights.items()}
        | {f"{task}__ndcg": value for task, value in figures.ndcg.items()}
        | dict(zip(words, figures.reached, strict=True))
        for number, ((c, figures), good) in enumerate(zip(tried, feasible, strict=True))
    ]
    text = {"start": pl.String, "by": pl.String}
    return pl.DataFrame(rows, schema_overrides=text, infer_schema_length=None)


def _impossible(utility: Utility, measures: OrderMeasures, tried: list[OrderResults]) -> str:
    excess = np.array([measures.excess(figures) for figures in tried])  # [trials, constraints]
    lines = [f"none of {len(tried)} blends keeps to the constraints:"]
    for i, constraint in enumerate(utility.constraints):
        side = "lowest" if constraint.max_share is not None else "highest"
        nearest = tried[int(excess[:, i].argmin())].reached[i]
        lines.append(
            f"- {constraint.words}: nearest {nearest:.3g}; the {side} that any order of these rows"
            f" can reach is {measures.limit(i):.3g}"
        )
    advice = "search more widely (trials, transforms, by), cap types with blend.diversity"
    if not measures.possible():
        advice = "set each bound within what an order can reach"
    return "\n".join([*lines, f"loosen the constraints or {advice}"])


@contextmanager
def quiet(optuna: Any) -> Generator[None]:
    """Keep Optuna from logging each step."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def import_optuna(purpose: str, instead: str) -> Any:
    """Return the module optuna.

    Args:
        purpose: of the package, for the message.
        instead: the alternative without it.

    Raises:
        RecipeError: it is not installed.

    """
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise RecipeError(
            f"{purpose} needs the package optuna; install it with:"
            f" pip install 'crosstower[tune]', or {instead}"
        ) from error
