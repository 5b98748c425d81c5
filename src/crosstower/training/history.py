"""Results of training in a run folder: epochs, stored predictions and metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.data.sources.source import Source
from crosstower.errors import RunError, first_line
from crosstower.evaluation.reports.content import ModelMetrics
from crosstower.storage.files import write_atomic
from crosstower.training.run import REFIT_FOLDER, TEST, UNTESTED, Run
from crosstower.values.json_values import json_values


def read_predictions(run: Run, model: str, seed: int, name: str = TEST) -> pl.DataFrame:
    """Return the predictions that a training run left, of the test rows unless `name` is `VALID`.

    >>> read_predictions(Run.open("runs/clicks"), "wide_deep", 0).columns
    ['user', 'click', 'click__prediction']

    Raises:
        RunError: the file is missing or damaged.

    """
    path = run.model_folder(model, seed) / name
    if name == TEST and not run.tested:
        raise untested(run)
    if not path.is_file():
        raise RunError(
            f"{path}: missing, the training has not finished; continue with: {run.resume}"
        )
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{path}: damaged: {first_line(error)}; train again") from error


def metrics_of_models(models: Sequence[ModelMetrics]) -> dict[str, Any]:
    """Return {model: {metric: {"mean", "sd"}}} as plain data; None where undefined.

    >>> from crosstower.evaluation.metrics.summary import Summary
    >>> metrics_of_models([ModelMetrics("mlp", "model", {"auc": Summary(0.7)})])
    {'mlp': {'auc': {'mean': 0.7, 'sd': None}}}
    """
    return {
        model.name: {
            metric: {"mean": json_values(summary.mean), "sd": json_values(summary.sd)}
            for metric, summary in model.metrics.items()
        }
        for model in models
    }


def write_figures(run: Run, metrics: dict[str, Any], peak_memory_mb: float | None) -> None:
    """Write `metrics.json`: metrics, numbers per training run, the peak memory so far."""
    joins = [match.model_dump() | {"rate": match.rate} for match in run.info.facts.joins]
    figures = {**metrics, "training": training_figures(run), "joins": joins}
    if peak_memory_mb is not None:
        figures["peak_memory_mb"] = round(peak_memory_mb, 1)
    elif (run.folder / "metrics.json").is_file():
        figures["peak_memory_mb"] = run.metrics.get("peak_memory_mb")
    text = json.dumps(figures, indent=1, allow_nan=False)
    write_atomic(run.folder / "metrics.json", text.encode())


def report_of(run: Run, source: Source) -> Path:
    """Return where the report about other rows goes, in the folder of the test report."""
    return run.folder / f"report-{Path(source.name).stem.replace(' ', '-')}.html"


def history(run: Run, model: str, seed: int) -> list[dict[str, Any]]:
    """Return the record of each evaluation of a training run."""
    return records_in(run.model_folder(model, seed))


def history_frame(run: Run, model: str | None = None) -> pl.DataFrame:
    """Return one row per evaluation of each model and seed; see `Run.history`.

    >>> history_frame(Run.open("runs/clicks"))["model", "epoch"].rows()
    [('wide_deep', 1), ('wide_deep', 2)]

    Raises:
        RunError: the run has no such model, or a training run has not begun.

    """
    names = list(run.info.models) if model is None else [run.chosen(model, None)[0]]
    rows = [
        {"model": name, "seed": seed, **_row(record)}
        for name in names
        for seed in run.info.seeds
        for record in history(run, name, seed)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "epoch": record["epoch"] + 1,
        "step": record["step"],
        "train_loss": record["train_loss"],
        **record["valid"],
        "best_so_far": record["better"],
        "seconds": record["seconds"],
        "rows_per_second": record["rows_per_second"],
    }


def records_in(folder: Path) -> list[dict[str, Any]]:
    """Return the records in the folder of a training run.

    Raises:
        RunError: there are none, or they are damaged.

    """
    path = folder / "metrics.jsonl"
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}; train the run again") from error


def training_figures(run: Run) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {model: {seed: numbers}}.

    `refit_epochs` are those on train and valid rows, None without. `seconds` are spent in steps,
    `wait_share` is the part of them in which the next batch was waited for, and
    `validation_seconds` come on top. `monitor` is the validation metric
    that chose the best weights, `best_value` its value in epoch `best_epoch`, after step
    `best_step`.
    """
    return {
        m: {
            str(s): _figures(history(run, m, s)) | {"refit_epochs": refit_epochs(run, m, s)}
            for s in run.info.seeds
        }
        for m in run.info.models
    }


