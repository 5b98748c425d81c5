"""Every source file with logic has a test file of the same name at the same place."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE, TESTS = ROOT / "src" / "crosstower", ROOT / "tests"
FEW = 5  # statements within functions: a file with no more of them is a declaration
EXCEPTIONS = {
    "__init__.py": "test_public_names.py guards the names of the package",
    "retrieval/__init__.py": "test_public_names.py guards the names of its rooms",
}


def statements(path: Path) -> int:
    """Count statements within functions, without docstrings and the `...` of protocols."""
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    nodes = {n for f in functions for n in ast.walk(f) if isinstance(n, ast.stmt) and n is not f}
    return sum(not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)) for n in nodes)


def lacking() -> list[str]:
    """Return the source files with logic that have no test file."""
    files = [path for path in SOURCE.rglob("*.py") if statements(path) > FEW]
    names = [path.relative_to(SOURCE) for path in files]
    return sorted(str(n) for n in names if not (TESTS / n.parent / f"test_{n.name}").is_file())


@pytest.mark.slow
def test_every_source_file_with_logic_has_its_test_file() -> None:
    assert [name for name in lacking() if name not in EXCEPTIONS] == []


@pytest.mark.slow
def test_no_exception_outlives_its_reason() -> None:
    assert [name for name in EXCEPTIONS if name not in lacking()] == []


def test_the_root_of_the_package_stays_small() -> None:
    names = {path.name for path in SOURCE.iterdir()} - {"__pycache__", "py.typed"}
    assert len(names) <= 20
