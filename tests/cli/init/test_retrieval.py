import polars as pl
import pytest

from crosstower.cli.init.retrieval import starter_retrieval_recipe
from crosstower.data.datasets import worlds
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.fitting.fit import fit
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe

from ...fixtures.films import watches


def written(frame: pl.DataFrame, **options: str) -> Recipe:
    text = starter_retrieval_recipe(open_source(frame), path="rows.parquet", name="mine", **options)  # type: ignore[arg-type]
    return parse_recipe(text)


def test_columns_of_the_item_go_to_the_item_tower(tmp_path) -> None:
    frame = worlds.make("rentals", rows=5000).frame
    recipe = written(frame, item="listing_id", user="user_id")
    assert {"listing_id", "city", "price", "amenities"} <= set(recipe.model["item"])
    assert not {"home_city", "budget", "wanted", "position"} & set(recipe.model["item"])
    assert "position" not in recipe.schema_.columns  # a request has no position yet
    assert "home_city" in recipe.schema_.columns
    assert recipe.retrieval is not None
    assert recipe.retrieval.where == "click == 1"
    assert recipe.retrieval.history is not None
    assert (recipe.retrieval.history.column, recipe.retrieval.history.events) == (
        "history",
        ("click",),
    )
    assert recipe.data.split.model_dump() == {
        "kind": "leave_last_out", "group": "user_id", "time": "timestamp",
    }  # fmt: skip
    quick = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 1})})
    run = fit(quick, data=frame, out=tmp_path / "run", quiet=True)
    assert run.metrics["retrieval"]["two_tower"]["recall@10"]["mean"] >= 0


@pytest.mark.parametrize(("each", "kind"), [(1, "time"), (2, "time"), (3, "leave_last_out")])
def test_users_with_few_rows_are_divided_by_time(each: int, kind: str) -> None:
    rows = pl.int_range(300, eager=True)
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 10, 26), eager=True)
    frame = pl.DataFrame({"user": rows // each, "item": rows % 20, "day": days})
    recipe = written(frame, item="item", user="user")
    assert recipe.data.split.kind == kind
    assert recipe.schema_.columns["history"].pooling == ("attention" if each < 3 else "bsarec")


@pytest.mark.parametrize(("items", "share"), [(7, "88%"), (9_000, None)])
def test_repeated_items_are_pointed_out(items: int, share: str | None) -> None:
    rows = pl.int_range(600, eager=True)
    frame = pl.DataFrame({"user": rows % 10, "item": rows % items, "click": [1] * 600})
    source = open_source(frame)
    text = starter_retrieval_recipe(source, path="rows.parquet", name="x", item="item", user="user")
    lines = [line for line in text.splitlines() if "exclude_seen" in line]
    assert len(lines) == (share is not None)
    assert all(f"again: {share} of the positives are such items" in line for line in lines)
    assert parse_recipe(text).retrieval.exclude_seen


def test_searches_have_no_users() -> None:
    frame = worlds.make("restaurants", rows=4000).frame
    recipe = written(frame.drop("user_id"), item="restaurant_id")
    assert recipe.schema_.columns["question"].kind in ("text", "categorical")
    assert set(recipe.model["item"]) >= {"restaurant_id", "cuisine", "tags", "latitude", "text"}
    assert recipe.retrieval is not None
    assert recipe.retrieval.user is None


def test_names_that_are_not_there() -> None:
    frame = pl.DataFrame({"user": [1, 1], "item": [1, 2]})
    with pytest.raises(DataError, match="no column 'itm'; did you mean 'item'"):
        written(frame, item="itm")
    with pytest.raises(DataError, match="no column 'usr'"):
        written(frame, item="item", user="usr")
    with pytest.raises(DataError, match="name the user id with --user COLUMN"):
        written(frame.select("item"), item="item")


def test_places_in_a_users_history_order_it() -> None:
    users = [u for u in range(40) for _ in range(5)]
    frame = pl.DataFrame(
        {"user": users, "item": [n % 50 for n in range(200)], "position": [*range(5)] * 40}
    )
    recipe = written(frame, item="item", user="user")
    assert recipe.data.split.model_dump() == {
        "kind": "leave_last_out", "group": "user", "time": "position",
    }  # fmt: skip
    assert recipe.retrieval is not None
    assert recipe.retrieval.time == "position"
    assert "position" not in recipe.schema_.columns
    assert recipe.schema_.columns["history"].pooling == "bsarec"
    assert (recipe.model["dropout"], recipe.model["normalise"]) == (0.5, False)
    assert recipe.training.batch_size == 512
    given = frame.with_columns(split=pl.Series(["train", "train", "train", "valid", "test"] * 40))
    by_column = written(given, item="item", user="user")
    assert by_column.data.split.kind == "column"  # it need not follow the order
    assert by_column.schema_.columns["history"].pooling == "attention"


def test_pairs_of_ids_without_an_order_have_a_set_as_history(tmp_path) -> None:
    frame = watches().select("user", "film")
    recipe = written(frame, item="film", user="user")
    assert recipe.retrieval is not None
    assert (recipe.retrieval.history.column, recipe.retrieval.history.events) == (
        "history",
        ("click",),
    )
    assert recipe.schema_.columns["history"].kind == "bag"
    assert recipe.retrieval.time is None
    assert set(recipe.schema_.columns) == {"film", "history"}
    settings = {
        "training.batch_size": 128,
        "retrieval.exclude_seen": "false",
        "retrieval.baselines": "[popularity, graph_filter]",
        "retrieval.k": "[10]",
    }
    changed = parse_recipe(recipe.to_yaml(), [f"{k}={v}" for k, v in settings.items()])
    run = fit(changed, data=frame, out=tmp_path / "run", quiet=True)
    found = run.metrics["retrieval"]
    # A third of the films fits a user; popularity knows no user.
    assert found["two_tower"]["recall@10"]["mean"] > 1.8 * found["popularity"]["recall@10"]["mean"]
    assert found["graph_filter"]["recall@10"]["mean"] > found["popularity"]["recall@10"]["mean"]


def test_other_columns_keep_the_usual_settings_of_an_unordered_table() -> None:
    recipe = written(watches().select("user", "film", "device"), item="film", user="user")
    assert recipe.schema_.columns["history"].kind == "bag"
    assert "normalise" not in recipe.model
    assert recipe.training.embedding_learning_rate is None
