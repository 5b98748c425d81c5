"""The notebooks in docs/notebooks/ run, and their stored outputs are those of their code."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbformat import v4

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
FIGURES = "figures"  # tag of the cell whose numbers have to come out again
ABSOLUTE, RELATIVE = 0.05, 0.1  # of another processor, whose sums round differently
OF_A_MACHINE = r"/tmp/|/home/|/Users/|/root/|ipykernel_\d|0x[0-9a-f]{6}"

named = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def program(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = program(FOLDER / "run.py")


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[tuple[str, ...]]:
    """Return what each output of a cell is: kinds of content, or none of a stream.

    Libraries may log to standard error in a new environment, which is no matter of the notebook.
    """
    kept = [out for out in cell.outputs if out.get("name") != "stderr"]
    return [tuple(sorted(out.get("data", {}))) for out in kept]


def figures(cells: list[Any]) -> list[float]:
    (cell,) = [cell for cell in cells if FIGURES in cell.metadata.get("tags", [])]
    (output,) = cell.outputs
    return [float(n) for n in re.findall(r"-?\d+\.\d+", output.data["text/plain"])]


def test_the_notebooks_run_and_give_the_figures_stored(tmp_path: Path) -> None:
    """All share a kernel, as loading the libraries takes as long as a short notebook."""
    every = v4.new_notebook()
    for path in NOTEBOOKS:
        (tmp_path / path.stem).mkdir()
        every.cells.append(v4.new_code_cell(f"%reset -f\n%cd -q {tmp_path / path.stem}"))
        every.cells += [
            v4.new_code_cell(c.source, metadata=c.metadata) for c in code_of(read(path))
        ]
    run.execute(every, tmp_path)
    cells = iter(every.cells)
    for path in NOTEBOOKS:
        assert next(cells).outputs == [], path.stem
        stored = code_of(read(path))
        found = [next(cells) for _ in stored]
        for one, other in zip(found, stored, strict=True):
            assert kinds(one) == kinds(other), f"{path.stem}: {one.source}"
        expected = pytest.approx(figures(stored), abs=ABSOLUTE, rel=RELATIVE)
        assert figures(found) == expected, path.stem


@named
def test_the_outputs_are_those_of_the_code(path: Path, tmp_path: Path) -> None:
    notebook = read(path)
    assert notebook.metadata[run.DIGEST] == run.digest(notebook), f"run {run.__file__} {path.stem}"
    run.write(notebook, tmp_path / path.name)  # in order, and without metadata of the execution
    assert (tmp_path / path.name).read_text() == path.read_text()
    counts = [cell.execution_count for cell in code_of(notebook)]
    assert counts == list(range(1, len(counts) + 1))


@named
def test_nothing_stored_is_of_a_machine_or_goes_wrong(path: Path) -> None:
    for cell in code_of(read(path)):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")
            text = output.get("text", "") + str(
                {kind: of for kind, of in output.get("data", {}).items() if "image" not in kind}
            )
            assert not re.search(OF_A_MACHINE, text), text


@named
def test_a_notebook_begins_with_a_title_and_its_links_lead_somewhere(path: Path) -> None:
    text = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    assert text[0].startswith("# ")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", "\n".join(text)):
        assert (path.parent / link).is_file(), link


def test_the_documentation_and_the_site_name_every_notebook() -> None:
    for page, suffix in (
        (ROOT / "docs" / "python.md", ".ipynb"),
        (ROOT / "docs/site/index.md", ""),
    ):
        for path in NOTEBOOKS:
            assert f"notebooks/{path.stem}{suffix}" in page.read_text(), (page.name, path.stem)


def test_a_page_has_the_code_the_outputs_and_the_pictures_of_a_notebook() -> None:
    pages = program(ROOT / "docs" / "site" / "notebooks.py")
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "two\n"},
        {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": "a figure"}},
        {
            "output_type": "execute_result",
            "data": {"text/html": '<style>x</style><a href="runs/a.html">a</a>'},
        },
    ]
    cells = [
        {"cell_type": "markdown", "source": "# Sums\n\nNext: [more](more.ipynb)."},
        {"cell_type": "code", "source": "1 + 1", "outputs": outputs},
    ]
    text, pictures = pages.notebook_page({"cells": cells}, "sums")
    assert text.startswith("# Sums\n\nNext: [more](more.md).\n\n```{note}")
    shown = text.split("```python\n1 + 1\n```\n\n")[1]
    assert shown.index("two") < shown.index("(sums-1.png)") < shown.index("html\na\n")
    assert pictures == {"sums-1.png": b"\0\0\0"}
