"""Every name that a benchmark imports from the project exists."""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

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


def test_the_peer_lightgcn_is_that_of_the_paper() -> None:
    """Oracle: dense float64 products of equations 7 and 4, and the loss of equation 15."""
    spec = importlib.util.spec_from_file_location("lightgcn", ROOT / "benchmarks" / "lightgcn.py")
    assert spec is not None
    assert spec.loader is not None
    lightgcn = importlib.util.module_from_spec(spec)
    sys.modules["lightgcn"] = lightgcn  # its dataclass looks its module up
    spec.loader.exec_module(lightgcn)
    random = np.random.default_rng(0)
    pairs = (random.random((5, 4)) < 0.5).astype(np.float64)
    pairs[2] = 0.0  # a user without items
    embeddings = random.normal(size=(9, 3))
    users, items = np.maximum(pairs.sum(1), 1), np.maximum(pairs.sum(0), 1)
    scaled = pairs / np.sqrt(users)[:, None] / np.sqrt(items)
    layer_u, layer_i = embeddings[:5], embeddings[5:]
    total_u, total_i = layer_u.copy(), layer_i.copy()
    for _ in range(3):
        layer_u, layer_i = scaled @ layer_i, scaled.T @ layer_u
        total_u, total_i = total_u + layer_u, total_i + layer_i
    expected = np.concatenate([total_u, total_i]) / 4
    graph = lightgcn.graph_of(sparse.csr_array(pairs.astype(np.float32)))
    table = torch.from_numpy(embeddings).float().requires_grad_()
    found = lightgcn.propagated(table, graph, 3)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    u, i, j = [0, 1, 4], [5, 8, 6], [7, 6, 5]
    margin = (expected[u] * (expected[i] - expected[j])).sum(1)
    penalty = sum((embeddings[t] ** 2).sum() for t in (u, i, j)) / 6
    loss = np.log1p(np.exp(-margin)).mean() + 0.1 * penalty
    triples = tuple(torch.tensor(t) for t in (u, i, j))
    got = lightgcn.bpr(table, graph, triples, lightgcn.Settings(layers=3, l2=0.1))
    assert got.item() == pytest.approx(loss, rel=1e-5)
    got.backward()  # through the graph, twice symmetric
    assert table.grad is not None
    assert table.grad[2].abs().sum() == 0.0  # in no triple and without a neighbour
