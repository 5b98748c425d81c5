from pathlib import Path

import polars as pl
import pytest

from crosstower.cli.init.ranking import starter_recipe
from crosstower.cli.init.retrieval import starter_retrieval_recipe
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.recipe.loading import load_recipe, parse_recipe
from crosstower.recipe.recipe import Recipe

from ..command_line import Capture, run

DAYS = [f"2026-01-{day:02d}" for day in range(1, 29)] * 2
FRAME = pl.DataFrame(
    {
        "user": [n % 7 for n in range(56)],
        "film": [n % 9 for n in range(56)],
        "updated_at": DAYS,
        "seen": DAYS[::-1],
        "rank_of_row": [n * 3 % 56 for n in range(56)],
        "gap": [None, *range(55)],
        "colour": ["red", "blue"] * 28,
        "click": [n % 2 for n in range(56)],
    }
)


def ranked(time: str | None) -> Recipe:
    source = open_source(FRAME)
    return parse_recipe(starter_recipe(source, path="a", name="b", tasks=["click"], time=time))


def retrieved(time: str | None) -> Recipe:
    options = {"path": "a", "name": "b", "item": "film", "user": "user", "time": time}
    return parse_recipe(starter_retrieval_recipe(open_source(FRAME), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("time", ["updated_at", "seen", "rank_of_row"])
def test_the_named_column_orders_the_rows_instead_of_others(time: str) -> None:
    recipe = ranked(time)
    assert recipe.data.split.model_dump()["column"] == time
    others = {"updated_at", "seen", time}
    assert not others & set(recipe.schema_.columns)
    watched = retrieved(time)
    assert watched.retrieval is not None
    assert watched.retrieval.time == time
    assert watched.data.split.model_dump() == {
        "kind": "leave_last_out", "group": "user", "time": time,
    }  # fmt: skip


def test_without_a_name_the_column_is_inferred() -> None:
    assert ranked(None).data.split.model_dump()["column"] == "updated_at"


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("colour", "--time colour: expected dates, times or numbers, got 'red'; name another"),
        ("gap", "--time gap: 1 of the first 56 rows have no time; name another column"),
        ("film", "--time film: already the label, the item or the user; name another"),
        ("sen", "no column 'sen'; did you mean 'seen'"),
    ],
)
def test_a_column_without_times_is_refused(time: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        retrieved(time)


def test_the_command_takes_the_time_column(here: Path, capsys: Capture) -> None:
    FRAME.write_parquet("mine.parquet")
    code, _, err = run(capsys, "init", "mine.parquet", "--time", "seen", "-o", "mine.yaml")
    assert code == 0, err
    assert load_recipe("mine.yaml").data.split.model_dump()["column"] == "seen"
