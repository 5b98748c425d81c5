import numpy as np
import polars as pl

from crosstower.data.sources.source import FrameSource
from crosstower.fitting.validation.finding import Finding
from crosstower.fitting.validation.leaks import check_leaks
from crosstower.fitting.validation.seen_rows import see_rows
from crosstower.recipe.loading import parse_recipe

ROWS = 400
RANDOM = np.random.default_rng(0)
ITEMS = RANDOM.integers(0, 20, ROWS)
EARLIER = np.roll(ITEMS, 1)


def leaks(tasks: str = "{y: binary}", **columns: object) -> list[Finding]:
    frame = pl.DataFrame({"item": ITEMS, "y": RANDOM.integers(0, 2, ROWS), **columns})
    recipe = parse_recipe(f"""
    schema:
      columns:
        item: categorical
        x: numeric
        had: {{kind: sequence, table: item}}
        tags: {{kind: bag, table: item}}
      tasks: {tasks}
    """)
    return list(check_leaks(see_rows(recipe, FrameSource(frame, "rows"), coded=[])))


def honest() -> dict[str, object]:
    return {
        "x": RANDOM.normal(size=ROWS),
        "had": [[int(item)] for item in EARLIER],
        "tags": [[int(item) + 100] for item in ITEMS],
    }


def test_honest_rows_have_no_leak() -> None:
    assert leaks(**honest()) == []


def test_a_column_that_tells_a_label_is_a_problem() -> None:
    y = RANDOM.integers(0, 2, ROWS)
    (found,) = leaks(**honest() | {"y": y, "x": y * 3.0 + RANDOM.normal(size=ROWS) / 100})
    assert found.severity == "problem"
    assert found.sentence.startswith("column 'x': predicts y by itself (AUC 1.000)")
    minutes = RANDOM.normal(size=ROWS)
    (found,) = leaks("{y: regression}", **honest() | {"y": minutes, "x": minutes * 60})
    assert found.sentence.startswith("column 'x': predicts y by itself")


def test_a_history_with_the_item_of_its_row_is_a_problem() -> None:
    whole = [[int(a), int(b)] for a, b in zip(EARLIER, ITEMS, strict=True)]
    (found,) = leaks(**honest() | {"had": whole})
    assert found.sentence == (
        "column 'had': ends with the row's own 'item' in 100.0% of the rows; a history must hold"
        " earlier values only"
    )
    assert found.rows == tuple(f"row {n} of rows" for n in range(3))
    (found,) = leaks(**honest() | {"tags": [[7, int(item), 8] for item in ITEMS]})
    assert found.sentence.startswith("column 'tags': holds the row's own 'item'")


def test_ids_that_are_texts_in_a_list_and_numbers_in_a_column_are_compared() -> None:
    assert leaks(**honest() | {"had": [[str(item)] for item in EARLIER]}) == []
    (found,) = leaks(**honest() | {"had": [[str(item)] for item in ITEMS]})
    assert found.sentence.startswith("column 'had': ends with the row's own 'item'")


def test_histories_that_are_all_empty_say_nothing() -> None:
    nothing = pl.Series([[]] * ROWS, dtype=pl.List(pl.Int64))
    assert leaks(**honest() | {"had": nothing}) == []
