"""Every name that a benchmark imports from the project exists."""

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = ("benchmarks", "crosstower")
FILES = sorted((ROOT / "benchmarks").rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of what a file imports from the project, within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.ImportFrom) and module.partition(".")[0] in PROJECT:
            yield from ((module, alias.name) for alias in node.names)


def names_of(path: Path) -> set[str]:
    """Return the names that a file defines or imports; it is not run, as it may need a peer."""
    found = set[str]()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        else:
            found |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found


def exists(module: str, name: str) -> bool:
    if module.partition(".")[0] == "crosstower":
        found = importlib.import_module(module)
        return hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}") is not None
    place = ROOT.joinpath(*module.split("."))
    if place.is_dir():
        return any(place.joinpath(part).exists() for part in (name, f"{name}.py"))
    file = place.with_suffix(".py")
    return file.is_file() and name in names_of(file)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_benchmarks_exist(path: Path) -> None:
    missing = [f"{module}.{name}" for module, name in imported(path) if not exists(module, name)]
    assert missing == []