def _figures(records: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = sum(r["seconds"] for r in records)
    rows = sum(r["seconds"] * r["rows_per_second"] for r in records)
    return {
        "epochs": len({r["epoch"] for r in records}),
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds) if seconds else None,
        "wait_share": _share([r["seconds"] * r.get("wait_share", 0.0) for r in records], seconds),
        "validation_seconds": round(sum(r.get("validation_seconds", 0.0) for r in records), 3),
        "precision": records[-1]["precision"] if records else None,
        "precision_reason": records[-1]["precision_reason"] if records else None,
        **_monitored(records),
    }


def _monitored(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the metric that chose the best weights, its best value, its epoch and step."""
    best = [record for record in records if record.get("better")]
    if not best:
        return {"monitor": None, "best_epoch": None, "best_step": None, "best_value": None}
    name = best[-1]["monitor"]
    value = json_values(best[-1]["valid"][name])
    epoch, step = best[-1]["epoch"] + 1, best[-1]["step"]
    return {"monitor": name, "best_epoch": epoch, "best_step": step, "best_value": value}


def precision_words(run: Run) -> list[str]:
    """Return the precisions and their reasons; several sentences name their models."""
    models: dict[str, dict[str, None]] = {}
    for name, seeds in training_figures(run).items():
        for f in seeds.values():
            words = f"precision {f['precision']}: {f['precision_reason']}"
            models.setdefault(words, {})[name] = None
    named = len(models) > 1
    return [f"{w} ({', '.join(names)})" if named else w for w, names in models.items()]


def environment_of(run: Run) -> dict[str, str]:
    """Return versions and machine of a run, and the precision of its training runs."""
    words = "; ".join(w.removeprefix("precision ") for w in precision_words(run))
    return run.info.environment | {"precision": words}


def _share(parts: list[float], whole: float) -> float | None:
    return round(sum(parts) / whole, 4) if whole else None


def refit_epochs(run: Run, model: str, seed: int) -> int | None:
    """Return the epochs of the training on train and valid rows; None if there was none."""
    if not run.refitted(model, seed):
        return None
    return len(records_in(run.model_folder(model, seed) / REFIT_FOLDER))  # one evaluation per epoch


def untested(run: Run) -> RunError:
    """Return the error for a run without test rows."""
    return RunError(
        f"{run.folder}: {UNTESTED}; train with test rows, or measure it on other rows with:"
        f" crosstower evaluate {run.place} --data ROWS"
    )


def untested_notes(run: Run) -> tuple[str, ...]:
    """Return notes about a run without test rows."""
    if run.tested:
        return ()
    return (f"{UNTESTED}: validation rows chose the best epoch, so their metrics are too good",)


def refit_notes(run: Run) -> tuple[str, ...]:
    """Return a note about the tested weights if the recipe refits on valid rows."""
    if not run.recipe.training.refit:
        return ()
    main = next(iter(run.info.models))
    if not all(run.refitted(main, seed) for seed in run.info.seeds):
        words = (
            "not refitted on train and valid rows, as the run was stopped manually: the test"
            " metrics are those of the best weights on only the training rows"
        )
        return (words,)
    epochs = ", ".join(str(refit_epochs(run, main, seed)) for seed in run.info.seeds)
    rows = run.info.facts.rows["train"] + run.info.facts.rows["valid"]
    words = (
        f"trained again on {rows:,} train and valid rows, for the best number of epochs (by seed:"
        f" {epochs}): the test metrics are of these weights; valid metrics, calibration and blend"
        " are of the first training run"
    )
    return (words,)
