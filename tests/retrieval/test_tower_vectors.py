"""Item and user vectors of retrieval runs, and of two-tower models that are trained on labels."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import crosstower as ct
from crosstower.errors import DataError, QueryError, RunError
from crosstower.training.run import Run

QUICK = {"training.epochs": 2, "evaluation.baselines": []}


@pytest.fixture(scope="module")
def pointwise() -> Run:
    """A two-tower ranker of ids, trained on labels; read only."""
    frame = ct.worlds.make("watch_next", rows=2_000).frame
    ids = {"user_id": ct.Categorical(), "item_id": ct.Categorical()}
    recipe = ct.Recipe(
        schema=ct.Schema(columns=ids, tasks={"did_watch": ct.Binary()}),
        model={"name": "two_tower", "item": ["item_id"], "dim": 8},
    )
    return ct.fit(recipe, train=frame, overrides=QUICK, quiet=True)


def matrix(frame: pl.DataFrame) -> Any:
    return frame["vector"].to_numpy()


def test_vectors_of_a_pointwise_model_give_its_logits(pointwise: Run) -> None:
    users, items = pointwise.user_vectors(), pointwise.item_vectors()
    assert (users.columns, items.columns) == (["user_id", "vector"], ["item_id", "vector"])
    assert matrix(items).shape == (items.height, 8)
    model: Any = pointwise.model()
    pairs = pl.DataFrame({"user_id": users["user_id"][:5], "item_id": items["item_id"][:5]})
    scores = (matrix(users)[:5] * matrix(items)[:5]).sum(axis=1)
    logits = scores / model.temperature()[0].item() + model.bias[0].item()
    expected = pointwise.predict(pairs)["did_watch__prediction"].to_numpy()
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(expected, abs=1e-6)


def test_neighbours_are_the_nearest_vectors(pointwise: Run) -> None:
    found = pointwise.item_vectors()
    vectors = matrix(found)
    index = ct.Index.build(found["item_id"], vectors, kind="exact")
    near = index.search(vectors[:1], k=4).ids(0)
    nearest = np.argsort(-(vectors @ vectors[0]), kind="stable")[:4]
    assert list(near) == found["item_id"].gather(nearest).to_list()
    assert near[0] == found["item_id"][0]  # vectors of length 1: an item is nearest to itself


def test_rows_name_other_items_and_users(pointwise: Run, tmp_path: Path) -> None:
    known = pointwise.item_vectors()
    rows = known.select("item_id").reverse()
    assert pointwise.item_vectors(rows.to_pandas()).equals(known.reverse())
    rows.write_csv(tmp_path / "items.csv")
    assert matrix(pointwise.item_vectors(str(tmp_path / "items.csv"))) == pytest.approx(
        matrix(known.reverse())
    )
    with pytest.raises(DataError, match="no column 'item_id'"):
        pointwise.item_vectors(rows.rename({"item_id": "item"}))


def test_rows_of_items_need_no_keys_of_joined_tables(tmp_path: Path) -> None:
    frame = ct.worlds.make("watch_next", rows=1_000).frame.select("user_id", "item_id", "did_watch")
    users = frame.select(pl.col("user_id").unique()).with_columns(age=pl.col("user_id") % 7)
    users.write_parquet(tmp_path / "users.parquet")
    columns = {"user_id": ct.Categorical(), "age": ct.Categorical(), "item_id": ct.Categorical()}
    recipe = ct.Recipe(
        data={"joins": [{"path": str(tmp_path / "users.parquet"), "on": "user_id"}]},
        schema=ct.Schema(columns=columns, tasks={"did_watch": ct.Binary()}),
        model={"name": "two_tower", "item": ["item_id"], "dim": 8},
    )
    run = ct.fit(recipe, data=frame, overrides={**QUICK, "training.epochs": 1}, quiet=True)
    known = run.item_vectors()
    assert run.item_vectors(known.select("item_id")).equals(known)
    joined = run.user_vectors(users.select("user_id").head(3))
    assert joined["age"].to_list() == users["age"].head(3).to_list()
    assert run.user_vectors(users.head(3)).equals(joined)


def test_a_tower_of_several_columns_needs_rows() -> None:
    frame = ct.worlds.make("watch_next", rows=600).frame
    columns = {name: ct.Categorical() for name in ("user_id", "item_id")}
    recipe = ct.Recipe(
        schema=ct.Schema(
            columns=columns | {"again": ct.Categorical(source="item_id")},
            tasks={"did_watch": ct.Binary()},
        ),
        model={"name": "two_tower", "item": ["item_id", "again"]},
    )
    run = ct.fit(recipe, train=frame, overrides={**QUICK, "training.epochs": 1}, quiet=True)
    with pytest.raises(RunError, match=r"give rows with the columns item_id: run\.item_vectors"):
        run.item_vectors()
    items = frame.select("item_id").unique(maintain_order=True)
    assert run.item_vectors(items).height == items.height


def test_vectors_of_a_retriever_are_those_that_it_searches(film_run: Run, tmp_path: Path) -> None:
    retriever = ct.Retriever.open(film_run)
    items = film_run.item_vectors()
    assert items["item_id"].equals(retriever.catalogue.ids.alias("item_id"), check_names=True)
    assert matrix(items) == pytest.approx(retriever.vectors)
    users = film_run.user_vectors()
    assert users["user"].n_unique() == users.height == retriever.users.height
    for place in (0, 7):
        vector, _ = retriever.query(users["user"][place], None)
        assert matrix(users)[place] == pytest.approx(vector[0], abs=1e-6)
    some = film_run.user_vectors(users["user"][[7, 0]])
    assert matrix(some) == pytest.approx(matrix(users)[[7, 0]], abs=1e-6)
    table = pl.DataFrame({"user": users["user"][[7, 0]], "age": [31, 45]})
    for given in (table, table.lazy(), table.to_arrow(), table.to_pandas()):
        assert film_run.user_vectors(given).equals(some)
    assert film_run.user_vectors(table.select("user").rename({"user": "id"})).equals(some)
    table.write_parquet(tmp_path / "users.parquet")
    assert film_run.user_vectors(tmp_path / "users.parquet").equals(some)
    with pytest.raises(DataError, match="no column 'user'"):
        film_run.user_vectors(table.rename({"user": "id"}))
    with pytest.raises(QueryError, match="does not know user 'nobody'"):
        film_run.user_vectors(["nobody"])
    other = film_run.item_vectors(retriever.items.head(3), seed=film_run.info.seeds[1])
    assert other.height == 3


def test_models_without_towers_and_queries_without_users_have_none(
    feed_run: Run, search_run: Run
) -> None:
    with pytest.raises(RunError, match="shared_bottom has no towers and so no vectors"):
        feed_run.item_vectors()
    with pytest.raises(RunError, match="its queries have no users"):
        search_run.user_vectors()
