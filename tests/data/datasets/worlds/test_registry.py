"""Worlds by name: the same rows for the same seed, labels that follow the true probabilities."""

import math
from functools import cache

import polars as pl
import pytest

from crosstower.data.datasets.worlds import description, make, world_names
from crosstower.errors import RecipeError
from crosstower.recipe.tasks import Binary

ROWS = 100_000


def binary_tasks() -> list[tuple[str, str, str]]:
    worlds = [make(name, rows=10) for name in world_names()]
    return [
        (world.name, name, task.true_probability)
        for world in worlds
        for name, task in world.schema.tasks.items()
        if isinstance(task, Binary) and task.true_probability
    ]


@pytest.mark.parametrize("name", world_names())
def test_the_same_seed_gives_the_same_rows(name: str) -> None:
    assert make(name, rows=500, seed=3).frame.equals(make(name, rows=500, seed=3).frame)
    assert not make(name, rows=500, seed=3).frame.equals(make(name, rows=500, seed=4).frame)


@pytest.mark.parametrize("name", world_names())
def test_the_frame_holds_what_the_schema_and_the_report_need(name: str) -> None:
    world = make(name, rows=37)
    needed = [*world.schema.sources(), *world.schema.label_sources(), world.group, *world.slices]
    assert set(needed) <= set(world.frame.columns)
    assert world.frame.height == 37
    assert len(description(name)) < 80


@cache
def made(name: str) -> pl.DataFrame:
    """Return the rows of a world, made once for all its tasks."""
    return make(name, rows=ROWS).frame


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task", "truth"), binary_tasks())
def test_labels_follow_the_true_probabilities(name: str, task: str, truth: str) -> None:
    frame = made(name)
    p, y = frame[truth], frame[task]
    assert p.is_between(0, 1).all()
    # Within each tenth of the probabilities the rate is the mean probability.
    for part in frame.with_columns(
        cut=p.rank("dense").cast(pl.Int64) * 10 // p.n_unique()
    ).partition_by("cut"):
        error = math.sqrt(float((part[truth] * (1 - part[truth])).mean()) / part.height)
        assert abs(part[task].mean() - part[truth].mean()) <= 4.5 * error + 1e-12
    assert y.is_in([0, 1]).all()


def test_an_unknown_world_is_refused_with_a_hint() -> None:
    with pytest.raises(RecipeError, match="no world 'rental'; did you mean 'rentals'"):
        make("rental")


@pytest.mark.parametrize("seed", [-1, "x", 1.5, True])
def test_a_seed_that_is_no_whole_number_is_refused(seed: int) -> None:
    with pytest.raises(RecipeError, match="world 'rentals': seed: expected a whole number"):
        make("rentals", rows=10, seed=seed)


def test_no_rows_are_refused() -> None:
    with pytest.raises(RecipeError, match="rows: expected at least 1, got 0"):
        make("rentals", rows=0)
