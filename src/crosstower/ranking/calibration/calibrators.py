"""Calibration of a run's tasks: fitted to validation rows, kept as JSON. No torch.

A task's predictions are first corrected for negatives that the training rows left out. Then comes
the map of the row's type (its value in column `by`) where that type has one, else that of all rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field, ValidationError

from crosstower.data.content_types import ContentTypes
from crosstower.errors import DataError, RunError
from crosstower.evaluation.metrics.predictions import column, rows_of_types, types_of
from crosstower.evaluation.metrics.values import refuse
from crosstower.ranking.calibration.maps import (
    Identity,
    Map,
    Sample,
    check_predictions,
    fit_calibration_map,
    prior_corrected,
)
from crosstower.ranking.calibration.platt import Range
from crosstower.recipe.calibration import Calibration, check_calibration
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.tasks import HeadKind
from crosstower.storage.files import write_atomic
from crosstower.values.arrays import Floats, Indices

_Fit = Callable[[Floats, Floats], Map | None]
_FALLING = "its labels do not rise with its predictions"
_SHOWN = 5


class CalibrationMaps(FrozenModel):
    """The maps of one task. `kept` is the share of its negatives in the training rows."""

    kind: HeadKind
    kept: Annotated[float, Field(gt=0, le=1)] = 1.0
    overall: Map
    by_type: dict[str, Map] = Field(default={})

    @property
    def changes(self) -> bool:
        """Whether any prediction may change."""
        return self.kept < 1 or bool(self.by_type) or not isinstance(self.overall, Identity)


class Calibrators(FrozenModel):
    """Result of `fit_calibrators`. `types` are all types found, with or without their own map.

    `notes` are sentences about rows, types and tasks that could not be fitted as configured.
    """

    format: Literal[1] = 1
    by: str | None = None
    types: tuple[str, ...] = ()
    maps: dict[str, CalibrationMaps]
    notes: tuple[str, ...] = ()

    @property
    def tasks(self) -> list[str]:
        """The tasks whose predictions may change."""
        return [task for task, maps in self.maps.items() if maps.changes]

    @property
    def kept(self) -> dict[str, float]:
        """The share of negatives in the training rows, of tasks where it is below 1."""
        return {task: maps.kept for task, maps in self.maps.items() if maps.kept < 1}

    def apply(self, frame: pl.DataFrame) -> dict[str, Floats]:
        """Return {task: calibrated predictions `[rows]`} of `tasks`; the others stay as they are.

        Args:
            frame: with a column `TASK__prediction` for each of `tasks`, and the column `by`.

        Raises:
            DataError: a column is missing, or a prediction is not finite or no probability.

        """
        types = None if self.by is None else types_of(frame, self.by)
        return self.calibrate({task: _numbers(frame, task) for task in self.tasks}, types)

    def calibrate(
        self, predictions: Mapping[str, Floats], types: ContentTypes | None
    ) -> dict[str, Floats]:
        """Return {task: calibrated predictions `[rows]`} of `tasks`, from arrays.

        Args:
            predictions: of each of `tasks` `[rows]`, NaN where missing.
            types: of the rows, if there is `by`.

        Raises:
            DataError: a prediction is not finite or no probability.

        """
        return {task: self._calibrated(task, predictions[task], types) for task in self.tasks}

    def _calibrated(self, task: str, predictions: Floats, types: ContentTypes | None) -> Floats:
        maps = self.maps[task]
        p = _corrected(predictions, task, maps)
        calibrated = maps.overall.apply(p)
        if types is not None and maps.by_type:
            for name, places in types.rows_of(maps.by_type)[:-1]:
                calibrated[places] = maps.by_type[str(name)].apply(p[places])
        return calibrated

    def unseen(self, frame: pl.DataFrame) -> Counter[str | None]:
        """Return the rows of each type that fitting did not meet; None counts those without a type.

        They take the map of all rows. Empty where nothing was fitted by type.

        Raises:
            DataError: the column `by` is missing.

        """
        rows, met = rows_of_types(frame, self.by), set(self.types)
        return Counter({name: len(places) for name, places in rows.items() if name not in met})

    def save(self, path: Path) -> None:
        """Write the calibrators as JSON, whole or not at all.

        Raises:
            RunError: the file cannot be written.

        """
        try:
            write_atomic(path, self.model_dump_json(indent=1).encode())
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error


def load_calibrators(path: Path) -> Calibrators:
    """Read calibrators written by `Calibrators.save`.

    Raises:
        RunError: the file is missing, damaged, or of another format.

    """
    try:
        return Calibrators.model_validate_json(path.read_bytes())
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"{path}: cannot be read: {reason}; train the run again") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise RunError(
            f"{path}: damaged, or calibrators of another format than 1: {place}: {first['msg']};"
            " use the version of crosstower that wrote it, or train the run again"
        ) from None


def fit_calibrators(
    section: Calibration,
    kinds: Mapping[str, HeadKind],
    ranges: Mapping[str, Range],
    frame: pl.DataFrame,
) -> Calibrators:
    """Fit the maps of all tasks to validation predictions.

    A type with too few labelled rows, or (binary) too few of either class, has no map of its own
    (see `Sample.too_few`). Nor has one whose labels do not rise with the predictions,
    because its map would turn the order round. A task where that holds for all rows, or whose
    labels hold one value only, keeps its predictions. `notes` says so in each case.

    Args:
        section: of the recipe.
        kinds: {task: kind} of all tasks.
        ranges: {task: (low, high)} of ratings, which their calibrated predictions do not leave.
        frame: validation rows with the columns `TASK` (null or NaN where missing),
            `TASK__prediction` and `section.by`.

    Raises:
        RecipeError: the section does not suit the tasks.
        DataError: a column is missing, a label or a prediction is outside the range of its kind,
            or a rating has no range.

    """
    check_calibration(section, kinds)
    rows, notes = rows_of_types(frame, section.by), list[str]()
    typed = {name: places for name, places in rows.items() if name is not None}
    if None in rows:
        notes.append(
            f"{len(rows[None]):,} rows have no {section.by}; they use the map of all rows."
        )
    maps: dict[str, CalibrationMaps] = {}
    for task, kind in kinds.items():
        kept, method = section.negative_sampling_rate.get(task, 1.0), section.method_of(task)
        maps[task] = CalibrationMaps(kind=kind, kept=kept, overall=Identity())
        if method == "none":
            continue
        if kind == "rating" and task not in ranges:
            raise DataError(f"ranges: rating '{task}' has none; give its (low, high)")
        fit = partial(fit_calibration_map, method, kind, limits=ranges.get(task))
        sample = Sample(kind, _labels(frame, task, kind), _predictions(frame, task, maps[task]))
        maps[task], found = _fit_task(maps[task], fit, sample, typed)
        notes += [f"{task}: {note}." for note in found]
    return Calibrators(by=section.by, types=tuple(typed), maps=maps, notes=tuple(notes))


def _fit_task(
    maps: CalibrationMaps, fit: _Fit, sample: Sample, rows: Mapping[str, Indices]
) -> tuple[CalibrationMaps, list[str]]:
    """Return the fitted maps of a task, and notes on rows and types that could not be fitted."""
    known = sample.labelled()
    if len(np.unique(known.y)) < 2:
        what = f"all labels are {known.y[0]:g}" if len(known.y) else "no row has a label"
        return maps, [f"not fitted: {what}"]
    overall = fit(known.y, known.p)
    notes = list[str]()
    if overall is None:
        notes.append(f"no map of all rows: {_FALLING}")
    elif few := known.too_few():
        notes.append(f"the map of all rows is rough: {few}")
    by_type, reasons = dict[str, Map](), dict[str, str]()
    for name, places in rows.items():
        part = sample.labelled(places)
        few = part.too_few()
        found = None if few else fit(part.y, part.p)
        if found is not None:
            by_type[name] = found
        else:
            reasons[name] = few or _FALLING
    if reasons:
        order = sorted(reasons, key=lambda name: (-len(rows[name]), name))
        notes.append(_without_map({name: reasons[name] for name in order}))
    overall = overall or Identity()
    return CalibrationMaps(kind=maps.kind, kept=maps.kept, overall=overall, by_type=by_type), notes


def _without_map(reasons: Mapping[str, str]) -> str:
    """Return the note on the types that have no map of their own."""
    shown = ", ".join(f"'{name}' ({why})" for name, why in list(reasons.items())[:_SHOWN])
    more = f" and {len(reasons) - _SHOWN:,} more" if len(reasons) > _SHOWN else ""
    what = "type takes" if len(reasons) == 1 else "types take"
    return f"{len(reasons):,} {what} the map of all rows: {shown}{more}"


def _labels(frame: pl.DataFrame, task: str, kind: HeadKind) -> Floats:
    """Return the labels, NaN where missing."""
    y = column(frame, task).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    refuse(np.isinf(y), y, f"column '{task}': expected a finite label")
    if kind == "binary":
        refuse((y != 0) & (y != 1) & ~np.isnan(y), y, f"column '{task}': expected 0 or 1")
    return y


def _predictions(frame: pl.DataFrame, task: str, maps: CalibrationMaps) -> Floats:
    """Return the predictions, corrected for the negatives that the training rows left out."""
    return _corrected(_numbers(frame, task), task, maps)


def _corrected(p: Floats, task: str, maps: CalibrationMaps) -> Floats:
    check_predictions(maps.kind, p, f"column '{task}__prediction'")
    return prior_corrected(p, maps.kept) if maps.kept < 1 else p


def _numbers(frame: pl.DataFrame, task: str) -> Floats:
    values = column(frame, f"{task}__prediction").cast(pl.Float64)
    return (values.fill_null(float("nan")) if values.null_count() else values).to_numpy()
