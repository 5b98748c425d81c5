"""Training speed and quality, compared with deepctr-torch, torch-rechub and fuxictr, in one run.

    python -m benchmarks train --peers rechub=PYTHON deepctr=PYTHON fuxictr=PYTHON

PYTHON is that of an environment with the library; one can hold all three:

    python3 -m venv peers
    peers/bin/pip install torch==2.13.0 deepctr-torch==0.3.0 torch-rechub==0.9.0 fuxictr==2.3.10

Every contender trains one epoch of the same rows in a process of its own, in turn, once a round,
with the same widths, the same batch and the same Adam for dense layers, without dropout and
penalties. Ratios are those within a round. Peers run their own training code, initial weights and
loaders. `dense roofline` is the operations of all matrix products of a step at the measured rows/s,
over the rate of a product in the precision of the training on the same machine.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.click_log import LEAST_IDS, write_click_log
from benchmarks.contenders import common
from benchmarks.machine import describe

SCRIPTS = {"rechub": "rechub.py", "deepctr": "deepctr.py", "fuxictr": "fuxi.py"}
LIBRARIES = {"rechub": "torch-rechub", "deepctr": "deepctr-torch", "fuxictr": "fuxictr"}
OPTIMIZERS = ("lazy_adam", "rowwise_adagrad")
LARGE = 2_000_000
HEADER = (
    "ids",
    "contender",
    "rows/s (min–max)",
    "× best peer",
    "AUC",
    "peak MB",
    "predict rows/s",
    "own predict",
    "dense roofline",
    "wait",
)


@dataclass(frozen=True)
class Contender:
    """A library, the command that runs its script, and up to how many ids it takes part."""

    name: str
    command: list[str]
    arguments: list[str]
    peer: bool = True
    most_ids: float = float("inf")


@dataclass
class Results:
    """Answers of the contenders for one model and vocabulary, one list per round; {} if none."""

    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, name: str, answer: dict[str, Any]) -> None:
        if remark := answer.get("remark"):
            self.remarks.append(f"{name}: {remark}")
        self.answers.setdefault(name, []).append({} if remark else answer)


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    contenders = [*ours(options), *peers(options)]
    print(settings(options, contenders))
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            print(f"\n{model}\n\n| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
            remarks: list[str] = []
            for ids in options.ids:
                results = compare(model, rows_of(ids, options, Path(folder)), contenders, options)
                show(ids, results, [c.name for c in contenders if c.peer])
                remarks += results.remarks
            print("".join(f"\n{remark}" for remark in dict.fromkeys(remarks)), flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ids", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--models", nargs="+", choices=common.MODELS, default=common.MODELS)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument(
        "--rows-large", type=int, default=100_000, help=f"Rows above {LARGE:,} ids."
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--optimizers", nargs="+", choices=OPTIMIZERS, default=OPTIMIZERS, help="Of our embeddings."
    )
    parser.add_argument("--peers", nargs="+", metavar="NAME=PYTHON", default=[])
    parser.add_argument("--skip-peers-above", type=int, metavar="IDS", default=10_000_000)
    options = parser.parse_args(arguments)
    for peer in options.peers:
        name, _, python = peer.partition("=")
        if name not in SCRIPTS or not shutil.which(python):
            names = ", ".join(SCRIPTS)
            parser.error(f"--peers {peer}: give NAME=PYTHON, NAME one of {names}, PYTHON a program")
    if min(options.ids) < LEAST_IDS or min(options.rows, options.rows_large, options.rounds) < 1:
        parser.error(f"give at least {LEAST_IDS:,} ids, one row and one round")
    return options


def ours(options: argparse.Namespace) -> list[Contender]:
    command = [sys.executable, script("ours.py")]
    return [
        Contender(f"crosstower, {name}", command, ["--optimizer", name], peer=False)
        for name in options.optimizers
    ]


def peers(options: argparse.Namespace) -> list[Contender]:
    contenders: list[Contender] = []
    for peer in options.peers:
        name, _, python = peer.partition("=")
        # Absolute, for it runs in another folder; not resolved: a link tells Python its packages.
        command = [str(Path(shutil.which(python) or python).absolute()), script(SCRIPTS[name])]
        contenders.append(Contender(name, command, [], most_ids=options.skip_peers_above))
    return contenders


def script(name: str) -> str:
    return str(Path(common.__file__).with_name(name))


def settings(options: argparse.Namespace, contenders: list[Contender]) -> str:
    versions = {c.name: version(c) for c in contenders if c.peer}
    return describe(
        rows=options.rows,
        rows_above_2_M_ids=options.rows_large,
        seeds=f"0 to {options.rounds - 1}",
        batch=common.BATCH,
        Adam=common.LEARNING_RATE,
        embedding=common.WIDTH,
        hidden=common.HIDDEN,
        cross_layers=common.CROSS_LAYERS,
        experts=f"{common.EXPERTS} of {common.EXPERT_HIDDEN}",
        towers=f"{common.TOWER_HIDDEN} a task, {common.SIDE_HIDDEN} a side",
        **versions,
    )


def version(peer: Contender) -> str:
    code = "import sys, importlib.metadata as m; print(*[m.version(n) for n in sys.argv[1:]])"
    command = [peer.command[0], "-c", code, LIBRARIES[peer.name], "torch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"--peers {peer.name}: {last_line(done.stderr)}")
    own, torch = done.stdout.split()
    return f"{own} on torch {torch}"


def rows_of(ids: int, options: argparse.Namespace, folder: Path) -> Path:
    path = folder / f"{ids}.npz"
    if not path.is_file():
        rows = options.rows_large if ids > LARGE else options.rows
        write_click_log(path, rows=rows, ids=ids)
    return path


def compare(
    model: str, rows: Path, contenders: list[Contender], options: argparse.Namespace
) -> Results:
    results, ids = Results(), int(rows.stem)
    for seed in range(options.rounds):
        for contender in contenders:
            if ids <= contender.most_ids:
                results.add(contender.name, answer(contender, rows, model, seed))
    return results


def answer(contender: Contender, rows: Path, model: str, seed: int) -> dict[str, Any]:
    command = [*contender.command, str(rows), model, str(seed), *contender.arguments]
    quiet = {**os.environ, "TQDM_DISABLE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=rows.parent, env=quiet
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        reason = last_line(done.stderr) or f"no answer, exit status {done.returncode}"
        return {"remark": f"failed at {int(rows.stem):,} ids, seed {seed}: {reason}"}
    return json.loads(lines[-1])


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def show(ids: int, results: Results, names_of_peers: list[str]) -> None:
    best = [max(speeds, default=None) for speeds in speeds_of_rounds(results, names_of_peers)]
    for name, answers in results.answers.items():
        ratios = [
            a["train_rows_per_second"] / peer
            for a, peer in zip(answers, best, strict=True)
            if a and peer
        ]
        cells = [f"{ids:,}", name, *row([a for a in answers if a], ratios)]
        print(f"| {' | '.join(cells)} |", flush=True)


def speeds_of_rounds(results: Results, names: list[str]) -> Iterator[list[float]]:
    for answers in zip(*results.answers.values(), strict=True):
        known = dict(zip(results.answers, answers, strict=True))
        yield [known[n]["train_rows_per_second"] for n in names if known.get(n)]


def row(answers: list[dict[str, Any]], ratios: list[float]) -> list[str]:
    if not answers:
        return ["—"] * (len(HEADER) - 2)
    speeds = [a["train_rows_per_second"] for a in answers]
    span = f"{statistics.median(speeds):,.0f} ({min(speeds):,.0f}–{max(speeds):,.0f})"
    ratio = f"{statistics.median(ratios):.2f}" if ratios else "—"
    return [
        span + precision(answers),
        ratio,
        mean([a["auc"] for a in answers]),
        middle(answers, "peak_mb", "{:,.0f}"),
        middle(answers, "predict_rows_per_second", "{:,.0f}"),
        middle(answers, "offered_predict_rows_per_second", "{:,.0f}"),
        middle(answers, "dense_share", "{:.0%}"),
        middle(answers, "wait_share", "{:.1%}"),
    ]


def precision(answers: list[dict[str, Any]]) -> str:
    names = sorted({a["precision"] for a in answers if "precision" in a})
    return f" {' and '.join(names)}" if names else ""


def mean(values: list[float]) -> str:
    sd = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{sd}"


def middle(answers: list[dict[str, Any]], key: str, form: str) -> str:
    values = [a[key] for a in answers if a.get(key) is not None]
    return form.format(statistics.median(values)) if values else "—"
