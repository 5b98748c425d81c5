"""Write a public or synthetic dataset to disk as Parquet."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from crosstower.data.datasets import catalog, worlds
from crosstower.errors import RunError
from crosstower.storage.files import replacing


def fetch(name: str, out: Path, *, rows: int | None = None, seed: int = 0) -> list[Path]:
    """Write a dataset or `world:NAME` into `out` and return its Parquet files.

    Raises:
        RecipeError: the world is unknown.
        DataError: the dataset is unknown, its download failed, or the archive is not the expected
            one.
        RunError: the file of a world already exists, or `rows` is given for a downloaded dataset.

    """
    if name.startswith("world:"):
        return [_simulate(name.removeprefix("world:"), out, rows, seed)]
    if rows is not None:
        raise RunError(
            f"--rows: only synthetic datasets (world:NAME) have a choice of rows; '{name}' is"
            " downloaded as it is; omit --rows"
        )
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_interactive) as bar:
        task = bar.add_task(f"downloading {name}", total=None)
        folder = catalog.get(name, out, progress=_Bar(bar, task))
    return sorted(folder.glob("*.parquet"))


class _Bar:
    """Adapter from a progress bar of rich to that of `catalog`."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task, self.total = progress, task, 0

    def update(self, advance: int) -> None:
        self._progress.update(self._task, total=self.total or None, advance=advance)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Do nothing; `Progress` ends the bar."""


def _simulate(name: str, out: Path, rows: int | None, seed: int) -> Path:
    world = worlds.make(name, rows=rows, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.parquet"
    if path.exists():
        raise RunError(f"{path}: already exists; remove it, or choose another folder with --out")
    with replacing(path) as aside:
        world.frame.write_parquet(aside)
    return path
