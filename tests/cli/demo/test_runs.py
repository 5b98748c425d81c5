"""Recipes of the demo, and the folders that they are trained into."""

from pathlib import Path

import pytest

from crosstower.cli.demo import runs
from crosstower.cli.demo.runs import demo_recipes, demo_runs
from crosstower.recipe.recipe import Recipe


def test_the_demo_ranks_by_skill_and_by_chance_and_retrieves() -> None:
    installs, chance, watch = demo_recipes(rows=1_234).values()
    assert installs.data.rows == 1_234
    assert chance.data.path == "world:watch_next_independent"
    assert watch.retrieval is not None
    assert watch.retrieval.where == "did_watch == 1"


def test_each_run_has_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(recipe: Recipe, *, seeds: int, out: Path) -> tuple[str, int, Path]:
        out.mkdir(parents=True)
        return recipe.name, seeds, out

    monkeypatch.setattr(runs, "fit", fit)
    first = [found for _, found in demo_runs(tmp_path, rows=1_000, seeds=2)]
    second = [found for _, found in demo_runs(tmp_path, rows=1_000, seeds=2)]
    assert [name for name, _, _ in first] == [r.name for r in demo_recipes(rows=1).values()]
    assert {seeds for _, seeds, _ in first} == {2}
    assert not {out for _, _, out in first} & {out for _, _, out in second}
