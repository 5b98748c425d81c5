"""What every benchmark prints first."""

import os
import platform
from importlib import metadata
from pathlib import Path


def describe(**settings: object) -> str:
    """Return the machine, the versions and the settings, one line each."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [ln for ln in info.read_text().splitlines() if ln.startswith("model name")]
        model = lines[0].partition(": ")[2] if lines else model
    versions = {n: metadata.version(n) for n in ("torch", "polars", "numpy")}
    words = ", ".join(f"{k} {v}" for k, v in versions.items())
    chosen = ", ".join(f"{k} {v}" for k, v in settings.items())
    return (
        f"{os.cpu_count()} cores, {model}\nPython {platform.python_version()}, {words}\n{chosen}\n"
    )


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
