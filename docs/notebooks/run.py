"""Run the notebooks of this folder and store them with their outputs.

    python docs/notebooks/run.py                     # all of them
    python docs/notebooks/run.py likes_and_comments  # one of them

Each runs from the top in an empty folder. Times and other metadata of the execution are not stored.
A digest of the code is, so that a test notices a cell that was edited without running it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
DIGEST = "executed_code"
TIMEOUT = 600  # seconds per cell
METADATA: dict[str, Any] = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main() -> int:
    """Run the notebooks that are named, or all, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python docs/notebooks/run.py", description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks without .ipynb; all by default")
    names = parser.parse_args().names or [path.stem for path in notebooks()]
    for name in names:
        path = HERE / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, Path(folder))
        write(notebook, path)
        sys.stdout.write(f"{path.name}: {path.stat().st_size / 1024:.0f} kB\n")
    return 0


def notebooks() -> list[Path]:
    """Return the notebooks, in the order of their names."""
    return sorted(HERE.glob("*.ipynb"))


def execute(notebook: Any, folder: Path) -> None:
    """Run all cells in place, in a new kernel.

    Args:
        notebook: of nbformat, as read.
        folder: working directory, where the notebook writes its runs.

    Raises:
        CellExecutionError: a cell fails; the error shows it.

    """
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=TIMEOUT,
        record_timing=False,
        coalesce_streams=True,
        resources=resources,
    ).execute()


def write(notebook: Any, path: Path) -> None:
    """Store a notebook that has been run, without anything that differs from run to run."""
    notebook.metadata = nbformat.from_dict({**METADATA, DIGEST: digest(notebook)})
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        for output in cell.get("outputs", []):
            output.pop("transient", None)
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
    nbformat.validate(notebook)
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def digest(notebook: Any) -> str:
    """Return a digest of the code of all cells."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
