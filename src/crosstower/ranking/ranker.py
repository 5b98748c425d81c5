"""A trained ranker: the model of a run with its calibration and its blend, which scores rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from torch import nn

from crosstower.blending.blender import FittedBlend, load_blend
from crosstower.data.counters.counted_source import counted_source_of
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.fingerprints import Fingerprints, Recognised
from crosstower.data.sources.source import Source
from crosstower.data.tally import Tally
from crosstower.errors import RecipeError, RunError, notify
from crosstower.nn.position_bias import PositionBias
from crosstower.ranking.calibration.calibrators import Calibrators, load_calibrators
from crosstower.ranking.explain import Explanation
from crosstower.ranking.explain_rows import explain_rows
from crosstower.ranking.gates import gate_weights
from crosstower.ranking.scored_rows import RowScorer
from crosstower.ranking.scorer import Precision, Scorer
from crosstower.ranking.side_by_side import columns_of, fit_blends, with_scores
from crosstower.recipe.blend import Blend
from crosstower.training.run import BLEND, CALIBRATION, HasStages, Run


@dataclass(frozen=True)
class Ranker:
    """One model of a ranking run, opened to score rows.

    >>> import crosstower as ct
    >>> import polars as pl
    >>> ranker = ct.Ranker.open("runs/clicks")
    >>> ranker
    Ranker('runs/clicks': wide_deep, seed 0; click)
    >>> ranker.predict(pl.DataFrame({"user": [7, 7], "film": ["brazil", "ikiru"]})).shape
    (2, 1)

    Args:
        run: the run of the ranker.
        name: one of the run's models.
        seed: one of the run's seeds.

    """

    run: Run
    name: str
    seed: int

    def __repr__(self) -> str:
        """Return one line: run, model, seed and tasks."""
        tasks = ", ".join(self.run.recipe.schema_.tasks)
        return f"Ranker('{self.run.place}': {self.name}, seed {self.seed}; {tasks})"

    @staticmethod
    def open(
        run: Run | HasStages | str | Path, *, model: str | None = None, seed: int | None = None
    ) -> Ranker:
        """Open the ranker of a run, or of a bundle.

        Args:
            run: a ranking run, its folder, or an open bundle.
            model: one of the run's models; the main one if None.
            seed: one of the run's seeds; the first if None.

        Raises:
            RunError: there is no run, it retrieves, or it has no such model or seed.
            BundleError: the bundle only retrieves.

        """
        run = Run.of_stage(run, "ranking")
        if run.recipe.retrieval is not None:
            raise RunError(
                f"{run.folder}: a run that retrieves and scores no rows; ask it with: crosstower"
                " recommend, search or similar"
            )
        name, number = run.chosen(model, seed)
        return Ranker(run, name, number)

    @cached_property
    def model(self) -> nn.Module:
        """The network as it serves: without the bias tower of its training.

        Raises:
            RunError: its weights are damaged.

        """
        model = self.run.model(self.name, seed=self.seed)
        return model.served() if isinstance(model, PositionBias) else model

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the columns that the network reads."""
        bias = self.run.recipe.bias
        return self.run.encoder if bias is None else self.run.encoder.without(bias.columns)

    @cached_property
    def calibrators(self) -> Calibrators | None:
        """The calibration of the predictions, if the run has one."""
        path = self.run.model_folder(self.name, self.seed) / CALIBRATION
        return load_calibrators(path) if path.is_file() else None

    @cached_property
    def blend(self) -> FittedBlend | None:
        """The fitted blend, if the run keeps one."""
        path = self.run.model_folder(self.name, self.seed) / BLEND
        return load_blend(path) if path.is_file() else None

    def scorer(self, *, precision: Precision = "float32") -> Scorer:
        """Return the model with its calibration and its blend.

        Raises:
            RunError: there is no such precision.

        """
        return Scorer(self.encoder, self.model, self.calibrators, self.blend, precision)

    def tally(self) -> Tally:
        """Return the tally of scored rows, which also recognises training rows.

        Those of a run with a bias tower are not recognised, as they are scored without their bias
        columns.
        """
        known = Fingerprints.load(self.run.folder) if self.run.recipe.bias is None else None
        return Tally(recognised=None if known is None else Recognised(known))

    def predict(
        self,
        data: Any,
        *,
        columns: Sequence[str] = (),
        blend: bool | Blend | Mapping[str, Blend] = True,
        precision: Precision = "float32",
    ) -> pl.DataFrame:
        """Return a prediction per row of a file or a data frame, in their order.

        Rows whose bad cells the recipe skips have null predictions. Skipped rows, values never
        seen in training and rows that trained the model are reported by a `CrosstowerWarning`.

        Tables that the recipe joins are joined here too. For more rows than memory holds use
        `score` or the command `crosstower predict`.

        Args:
            data: a path, or a polars, pandas or Arrow table; labels are not needed.
            columns: raw columns to return with the predictions.
            blend: True to score by the blend that the run keeps as well, which may read a column
                more; another blend to score by; or blends by name to compare, each a column
                NAME__score. Given blends are fitted on the stored validation predictions, without
                diversity.
            precision: see `score`.

        Raises:
            DataError: a column is missing, or a cell is bad.
            RecipeError: a blend does not fit the tasks, or is none.
            RunError: there is no such precision, or a column that a blend reads is not stored.

        """
        if isinstance(blend, Blend):
            return self._side_by_side(data, columns, {"blend": blend}, precision)
        if isinstance(blend, Mapping):
            return self._side_by_side(data, columns, blend, precision)
        if not isinstance(blend, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RecipeError(
                f"blend: expected True, False, a Blend, or Blends by name, got {blend!r:.60}"
            )
        source, tally = counted_source_of(self.run.recipe, data), self.tally()
        rows = self._rows(columns, precision, tally, blend=blend)
        scored = pl.concat(list(rows.predictions(source)))
        notify(tally.warnings())
        return scored

    def _side_by_side(
        self, data: Any, columns: Sequence[str], blends: Mapping[str, Blend], precision: Precision
    ) -> pl.DataFrame:
        fitted = fit_blends(self.run, self.name, self.seed, blends)
        read = [name for name in columns_of(blends) if name not in columns]
        found = self.predict(data, columns=[*columns, *read], blend=False, precision=precision)
        return with_scores(found, fitted).drop(read)

    def gates(self, data: Any, *, by: str | None = None) -> pl.DataFrame:
        """Return the mean weight of each expert for each task, of an mmoe or ple model.

        Args:
            data: rows: a polars, pandas or Arrow table, or a path; labels are not needed.
            by: raw column by whose values the rows are grouped, such as a content type.

        Returns:
            `by` if given, `task`, `expert` from 0, `shared`, whether all tasks share the expert,
            `weight`, which sums to 1 per task, and `sd` over the rows.

        Raises:
            RunError: the model has no gates.
            DataError: a column is missing, or a cell is bad.

        """
        return gate_weights(self, data, by)

    def score(
        self,
        source: Source,
        *,
        columns: Sequence[str] = (),
        with_labels: bool = False,
        blend: bool = True,
        precision: Precision = "float32",
        tally: Tally | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Yield predictions chunk by chunk, in the order of the rows.

        Each frame has the raw `columns`, a column `TASK__prediction` per task (a probability, a
        rating, or a number in the label's units) and `blend__score` if the run has a blend and
        `blend` is true.
        Rows whose bad cells are skipped have null predictions. `with_labels` adds what evaluation
        of the predictions needs, and leaves the blend and skipped rows out. `tally` counts rows.

        `precision` bfloat16 computes the matrix products in that type, which processors with
        instructions for it do about 1.5 to 3 times as fast. It is not the default, as scores move:
        `python -m benchmarks rank` shows by how much (DCN-V2 on its click log: no probability by
        more than 0.002, the test AUC by less than 0.0001). Chunks are read and encoded ahead by a
        thread.

        Raises:
            DataError: a column is missing, or a cell is bad (unless `data.on_bad_rows` is skip).
            RunError: there is no such precision.

        """
        # Rows to evaluate predictions on may lack what the blend reads.
        blended = blend and not with_labels
        rows = self._rows(columns, precision, tally, blend=blended)
        yield from rows.targets(source) if with_labels else rows.predictions(source)

    def explain(
        self,
        data: Any,
        *,
        rows: Sequence[int] | None = None,
        background: int = 128,
        seed: int = 0,
    ) -> tuple[Explanation, ...]:
        """Return how much each column contributes to the predictions of some rows.

        The contributions of a task's columns sum to the prediction minus the base, the mean
        prediction of validation rows that the run keeps. They are Shapley values by sampling: see
        `crosstower.ranking.explain.shapley_values`. Several rows may be the candidates of one
        request.

        Args:
            data: a row as a mapping, rows as a list of mappings, a path, or a polars, pandas or
                Arrow table; labels are not needed.
            rows: numbers of the rows to explain, from 0; all of them if None. Explanations are in
                this order.
            background: number of validation rows to compare with, of the up to 256 that the run
                keeps; more give smaller errors.
            seed: of the orders in which columns are exchanged.

        Raises:
            DataError: a column is missing, a cell is bad, or there is no such row.
            RunError: the run keeps no background rows.

        """
        scorer = self.scorer().of_rows()
        return explain_rows(self.run, scorer, data, rows=rows, background=background, seed=seed)

    def _rows(
        self, columns: Sequence[str], precision: Precision, tally: Tally | None, *, blend: bool
    ) -> RowScorer:
        scorer = self.scorer(precision=precision).of_rows()
        if not blend:
            scorer = replace(scorer, blend=None)
        return RowScorer(self.run.recipe, scorer, columns, Tally() if tally is None else tally)
