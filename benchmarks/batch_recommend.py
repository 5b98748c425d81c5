"""Lists for all users: users per second, processor time per user, and memory.

A two-tower model with vectors of 64 and a bundle of it with a multi-task DCN-V2 (see
benchmarks/serving_bundle.py), both with the exact index. A job of all users runs in workers of one
thread each; the ranker gets a sample of the users. The rate is that between the first and the last
users done, without the start of the workers; the time of a whole job has the start as well. The
processor time does not depend on other work of the machine.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import polars as pl

from benchmarks.machine import describe
from benchmarks.serving_bundle import serving_bundle
from crosstower.retrieval.run_files import USER
from crosstower.serving.batch_jobs.recommend import recommend_users
from crosstower.serving.bundle import Bundle

NAMES = ("model", "users", "processes", "users/s", "whole job s", "CPU ms/user", "worker MB")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks batch_recommend")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--ranked-users", type=int, default=4_000)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--processes", type=int, nargs="+", default=[2])
    parser.add_argument("--folder", type=Path, help="Keeps the models for the next time.")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        bundle = serving_bundle(folder, options.items, users=options.users, index="exact")
        print(
            describe(
                items=options.items, users=options.users, candidates=options.candidates, k=options.k
            )
        )
        print(f"| {' | '.join(NAMES)} |\n|{'---|' * len(NAMES)}")
        for processes in options.processes:
            show(bundle, options, processes, Path(temporary))
        print(f"\nlargest memory of the benchmark itself: {peak(resource.RUSAGE_SELF):,.0f} MB")


def show(bundle: Bundle, options: argparse.Namespace, processes: int, folder: Path) -> None:
    """Print a row of the retrieval run and one of the bundle."""
    some = bundle.retriever().users[USER].sample(options.ranked_users, seed=0)
    pl.DataFrame({"user_id": some}).write_parquet(folder / "some.parquet")
    run = bundle.folder.parent / f"retrieval-{options.items}"
    jobs = {"retrieval run": (run, "all"), "bundle": (bundle.folder, str(folder / "some.parquet"))}
    for name, (model, users) in jobs.items():
        given = {"candidates": options.candidates} if name == "bundle" else {}
        size = 1_000 if name == "bundle" else 5_000
        out = folder / f"lists-{name}-{processes}"
        done, before = list[tuple[float, int]](), spent()

        def note(
            _unit: str,
            rows: int | None = None,
            _total: int | None = None,
            /,
            seen: list[tuple[float, int]] = done,
        ) -> None:
            seen.append((time.perf_counter(), rows or 0))

        summary = recommend_users(
            model,
            out,
            users=users,
            k=options.k,
            partition_size=size,
            processes=processes,
            on_progress=note,
            **given,
        )
        (first, least), (last, most) = done[1], done[-1]
        cells = [
            name,
            f"{summary.read:,}",
            str(processes),
            f"{(most - least) / (last - first):,.0f}",
        ]
        cells += [f"{summary.seconds:.1f}", f"{1e3 * (spent() - before) / summary.read:.2f}"]
        print(f"| {' | '.join([*cells, f'{peak(resource.RUSAGE_CHILDREN):,.0f}'])} |", flush=True)


def spent() -> float:
    """Return the processor seconds of this process and of its workers."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def peak(who: int) -> float:
    """Return the largest memory of a process, in MB."""
    return resource.getrusage(who).ru_maxrss / 1024


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
