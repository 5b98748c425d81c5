"""A blend fitted on held-out predictions: scores rows, and is saved as one JSON file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field
from scipy.special import xlogy

from crosstower.blending.columns import (
    amounts_of,
    checked_predictions,
    column_of,
    most_rows_first,
    named_types,
    numbers_of,
    predictions_of,
    refuse,
    types_of,
)
from crosstower.blending.transforms import BlendMaps, fit_transform
from crosstower.data.content_types import ContentTypes
from crosstower.errors import DataError, RunError
from crosstower.recipe.blend import Blend, check_blend
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.tasks import HeadKind
from crosstower.storage.documents import read_document
from crosstower.storage.files import write_atomic
from crosstower.values.arrays import Floats, Indices

MIN_ROWS = 50
"""A content type with fewer rows to fit on uses the map of all types."""

FORMAT = 1


class FittedBlend(FrozenModel):
    """A blend with its fitted maps, from `fit_blend`.

    Rows whose content type is missing, was unseen in fitting, or had fewer than `MIN_ROWS` rows use
    the map of all types: `unseen` counts them, `notes` name the small types.
    """

    format: Literal[1] = FORMAT
    spec: Blend
    maps: dict[str, BlendMaps] = Field(default={})
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The raw columns that scoring and diversity need besides the predictions."""
        return self.spec.columns()

    def parts(self, frame: pl.DataFrame) -> dict[str, Floats]:
        """Return the contribution of each task to the score of each row, `{task: [rows]}`.

        In mode sum these are w_t·g_t(p_t), with the score as their sum. In mode product they are
        a_t·log p_t (-inf for a prediction of 0), with the log of the score, before the amount, as
        their sum.

        Raises:
            DataError: a column is missing, or a prediction is unusable; see `score`.

        """
        weights, predictions = self.spec.weights, self._predictions(frame)
        if self.spec.mode == "product":
            return {t: xlogy(a, _base(predictions[t], t, a)) for t, a in weights.items()}
        return self._added(predictions, self._types_of(frame))

    def score(self, frame: pl.DataFrame) -> Floats:
        """Return the score of each row `[rows]`; higher is better.

        Raises:
            DataError: a column is missing, a prediction is not finite (or not a probability, if
                logit or probit require one); in mode product a prediction is negative, or 0 with a
                negative exponent, or an amount is missing or negative.

        """
        amount = self.spec.amount
        amounts = None if amount is None else amounts_of(frame, amount)
        return self.combine(self._predictions(frame), types=self._types_of(frame), amounts=amounts)

    def combine(
        self,
        predictions: Mapping[str, Floats],
        *,
        types: ContentTypes | None = None,
        amounts: Floats | None = None,
    ) -> Floats:
        """Return the score of each row `[rows]` from arrays, as `score` from a frame.

        Args:
            predictions: of each task of the blend `[rows]`.
            types: of the rows, if the blend has `by`.
            amounts: of the rows, finite and 0 or more, if the blend has `amount`.

        Raises:
            DataError: a prediction is unusable; see `score`.

        """
        if self.spec.mode == "sum":
            return np.sum([*self._added(predictions, types).values()], axis=0)
        total: Floats = np.ones(1)
        for task, exponent in self.spec.weights.items():
            total = total * _base(predictions[task], task, exponent) ** exponent
        return total if amounts is None else total * amounts

    def unseen(self, frame: pl.DataFrame) -> Counter[str | None]:
        """Count the rows that use the map of all types, by type; None is a missing type.

        Sorted by falling count, then by name, None last.
        """
        if self.spec.by is None:
            return Counter()
        types = types_of(frame, self.spec.by)
        others = types.filter(~types.is_in(self._types()).fill_null(value=False))
        return most_rows_first(dict(others.value_counts().iter_rows()))

    def save(self, path: str | Path) -> None:
        """Write the blend to a JSON file, atomically.

        Raises:
            OSError: the folder cannot be written, or the disk is full.

        """
        write_atomic(Path(path), self.model_dump_json().encode())

    def _added(
        self, predictions: Mapping[str, Floats], types: ContentTypes | None
    ) -> dict[str, Floats]:
        """Return the contribution of each task in mode sum."""
        places = [] if types is None else types.rows_of(self._types())
        for task in self.spec.weights:
            bounded = self.maps[task].overall.kind in ("logit", "probit")
            checked_predictions(predictions[task], task, probabilities=bounded)
        return {
            task: weight * self.maps[task].apply(predictions[task], places)
            for task, weight in self.spec.weights.items()
        }

    def _predictions(self, frame: pl.DataFrame) -> dict[str, Floats]:
        return {task: numbers_of(frame, f"{task}__prediction") for task in self.spec.weights}

    def _types_of(self, frame: pl.DataFrame) -> ContentTypes | None:
        by = self.spec.by
        return None if by is None else ContentTypes.of(column_of(frame, by))

    def _types(self) -> list[str]:
        return list(next(iter(self.maps.values())).types)


