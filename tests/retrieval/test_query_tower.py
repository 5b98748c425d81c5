"""Whether two runs have the same query tower: a changed weight or vocabulary on either side."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from crosstower.retrieval.query_tower import query_difference
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import BEST, REFIT, Run

from ..fixtures.live_films import LiveFilms

Change = Callable[[dict[str, torch.Tensor]], None]


def changed_run(run: Run, folder: Path, change: Change) -> Run:
    """A copy of a run with other weights."""
    shutil.copytree(run.folder, folder)
    copy = Run.open(folder)
    place = copy.model_folder(copy.chosen(None, None)[0], copy.chosen(None, None)[1])
    for path in (place / BEST, place / REFIT):
        if path.is_file():
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                facts = file.metadata()
            change(tensors)
            save_file(tensors, path, facts)
    return copy


def plus(name: str, rows: Any = slice(None)) -> Change:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[f"model.{name}"][rows] += 0.25

    return change


def test_a_run_has_its_own_query_tower(live_films: LiveFilms) -> None:
    one = Retriever.open(live_films.retrieval)
    assert query_difference(one, Retriever.open(live_films.bundle.folder / "retrieval")) is None


@pytest.mark.parametrize("table", ["genre", "device", "film"])
def test_embeddings_of_the_query_decide(live_films: LiveFilms, tmp_path: Path, table: str) -> None:
    one = Retriever.open(live_films.retrieval)
    (rows,) = [part for part in one.model.embed.code_rows()["tables.8"] if part.table == table]
    place = slice(rows.start, rows.start + rows.size)
    other = changed_run(live_films.retrieval, tmp_path / "run", plus("embed.tables.8", place))
    found = query_difference(Retriever.open(other), one)
    wanted = {"genre": None}.get(table, f"its weights differ (embeddings of '{table}')")
    assert found == wanted  # the history reads the table of films
    vectors = [
        r.query(None, {"device": "tv"}, history=["f01"])[0] for r in (one, Retriever.open(other))
    ]
    assert (vectors[0] == vectors[1]).all() == (table == "genre")


@pytest.mark.parametrize("tower", ["item", "query"])
def test_the_layers_of_the_query_tower_decide(
    live_films: LiveFilms, tmp_path: Path, tower: str
) -> None:
    one = Retriever.open(live_films.retrieval)
    change = plus(f"{tower}_tower.head.weight")
    other = Retriever.open(changed_run(live_films.retrieval, tmp_path / "run", change))
    found = query_difference(other, one)
    assert found == (None if tower == "item" else "its weights differ (query_tower.head.weight)")


def test_columns_of_the_query_decide(live_films: LiveFilms) -> None:
    both, only = (
        Retriever.open(live_films.retrieval),
        Retriever.open(live_films.only.folder / "retrieval"),
    )
    assert query_difference(only, both) == "it reads had, the other one device, had"
