"""A run folder: the results of training, opened again to score rows.

- `recipe.yaml`: the recipe, all data paths absolute
- `run.json`: versions, machine, seeds, facts about the data
- `encoder/`: the fitted encoder
- `fingerprints.parquet`: hashes that recognise training rows (rankers)
- `models/NAME/seed-S/`: best and last checkpoint, metrics.jsonl, the predictions of valid.parquet
  and test.parquet, and calibration.json, blend.json and refit.safetensors where there are any
  (weights beyond 2 GB are several files, and best.safetensors.index.json names them)
- `importance.json`, `background.safetensors`: permutation importance, and encoded validation rows
  that explanations compare with (rankers, unless `evaluation.importance` is false)
- `metrics.json`: test metrics of every model, mean and sd over seeds
- `report.html`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import polars as pl
from torch import nn

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import load_encoder
from crosstower.errors import RecipeError, RunError, did_you_mean
from crosstower.models.registry import build
from crosstower.recipe.arguments import place_argument
from crosstower.recipe.blend import Blend
from crosstower.recipe.events import EventLog
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.registry import require_own
from crosstower.recipe.renamed import stored_names
from crosstower.recipe.split import GivenSplit
from crosstower.storage.documents import read_document
from crosstower.storage.folders import local_folder, origin_of
from crosstower.training.checkpoint import load_weights
from crosstower.training.run_info import FORMAT, RunInfo
from crosstower.training.trainer import BEST
from crosstower.training.weight_files import is_stored
from crosstower.values.addresses.address import Place

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKER = "run.json"
"""File without which a folder is not a run."""
CALIBRATION, BLEND = "calibration.json", "blend.json"
BLENDED, METRICS, REPORT = "blended.json", "metrics.json", "report.html"
IMPORTANCE, BACKGROUND = "importance.json", "background.safetensors"
VALID, TEST = "valid.parquet", "test.parquet"
REFIT, REFIT_FOLDER = "refit.safetensors", "refit"
INDEX = "index"
UNTESTED = "nothing was tested, as no test rows were given"


Stage = Literal["retrieval", "ranking"]


@runtime_checkable
class HasStages(Protocol):
    """What has a retrieval run, a ranking run, or both, such as a bundle."""

    def run_of(self, stage: Stage) -> Run:
        """Return the run of a stage; an error without one."""
        ...


@dataclass(frozen=True)
class Run:
    """An open run folder, from `fit` or `Run.open`.

    >>> import crosstower as ct
    >>> run = ct.Run.open("runs/clicks")
    >>> run
    Run('runs/clicks': wide_deep, 1 seed, 360 rows)
    >>> run.history().height  # one evaluation per epoch
    2

    Args:
        folder: of the run; of its local copy if the run is at an address.
        recipe: as trained.
        info: models, seeds, statistics of the data, and environment.

    """

    folder: Path
    recipe: Recipe
    info: RunInfo

    @staticmethod
    def open(folder: str | Place) -> Run:
        """Open a run folder; one at an address is copied into the cache (`CROSSTOWER_CACHE`).

        Raises:
            RunError: there is no run, it is damaged or of another format, or it uses a column kind
                that no imported module registers.

        """
        place = place_argument("run", folder, error=RunError, expected="a run folder")
        folder = local_folder(place, MARKER, error=RunError)
        path = folder / MARKER
        if not path.is_file():
            raise RunError(
                f"{folder}: no run in this folder (no run.json); give the folder that"
                " 'crosstower fit' wrote, such as runs/NAME"
            )
        info = read_document(path, RunInfo, newest=FORMAT, error=RunError, again="train again")
        try:
            with stored_names():
                recipe = load_recipe(folder / "recipe.yaml")
        except RecipeError:
            require_own(info.modules, where=str(folder))  # the likelier reason
            raise
        return Run(folder, recipe, info)

    @staticmethod
    def of(run: Run | str | Path) -> Run:
        """Return an open run, opened if its folder is given.

        Raises:
            RunError: there is no run, or it is damaged.

        """
        return run if isinstance(run, Run) else Run.open(run)

    @staticmethod
    def of_stage(run: Run | HasStages | str | Path, stage: Stage) -> Run:
        """Return an open run, or that of a stage of a bundle.

        Raises:
            RunError: there is no run, or it is damaged.
            BundleError: the bundle lacks the stage.

        """
        if isinstance(run, HasStages) and not isinstance(run, type):
            return run.run_of(stage)
        inside = isinstance(run, str | Path) and "://" not in str(run) and Path(run) / stage
        if inside and (inside / MARKER).is_file() and not (Path(run) / MARKER).is_file():  # type: ignore[arg-type]
            raise RunError(f"{run}: a bundle; open it first: ct.Bundle.open({str(run)!r})")
        return Run.of(run)  # type: ignore[arg-type]

    def with_events(self, path: str | Path) -> Run:
        """Return the run with another log of events, which its columns read for rows to score.

        Args:
            path: of the log, with the columns that the first log of the recipe has.

        Raises:
            RunError: no column of the run counts or lists events.

        """
        if not self.recipe.schema_.event_inputs():
            raise RunError(f"{self.folder}: no column reads events; leave out the log {path}")
        logs = [log for log in self.recipe.data.events if not log.rows] or [EventLog(path="")]
        log = logs[0].model_copy(update={"path": str(path)})
        data = self.recipe.data.model_copy(update={"events": (log,)})
        return replace(self, recipe=self.recipe.model_copy(update={"data": data}))

    @property
    def place(self) -> Place:
        """The address of the run if its folder is a local copy, else its folder."""
        return origin_of(self.folder)

    @cached_property
    def encoder(self) -> Encoder:
        """The fitted encoder."""
        return load_encoder(self.folder / "encoder")

    @property
    def tested(self) -> bool:
        """Whether the run has test rows; without them `metrics` are empty."""
        split = self.recipe.data.split
        return not isinstance(split, GivenSplit) or split.test

    @property
    def metrics(self) -> dict[str, Any]:
        """Test metrics: {"tasks": {task: {model: {metric: {"mean", "sd"}}}}, ...}.

        Raises:
            RunError: the training has not finished.

        """
        path = self.folder / METRICS
        if not path.is_file():
            raise RunError(
                f"{self.folder}: the training has not finished; continue with: {self.resume}"
            )
        return json.loads(path.read_bytes())

    @property
    def verdicts(self) -> dict[str, tuple[str, ...]]:
        """Findings on the test metrics, in sentences, by task; "retrieval" for a retriever.

        Raises:
            RunError: the training has not finished.

        """
        found = self.metrics.get("verdicts", {})  # a run of an earlier version has none
        return {name: tuple(sentences) for name, sentences in found.items()}

    def __repr__(self) -> str:
        """Return one line: folder, models, seeds, rows."""
        main, *others = self.info.models
        baselines = f" and {len(others)} more" if others else ""
        seeds, rows = len(self.info.seeds), sum(self.info.facts.rows.values())
        unfinished = "" if (self.folder / METRICS).is_file() else ", unfinished"
        return (
            f"Run('{self.place}': {main}{baselines}, {seeds} seed{'s' if seeds > 1 else ''},"
            f" {rows:,} rows{unfinished})"
        )

    def _repr_html_(self) -> str:
        """Return the test metrics per task and model as a table, for notebooks."""
        from crosstower.training.display import run_html  # noqa: PLC0415 - reads runs

        return run_html(self)

    def plot(self) -> Figure:
        """Return a figure of the main model: training curves, and calibration on the test rows.

        Returns:
            A matplotlib figure, which notebooks show; `savefig` writes it to a file.

        Raises:
            RunError: the training has not finished.

        """
        from crosstower.training.display import plot_run  # noqa: PLC0415 - reads runs

        return plot_run(self)

    def history(self, model: str | None = None) -> pl.DataFrame:
        """Return the evaluations on the validation rows, in the order of the training.

        Args:
            model: one of the run's models; all of them if None.

        Returns:
            A row per model, seed and evaluation: `epoch` from 1, `step`, `train_loss`, a column
            TASK.METRIC per validation metric, `best_so_far` by the monitored metric, and `seconds`
            and `rows_per_second` of the training since the evaluation before.

        Raises:
            RunError: the run has no such model, or a training run has not begun.

        """
        from crosstower.training.history import history_frame  # noqa: PLC0415 - reads runs

        return history_frame(self, model)

    def item_vectors(
        self, items: Any = None, *, model: str | None = None, seed: int | None = None
    ) -> pl.DataFrame:
        """Return the item vectors of a two-tower model: see `crosstower.retrieval.item_vectors`."""
        import crosstower  # noqa: PLC0415 - the package's face; this room is below it

        return crosstower.retrieval.item_vectors(self, items, model=model, seed=seed)

    def user_vectors(
        self, users: Any = None, *, model: str | None = None, seed: int | None = None
    ) -> pl.DataFrame:
        """Return the user vectors of a two-tower model: see `crosstower.retrieval.user_vectors`."""
        import crosstower  # noqa: PLC0415 - the package's face; this room is below it

        return crosstower.retrieval.user_vectors(self, users, model=model, seed=seed)

    @property
    def report(self) -> Path:
        """Where the report is."""
        return self.folder / REPORT

    @property
    def resume(self) -> str:
        """Command that continues the run, or a Python call if the rows were tables."""
        if not self.info.tables:
            return f"crosstower fit --resume {self.place}"
        rows, split = "data=ROWS", self.recipe.data.split
        if isinstance(split, GivenSplit):
            parts = [("valid", split.valid_fraction is None), ("test", split.test)]
            rows = ", ".join(["train=ROWS", *(f"{name}=ROWS" for name, given in parts if given)])
        return f"crosstower.fit({str(self.place)!r}, {rows}, resume=True) from Python, same rows"

    def model_folder(self, model: str, seed: int) -> Path:
        """Return the folder of one model and seed.

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

    def chosen(self, name: str | None, seed: int | None) -> tuple[str, int]:
        """Return a model's name and a seed; None means the main model and the first seed.

        Raises:
            RunError: the run has no such model or seed.

        """
        name = next(iter(self.info.models)) if name is None else name
        seed = self.info.seeds[0] if seed is None else seed
        self.model_folder(name, seed)
        return name, seed

    def model(self, name: str | None = None, *, seed: int | None = None) -> nn.Module:
        """Return a trained model with its best weights, on the CPU, ready to score.

        The main model and the first seed of the run, unless told otherwise. Weights trained again
        on train and valid rows take the place of the best, where the recipe asks for them.
        """
        name, seed = self.chosen(name, seed)
        folder = self.model_folder(name, seed)
        if name in self.info.modules:
            require_own({name: self.info.modules[name]}, where=str(self.folder))
        model = build(self.encoder.layout, self.info.models[name], self.recipe.bias)
        load_weights(folder / (REFIT if self.refitted(name, seed) else BEST), model)
        return model.eval()

    def refitted(self, name: str, seed: int) -> bool:
        """Return whether the final weights were trained again on train and valid rows."""
        there = is_stored(self.model_folder(name, seed) / REFIT)
        return there and self.recipe.training.refit

    def predict(
        self,
        data: Any,
        *,
        columns: Sequence[str] = (),
        model: str | None = None,
        seed: int | None = None,
        blend: bool | Blend | Mapping[str, Blend] = True,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> pl.DataFrame:
        """Return a prediction per row of a file or a data frame: `Ranker.open` and its `predict`.

        Args:
            data: a path, or a polars, pandas or Arrow table; labels are not needed.
            columns: raw columns to return with the predictions.
            model: one of the run's models; the main one if None.
            seed: one of the run's seeds; the first if None.
            blend: True to score by the blend that the run keeps as well; another blend to score by;
                or blends by name to compare, each a column NAME__score.
            precision: of the matrix products.

        Raises:
            DataError: a column is missing, or a cell is bad.
            RunError: the run retrieves, or has no such model or seed.

        """
        from crosstower import Ranker  # noqa: PLC0415 - the package's face; this room is below it

        ranker = Ranker.open(self, model=model, seed=seed)
        return ranker.predict(data, columns=columns, blend=blend, precision=precision)

    def evaluate(self, data: Any, *, report: str | Path | None = None) -> dict[str, Any]:
        """Return metrics on other labelled rows, and write a page: see `crosstower.evaluate_run`.

        >>> run = Run.open("runs/clicks")
        >>> run.evaluate("july.parquet")["tasks"]["click"]["wide_deep"]["auc"]
        {'mean': 0..., 'sd': None}
        """
        import crosstower  # noqa: PLC0415 - the package's face; this room is below it

        return crosstower.evaluate_run(self, data, report=report)

    def gates(self, data: Any, *, by: str | None = None) -> pl.DataFrame:
        """Return the mean weights of the experts of an mmoe or ple model: see `Ranker.gates`."""
        from crosstower import Ranker  # noqa: PLC0415 - the package's face; this room is below it

        return Ranker.open(self).gates(data, by=by)
