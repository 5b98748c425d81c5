"""Rows per second of a whole file through DCN-V2: ours in two precisions, and the peers'."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.click_log import write_click_log
from benchmarks.train import SCRIPTS
from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.fitting.fit import fit
from crosstower.ranking.predict import predict_file
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import Precision
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

CONTENDERS = Path(__file__).parent / "contenders"
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
MODEL = {"name": "dcn_v2", "cross_layers": 3, "hidden": [400, 400], "dropout": 0.0}
CLICK = "click__prediction"
PASSES = 5


def compare(*, rows: int, ids: int, peers: list[str]) -> None:
    """Print rows per second; `peers` are NAME=PYTHON, as `benchmarks train` takes them.

    All train one epoch of the first nine tenths of the rows. Tensors are those of the last tenth,
    as in `benchmarks train`; the file that `crosstower predict` scores holds all rows, ids as text.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_click_log(folder / "rows.npz", rows=rows, ids=ids)
        run = _trained(folder)
        ours = _from_tensors(run, folder) | _from_file(run, folder)
        print(f"DCN-V2, rows per second\n{'':34}{'from tensors':>14}{'from rows':>12}")
        for precision in PRECISIONS:
            tensors, file = (ours[f"{kind} {precision}"] for kind in ("tensors", "file"))
            print(f"{'crosstower ' + precision:34}{tensors:>14,.0f}{file:>12,.0f}", flush=True)
        _print_gap(folder)
        best = max([_print_peer(peer, folder) for peer in peers], default=None)
    if best:
        ratios = ", ".join(f"{p} {ours[f'tensors {p}'] / best:.1f}x" for p in PRECISIONS)
        print(f"from tensors, against the faster rate of the fastest peer: {ratios}")


def _trained(folder: Path) -> Run:
    """Train on Parquet with the ids as text; write the file to score, and the test rows."""
    with np.load(folder / "rows.npz") as data:
        codes = {f"C{i}": pl.Series(c).cast(pl.String) for i, c in enumerate(data["codes"].T)}
        numbers = {f"I{i}": c for i, c in enumerate(data["numbers"].T)}
        frame = pl.DataFrame(codes | numbers | {"click": data["labels"][:, 0].astype(np.int8)})
    cut = frame.height * 9 // 10
    frame.write_parquet(folder / "rows.parquet")
    frame[:cut].write_parquet(folder / "train.parquet")
    frame[cut:].write_parquet(folder / "test.parquet")
    columns = dict.fromkeys(codes, "categorical") | dict.fromkeys(numbers, "numeric")
    recipe = {
        "name": "click_log",
        "data": {"path": str(folder / "train.parquet")},
        "schema": {"columns": columns, "tasks": {"click": "binary"}},
        "model": MODEL,
        "training": {"epochs": 1, "batch_size": 4096},
        "evaluation": {"baselines": []},
    }
    return fit(Recipe.model_validate(recipe), out=folder / "run", quiet=True)


def _from_tensors(run: Run, folder: Path) -> dict[str, float]:
    frame = pl.read_parquet(folder / "test.parquet")
    cleaned = Cleaner(run.recipe.schema_, with_labels=False).clean(Chunk(frame, "test", 0, 0))
    batch, nothing = run.encoder.encode(cleaned), pl.DataFrame()
    scorers = {p: Ranker.open(run).scorer(precision=p) for p in PRECISIONS}
    work = {p: lambda s=s: s.score_encoded(batch, nothing) for p, s in scorers.items()}
    return {f"tensors {p}": len(batch) / s for p, s in _best_of(work, PASSES).items()}


def _from_file(run: Run, folder: Path) -> dict[str, float]:
    def score(precision: Precision) -> int:
        output = folder / f"{precision}.parquet"
        return predict_file(
            run, folder / "rows.parquet", output, columns=["click"], precision=precision, force=True
        )

    rows = pl.scan_parquet(folder / "rows.parquet").select(pl.len()).collect().item()
    work = {p: lambda p=p: score(p) for p in PRECISIONS}
    return {f"file {p}": rows / seconds for p, seconds in _best_of(work, 2).items()}


def _best_of(work: dict[Precision, Callable[[], Any]], passes: int) -> dict[Precision, float]:
    """Return the fewest seconds of each, measured in turn."""
    best: dict[Precision, float] = dict.fromkeys(work, float("inf"))
    for _ in range(passes):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def _print_gap(folder: Path) -> None:
    """Print what bfloat16 changes in the test rows."""
    frames = [pl.read_parquet(folder / f"{p}.parquet") for p in PRECISIONS]
    test = [frame[frame.height * 9 // 10 :] for frame in frames]
    chances: list[NDArray[np.float64]] = [frame[CLICK].to_numpy() for frame in test]
    exact, narrow = (float(roc_auc_score(test[0]["click"], chance)) for chance in chances)
    gap = float(np.abs(chances[0] - chances[1]).max())
    print(
        f"test AUC {exact:.5f}, in bfloat16 {narrow - exact:+.5f};"
        f" largest difference of a probability {gap:.4f}"
    )


def _print_peer(peer: str, folder: Path) -> float:
    """Print a peer's rows per second and return the faster of its two ways."""
    name, _, python = peer.partition("=")
    if not python or name not in SCRIPTS:
        known = ", ".join(SCRIPTS)
        raise SystemExit(f"--peers: expected NAME=PYTHON, NAME one of: {known}; got '{peer}'")
    command = [python, str(CONTENDERS / SCRIPTS[name]), str(folder / "rows.npz"), "dcn_v2", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} stopped with:\n{done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "unsupported" in answer:
        print(f"{name:34}{answer['unsupported']}")
        return 0.0
    tensors, own = answer["predict_rows_per_second"], answer["offered_predict_rows_per_second"]
    shown = f"{own:,.0f}" if own else "-"
    print(
        f"{name:34}{tensors:>14,.0f}{shown:>12}   (its own predict, of encoded arrays)", flush=True
    )
    return max(tensors, own or 0.0)
