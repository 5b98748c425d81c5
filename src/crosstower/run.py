"""A run folder: what a training leaves behind, opened again to score rows.

- `recipe.yaml`: the recipe, all data paths absolute
- `run.json`: versions, machine, seeds, facts about the data
- `encoder/`: the fitted encoder
- `fingerprints.parquet`: hashes that recognise training rows (rankers)
- `models/NAME/seed-S/`: best and last checkpoint, metrics.jsonl, the predictions of valid.parquet
  and test.parquet, and calibration.json, blend.json and refit.safetensors where there are any
- `metrics.json`: test metrics of every model, mean and sd over seeds
- `report.html`
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from torch import nn

from crosstower.arguments import path_of
from crosstower.blend.blender import FittedBlend, load_blend
from crosstower.data.encode import Encoder
from crosstower.data.encoder_files import load_encoder
from crosstower.data.fingerprints import Fingerprints, Recognised
from crosstower.data.prepare import source_of
from crosstower.data.sources import Source
from crosstower.data.tally import Tally
from crosstower.errors import RunError, did_you_mean, notify
from crosstower.evaluate.calibrators import Calibrators, load_calibrators
from crosstower.models.registry import build, require_model
from crosstower.recipe import Recipe, load_recipe
from crosstower.run_info import FORMAT, RunInfo
from crosstower.scored_rows import RowScorer
from crosstower.scores import Precision, Scorer
from crosstower.splits import GivenSplit
from crosstower.stored import read_document
from crosstower.train.checkpoint import load_weights
from crosstower.train.trainer import BEST

CALIBRATION, BLEND = "calibration.json", "blend.json"
BLENDED, METRICS, REPORT = "blended.json", "metrics.json", "report.html"
VALID, TEST = "valid.parquet", "test.parquet"
REFIT, REFIT_FOLDER = "refit.safetensors", "refit"


@dataclass(frozen=True)
class Run:
    """An open run folder."""

    folder: Path
    recipe: Recipe
    info: RunInfo

    @staticmethod
    def open(folder: str | Path) -> Run:
        """Open a run folder.

        Raises:
            RunError: there is no run, or it is damaged or of another format.

        """
        folder = path_of("run", folder, error=RunError, expected="a run folder")
        path = folder / "run.json"
        if not path.is_file():
            raise RunError(
                f"{folder}: no run in this folder (no run.json); give the folder that"
                " 'crosstower fit' wrote, such as runs/NAME"
            )
        info = read_document(path, RunInfo, newest=FORMAT, error=RunError, again="train again")
        return Run(folder, load_recipe(folder / "recipe.yaml"), info)

    @staticmethod
    def of(run: Run | str | Path) -> Run:
        """Return an open run, opened if its folder is given.

        Raises:
            RunError: there is no run, or it is damaged.

        """
        return run if isinstance(run, Run) else Run.open(run)

    @cached_property
    def encoder(self) -> Encoder:
        """The fitted encoder."""
        return load_encoder(self.folder / "encoder")

    @property
    def metrics(self) -> dict[str, Any]:
        """Test metrics: {"tasks": {task: {model: {metric: {"mean", "sd"}}}}, ...}.

        Raises:
            RunError: the training has not finished.

        """
        path = self.folder / METRICS
        if not path.is_file():
            raise RunError(
                f"{self.folder}: the training has not finished; go on with: {self.resume}"
            )
        return json.loads(path.read_bytes())

    @property
    def report(self) -> Path:
        """Where the report is."""
        return self.folder / REPORT

    @property
    def resume(self) -> str:
        """How to go on with the run: a command, or a call where the rows were tables."""
        if not self.info.tables:
            return f"crosstower fit --resume {self.folder}"
        given = isinstance(self.recipe.data.split, GivenSplit)
        rows = "data=ROWS, valid=ROWS, test=ROWS" if given else "data=ROWS"
        return f"crosstower.fit({str(self.folder)!r}, {rows}, resume=True) from Python, same rows"

    def model_folder(self, model: str, seed: int) -> Path:
        """Return the folder of one training.

        Raises:
            RunError: the run has no such model or seed.

        """
        if model not in self.info.models:
            names = list(self.info.models)
            raise RunError(
                f"{self.folder}: no model '{model}'{did_you_mean(model, names)};"
                f" the run has: {', '.join(names)}"
            )
        if seed not in self.info.seeds:
            seeds = ", ".join(map(str, self.info.seeds))
            raise RunError(f"{self.folder}: no seed {seed}; the run has: {seeds}")
        return self.folder / "models" / model / f"seed-{seed}"

    def model(self, name: str | None = None, *, seed: int | None = None) -> nn.Module:
        """Return a trained model with its best weights, on the CPU, ready to score.

        The main model and the first seed of the run, unless told otherwise. Weights trained again
        on train and valid rows take the place of the best, where the recipe asks for them.
        """
        name = next(iter(self.info.models)) if name is None else name
        seed = self.info.seeds[0] if seed is None else seed
        folder = self.model_folder(name, seed)
        require_model(name, self.info.modules.get(name), where=str(self.folder))
        model = build(self.encoder.layout, self.info.models[name])
        load_weights(folder / (REFIT if self.refitted(name, seed) else BEST), model)
        return model.eval()

    def refitted(self, name: str, seed: int) -> bool:
        """Return whether a training ended with weights trained again on train and valid rows."""
        there = (self.model_folder(name, seed) / REFIT).is_file()
        return there and self.recipe.training.refit

    def scorer(
        self,
        model: str | None = None,
        *,
        seed: int | None = None,
        precision: Precision = "float32",
    ) -> Scorer:
        """Return a trained model with its calibration and its blend, where the run has them.

        Raises:
            RunError: the run has no such model or seed, or there is no such precision.

        """
        right, blend = self.after_model(model, seed=seed)
        return Scorer(self.encoder, self.model(model, seed=seed), right, blend, precision)

    def after_model(
        self, model: str | None = None, *, seed: int | None = None
    ) -> tuple[Calibrators | None, FittedBlend | None]:
        """Return what comes after a trained model, where the run has it."""
        name = next(iter(self.info.models)) if model is None else model
        folder = self.model_folder(name, self.info.seeds[0] if seed is None else seed)
        right, blend = folder / CALIBRATION, folder / BLEND
        return (
            load_calibrators(right) if right.is_file() else None,
            load_blend(blend) if blend.is_file() else None,
        )

    def predict(
        self,
        data: Any,
        *,
        columns: Sequence[str] = (),
        model: str | None = None,
        seed: int | None = None,
        blend: bool = True,
        precision: Precision = "float32",
    ) -> pl.DataFrame:
        """Return a prediction per row of a file or a data frame, in their order.

        Rows whose bad cells the recipe skips have null predictions. What a user may not expect,
        such as skipped rows or rows that trained the model, is a `CrosstowerWarning`.

        Tables that the recipe joins are joined here too. For more rows than memory holds use
        `score` or the command `crosstower predict`.

        Args:
            data: a path, or a polars, pandas or Arrow table; labels are not needed.
            columns: raw columns to keep beside the predictions.
            model: one of the run's models; the main one if None.
            seed: one of the run's seeds; the first if None.
            blend: score by the blend that the run keeps as well, which may read a column more.
            precision: see `score`.

        Raises:
            DataError: a column is missing, or a cell is bad.
            RunError: the run has no such model or seed, or there is no such precision.

        """
        source, tally = source_of(self.recipe.data, data), self.tally()
        rows = self._rows(columns, model, seed, precision, tally, blend=blend)
        scored = pl.concat(list(rows.predictions(source)))
        notify(tally.warnings())
        return scored

    def score(
        self,
        source: Source,
        *,
        columns: Sequence[str] = (),
        model: str | None = None,
        seed: int | None = None,
        with_labels: bool = False,
        blend: bool = True,
        precision: Precision = "float32",
        tally: Tally | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Yield predictions chunk by chunk, in the order of the rows.

        Each frame has the raw `columns`, a column `TASK__prediction` a task (a probability, a
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
            RunError: the run scores no rows, has no such model or seed, or there is no such
                precision.

        """
        # Rows to evaluate predictions on may lack what the blend reads.
        blended = blend and not with_labels
        rows = self._rows(columns, model, seed, precision, tally, blend=blended)
        yield from rows.answers(source) if with_labels else rows.predictions(source)

    def tally(self) -> Tally:
        """Return what counts rows while they are scored, and recognises the training rows."""
        known = Fingerprints.load(self.folder)
        return Tally(recognised=None if known is None else Recognised(known))

    def _rows(
        self,
        columns: Sequence[str],
        model: str | None,
        seed: int | None,
        precision: Precision,
        tally: Tally | None,
        *,
        blend: bool,
    ) -> RowScorer:
        if self.recipe.retrieval is not None:
            raise RunError(
                f"{self.folder}: a run that retrieves and scores no rows; ask it with: crosstower"
                " recommend, search or similar"
            )
        scorer = self.scorer(model, seed=seed, precision=precision).of_rows()
        if not blend:
            scorer = replace(scorer, blend=None)
        return RowScorer(self.recipe, scorer, columns, Tally() if tally is None else tally)
