"""Header printed by every benchmark (machine, versions, settings), and paths of its data."""

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any


def describe(**settings: object) -> str:
    """Return the machine, the versions and the settings, one line each."""
    versions = {n: metadata.version(n) for n in ("torch", "polars", "numpy")}
    words = ", ".join(f"{k} {v}" for k, v in versions.items())
    chosen = ", ".join(f"{k} {v}" for k, v in settings.items())
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {processor()}\nPython {python}, {words}\n{chosen}\n"


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.is_file() else ""
    names = [line for line in text.splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.processor() or platform.machine()


def data_folder() -> Path:
    """Return the folder of the data sets, from CROSSTOWER_DATA or ../shared/data."""
    root = Path(__file__).parents[1]
    places = [os.environ.get("CROSSTOWER_DATA"), root / "data", root.parent / "shared" / "data"]
    for place in places:
        if place and Path(place).is_dir():
            return Path(place).resolve()
    raise SystemExit("set CROSSTOWER_DATA to the folder that 'crosstower data get' filled")


def example(name: str, folder: Path, **changes: str) -> Path:
    """Return a copy of an example recipe in `folder`, with the paths of the data at hand."""
    text = (Path(__file__).parents[1] / "examples" / f"{name}.yaml").read_text()
    text = text.replace("../data/", f"{data_folder()}/")
    for old, new in changes.items():
        text = text.replace(old, new)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def example_runs(
    benchmark: str, words: str | None, arguments: list[str], data: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Yield (name, finished run) of examples, `data` unless the arguments name others."""
    from benchmarks import per_seed  # here: the memory of other benchmarks is measured
    from crosstower.fitting.fit import fit

    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {benchmark}", description=words)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="+", default=list(data))
    parser.add_argument("-o", "--override", action="append", default=[])
    parser.add_argument("--json", type=Path, help="folder for the results of each seed")
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds, overrides=options.override or "none"))
    for name in options.data:
        with tempfile.TemporaryDirectory() as folder:
            run = fit(
                example(name, Path(folder)),
                seeds=options.seeds,
                out=Path(folder) / "run",
                quiet=True,
                overrides=options.override,
            )
            if options.json is not None:
                more = {"benchmark": benchmark, "data": name, "overrides": options.override}
                per_seed.write_run(options.json, run, **more)
            yield name, run
