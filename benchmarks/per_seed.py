"""Results of each seed as JSON, from which the documentation's leaderboard is built.

`--json docs/results` of `quality` and `retrieval` writes one file per data set and the report of
its run, and `losses` one file per world.
"""

import json
import os
import platform
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.machine import data_folder, processor
from crosstower.ranking.results import metrics_of, stored_predictions, task_reports
from crosstower.retrieval.results import metrics_of as metrics_of_lists
from crosstower.retrieval.results import stored_report
from crosstower.training.run import Run

VERSIONS = ("crosstower", "torch", "polars", "numpy")
DIGITS = 6


def write(
    folder: Path,
    results: Iterable[Mapping[str, Any]],
    *,
    benchmark: str,
    data: str,
    options: Mapping[str, object],
    seeds: Sequence[int],
) -> None:
    """Write the results of a benchmark on a data set.

    Args:
        folder: of the files.
        results: {"task", "model", "metric", "values"} each, with a value per seed.
        benchmark: its name.
        data: name of the data set.
        options: of the command.
        seeds: of the values.

    """
    words = [word for name, value in options.items() for word in _words(name, value)]
    found = {
        "data": data,
        "command": shlex.join(["python", "-m", "benchmarks", benchmark, *words]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in VERSIONS},
        "seeds": list(seeds),
    }
    lines = [f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in found.items()]
    rows = ",\n  ".join(json.dumps(_rounded(one), ensure_ascii=False) for one in results)
    lines.append(f'"results": [\n  {rows}\n ]')
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{benchmark}-{data}.json"
    path.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")


def write_run(folder: Path, run: Run, *, benchmark: str, data: str, overrides: list[str]) -> None:
    """Write the metrics of a run and its report, without the paths of this machine."""
    seeds = run.info.seeds
    options = {"data": data, "seeds": len(seeds), "o": overrides}
    write(folder, figures(run), benchmark=benchmark, data=data, options=options, seeds=seeds)
    report = Path(str(run.report)).read_text(encoding="utf-8")
    report = report.replace(f"{data_folder()}/", "../data/")
    (folder / f"{benchmark}-{data}.html").write_text(report, encoding="utf-8")


def figures(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the test metrics of a run; a baseline without seeds has one value."""
    each = [_of_seed(run, seed) for seed in run.info.seeds]
    for task, models in each[0].items():
        for model, metrics in models.items():
            known = each if model in run.info.models else each[:1]
            for metric in metrics:
                values = [found[task][model][metric]["mean"] for found in known]
                if None not in values:
                    yield {"task": task, "model": model, "metric": metric, "values": values}


def _of_seed(run: Run, seed: int) -> dict[str, Any]:
    """Return {task: {model: {metric: {"mean"}}}} of one seed."""
    alone = replace(run, info=run.info.model_copy(update={"seeds": (seed,)}))
    if run.recipe.retrieval is not None:
        return {"retrieval": metrics_of_lists(stored_report(alone))}
    return metrics_of(task_reports(alone, stored_predictions(alone)))


def _rounded(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, "values": [round(value, DIGITS) for value in one["values"]]}


def _words(name: str, value: object) -> list[str]:
    """Return an option as words: one with a list is repeated if it has one letter."""
    if isinstance(value, list) and len(name) == 1:
        return [word for one in value for word in (f"-{name}", str(one))]
    return [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
