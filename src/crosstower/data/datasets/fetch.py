"""Bring a public data set or a simulated world to disk as Parquet."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from crosstower.data.datasets import catalog, worlds
from crosstower.errors import RunError
from crosstower.storage.files import replacing


def fetch(name: str, out: Path, *, rows: int | None = None, seed: int = 0) -> list[Path]:
    """Return the Parquet files of a data set or of `world:NAME`, written into `out`.

    Raises:
        RecipeError: there is no such data set or world.
        DataError: the download failed or is not what it should be.
        RunError: a world's file is there already, or `rows` is given for a downloaded set.

    """
    if name.startswith("world:"):
        return [_simulate(name.removeprefix("world:"), out, rows, seed)]
    if rows is not None:
        raise RunError(f"--rows: only simulated worlds take it, '{name}' has the rows it has")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_interactive) as bar:
        task = bar.add_task(f"downloading {name}", total=None)

        def on_progress(_stage: str, done: int | None = None, total: int | None = None, /) -> None:
            bar.update(task, completed=done, total=total)

        folder = catalog.get(name, out, on_progress=on_progress)
    return sorted(folder.glob("*.parquet"))


def _simulate(name: str, out: Path, rows: int | None, seed: int) -> Path:
    world = worlds.make(name, rows=rows, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.parquet"
    if path.exists():
        raise RunError(f"{path}: is there already; remove it, or choose another folder with --out")
    with replacing(path) as aside:
        world.frame.write_parquet(aside)
    return path