def fit_blend(spec: Blend, kinds: Mapping[str, HeadKind], frame: pl.DataFrame) -> FittedBlend:
    """Return a blend fitted on predictions of rows that the model was not trained on.

    Args:
        spec: tasks, weights and transforms.
        kinds: of the model's tasks; decides how a transform for all tasks treats numbers.
        frame: held-out rows with `TASK__prediction` and the columns `by` and `amount` of the blend.

    Raises:
        RecipeError: the blend does not fit the tasks.
        DataError: there are no rows, a column is missing, or a prediction is unusable.

    """
    check_blend(spec, kinds)
    if frame.height == 0:
        raise DataError("blend: no rows to fit on; give it the predictions of the validation rows")
    if spec.mode == "product":
        fitted = FittedBlend(spec=spec)
        fitted.score(frame)  # nothing to fit, but unusable rows are better found now
        return fitted
    places, notes = list[tuple[str | None, Indices]](), tuple[str, ...]()
    if spec.by is not None:
        types = types_of(frame, spec.by)
        counts = types.drop_nulls().value_counts(sort=True)
        large = counts.filter(pl.col("count") >= MIN_ROWS)["type"].sort()
        places = ContentTypes.of(types).rows_of(large)[:-1]
        notes = _notes(spec.by, counts.filter(pl.col("count") < MIN_ROWS))
    maps = {t: _fit_task(spec, t, kinds[t], frame, places) for t in spec.weights}
    return FittedBlend(spec=spec, maps=maps, notes=notes)


def load_blend(path: str | Path) -> FittedBlend:
    """Read a blend written by `FittedBlend.save`.

    Raises:
        RunError: the file is missing, damaged, or of a newer version.

    """
    return read_document(
        Path(path),
        FittedBlend,
        newest=FORMAT,
        error=RunError,
        again="fit the blend again",
        damaged="damaged or missing",
    )


def _fit_task(
    spec: Blend,
    task: str,
    kind: HeadKind,
    frame: pl.DataFrame,
    places: list[tuple[str | None, Indices]],
) -> BlendMaps:
    transform, comparable = spec.transform_of(task, kind), spec.by is not None
    x = predictions_of(frame, task, probabilities=transform in ("logit", "probit"))
    types = {str(t): fit_transform(transform, x[rows], comparable=comparable) for t, rows in places}
    return BlendMaps(overall=fit_transform(transform, x, comparable=comparable), types=types)


def _base(predictions: Floats, task: str, exponent: float) -> Floats:
    """Return the predictions of a task in mode product, which requires them to be 0 or more."""
    x = checked_predictions(predictions, task)
    rule = f"task '{task}': mode product needs a prediction"
    refuse(x < 0.0, x, f"{rule} of 0 or more (clip it, or use mode: sum)")
    if exponent < 0.0:
        refuse(x == 0.0, x, f"{rule} above 0, as its exponent {exponent:g} is negative")
    return x


def _notes(by: str, small: pl.DataFrame) -> tuple[str, ...]:
    """Return the sentence about types with few rows, if there are any."""
    if small.height == 0:
        return ()
    rule = f"had fewer than {MIN_ROWS} rows to fit on and use the map of all types together."
    return (f"{by}: {named_types(dict(small.iter_rows()))} {rule}",)
