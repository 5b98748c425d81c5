import random

import polars as pl
import pytest

from crosstower.cli.init.guesses import guess, positive_text
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.split import TimeSplit

from .conftest import COUNT
from .test_ranking import guessed, starter

RNG = random.Random(0)
GENRES = ["Drama", "War", "Comedy", "Film Noir", "Crime"]
LISTS = [RNG.sample(GENRES, RNG.randint(1, 3)) for _ in range(200)]


@pytest.mark.parametrize("separator", ["|", ";", ","])
@pytest.mark.parametrize("space", ["", " "])
def test_lists_with_a_separator_are_bags(separator: str, space: str) -> None:
    cells = [f"{separator}{space}".join(some) for some in LISTS]
    section = {"kind": "bag", "separator": separator, "max_len": 3}
    assert guess(pl.Series("genres", cells)).section == section


@pytest.mark.parametrize("write", [str, lambda some: str(some).replace("'", '"')])
def test_lists_in_brackets_are_bags(write) -> None:
    found = guess(pl.Series("genres", [write(some) for some in LISTS]))
    assert (found.section, found.note) == ({"kind": "bag", "max_len": 3}, "lists of at most 3")


def test_sentences_and_places_with_commas_are_no_bags() -> None:
    words = [f"word{n}" for n in range(300)]
    prose = [", ".join(" ".join(RNG.sample(words, 4)) for _ in range(2)) for _ in range(200)]
    places = [f"{n} Main Road, Springfield" for n in range(200)]
    assert guess(pl.Series("review", prose)).section == {"kind": "text"}
    towns = ["Oslo, Norway", "Rome, Italy"] * 100
    assert guess(pl.Series("town", towns)).section == {"kind": "categorical"}
    assert guess(pl.Series("address", places)).section["kind"] != "bag"  # type: ignore[index]


def test_vectors_as_text_are_no_bags() -> None:
    cells = [f"[{RNG.random()}, {RNG.random()}]" for _ in range(50)]
    assert guess(pl.Series("embedding", cells)).section["kind"] != "bag"  # type: ignore[index]


def test_kinds_are_guessed_from_the_values(wide: pl.DataFrame) -> None:
    columns = guessed(wide).schema_.columns
    kinds = {name: column.kind for name, column in columns.items()}
    assert kinds == {
        "user_id": "categorical",
        "zip": "categorical",
        "city": "categorical",
        "age": "numeric",
        "ratio": "numeric",
        "gain": "numeric",
        "hour": "categorical",
        "genres": "bag",
        "amenities": "bag",
        "image": "vector",
        "title": "text",
    }
    assert columns["gain"].transform == "log1p"  # type: ignore[union-attr]
    assert columns["genres"].separator == "|"  # type: ignore[union-attr]
    assert columns["image"].width == 3  # type: ignore[union-attr]


def test_what_is_left_out_is_said_with_the_reason(wide: pl.DataFrame) -> None:
    text = starter(wide)
    assert "# empty: left out: empty" in text
    assert "# constant: left out: one value only" in text
    assert "# when: left out: a time" in text
    assert "# ragged: left out: lists of floats of different lengths" in text


def test_missing_values_are_counted_in_the_comments(wide: pl.DataFrame) -> None:
    holes = wide.with_columns(city=pl.when(pl.int_range(COUNT) < 15).then(None).otherwise("city"))
    values = holes["city"].drop_nulls().n_unique()
    assert f"city: categorical  # {values} distinct, 25.0% missing" in starter(holes)


def test_columns_known_only_once_the_list_is_shown_are_noted() -> None:
    frame = pl.DataFrame(
        {"user": [0, 1] * 20, "slot": [1, 2, 3, 4] * 10, "propensity_score": [0.1, 0.2] * 20}
    ).with_columns(click=pl.int_range(pl.len()) % 3 == 0)
    text = starter(frame)
    note = "known only once the list is shown: leave it out"
    assert f"slot: categorical  # 4 distinct; {note}, or name it in bias\n" in text
    assert f"propensity_score: numeric  # 0.1 to 0.2, 2 distinct; {note}\n" in text


def test_ids_are_seen_whatever_their_spelling(log: pl.DataFrame) -> None:
    columns = guessed(log, "did_watch").schema_.columns
    assert {c: columns[c].kind for c in ("userId", "movieId", "user.id")} == dict.fromkeys(
        ("userId", "movieId", "user.id"), "categorical"
    )


def test_what_is_no_feature_is_left_out_with_the_reason(log: pl.DataFrame) -> None:
    text = starter(log, "did_watch")
    reasons = {
        "__index_level_0__": "index of a data frame, by its name",
        "rowNumber": "index of a data frame, by its name",
        "requestId": "unique in each row",
        "watch_time": "outcome known only afterwards, by its name",
        "seconds_on_page": "predicts did_watch by itself (AUC 1.000)",
        "like_label": "another label, by its name",
        "buy": "another label, by its name",
        "part": "split of a row",
        "step": "orders the rows",
    }
    for name, reason in reasons.items():
        assert f"    # {name}: left out: {reason}" in text
    assert set(parse_recipe(text).schema_.columns) == {
        "userId", "movieId", "user.id", "genres", "tags", "price",
    }  # fmt: skip
    assert "    # comment_label: binary  # base rate" in text


def test_bags_have_a_length(log: pl.DataFrame) -> None:
    columns = guessed(log, "did_watch").schema_.columns
    assert (columns["genres"].max_len, columns["tags"].max_len) == (8, 3)  # type: ignore[union-attr]
    long = log.with_columns(genres=pl.Series([["a"] * 5000] + [["a"] * 30] * 399))
    assert guessed(long, "did_watch").schema_.columns["genres"].max_len == 30  # type: ignore[union-attr]


def test_labels_are_seen_by_their_names(log: pl.DataFrame) -> None:
    kept = log.select("userId", "price", "like_label", "comment_label")
    recipe = guessed(kept)
    assert list(recipe.schema_.tasks) == ["like_label"]
    assert set(recipe.schema_.columns) == {"userId", "price"}


def test_rows_counted_within_each_user_are_an_order() -> None:
    frame = pl.DataFrame({"userId": [u for u in range(40) for _ in range(1 + u % 7)]})
    frame = frame.with_columns(
        visit=pl.int_range(pl.len()).over("userId"),
        position=pl.int_range(pl.len()).over("userId"),
        click=pl.int_range(pl.len()) % 2,
    )
    recipe = guessed(frame)
    assert set(recipe.schema_.columns) == {"userId", "position"}
    assert recipe.data.split == TimeSplit(column="visit")


@pytest.mark.parametrize(
    ("cells", "positive"),
    [
        (["Yes"] * 6 + ["No"] * 4, "Yes"),
        (["false"] * 2 + ["true"] * 8, "true"),
        ([">50K"] * 2 + ["<=50K"] * 8, ">50K"),  # no word says yes: the rarest
    ],
)
def test_the_positive_text_means_yes_or_is_the_rarest(cells: list[str], positive: str) -> None:
    assert positive_text(pl.Series("label", cells)) == positive


def test_ids_of_lists_of_rows_are_no_features() -> None:
    rows = pl.int_range(600, eager=True)
    found = guess((rows // 3).alias("session_id"))
    assert found.section is None
    assert found.note == "a list of rows, by its name, for training.group or evaluation.group"
    assert guess((rows % 9).alias("session_id")).section == {"kind": "categorical"}
