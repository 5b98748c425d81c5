"""Where the raw columns of a ranker come from."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from crosstower.funnel.funnel import Funnel
from crosstower.funnel.row_maker import RowMaker, filled_history
from crosstower.recipe.data import Join
from crosstower.recipe.loading import parse_recipe
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

from ..fixtures.funnels import Runs


def test_a_joined_column_is_of_the_side_that_has_the_key(cinema: Runs, tmp_path: Any) -> None:
    pl.DataFrame({"user": range(50), "town": ["x"] * 50}).write_parquet(tmp_path / "users.parquet")
    pl.DataFrame({"town": ["x"], "people": [9]}).write_parquet(tmp_path / "towns.parquet")
    joins = tuple(Join(path=str(tmp_path / f"{on}s.parquet"), on=on) for on in ("user", "town"))
    recipe = cinema.ranking.recipe
    joins = (*recipe.data.joins, *joins)
    more = recipe.model_copy(update={"data": recipe.data.model_copy(update={"joins": joins})})
    ranking = Run(cinema.ranking.folder, more, cinema.ranking.info)
    rows = RowMaker.of(Retriever.open(cinema.retrieval), ranking, [*recipe.schema_.sources()])
    of_query = {c: rows.is_of_query(c) for c in ("user", "hour", "people", "film", "year")}
    assert of_query == {"user": True, "hour": True, "people": True, "film": False, "year": False}


def test_joined_columns_need_not_be_in_the_item_table(cinema: Runs) -> None:
    recipe = cinema.ranking.recipe
    assert recipe.data.joins[0] == Join(path=recipe.data.joins[0].path, on="film")
    funnel = Funnel.open(cinema.retrieval, cinema.ranking)
    assert funnel.rows.from_items == ("film",)
    assert funnel.rows.from_query == ("user", "device", "hour")


def test_a_ranker_may_read_nothing_of_the_query(cinema: Runs) -> None:
    rows = Funnel.open(cinema.retrieval, cinema.ranking).rows
    of_items = replace(rows, from_query=())
    queries, query, item = pl.DataFrame({"user": [1, 2]}), np.array([0, 1, 1]), np.array([4, 0, 3])
    films = rows.items["film"][item]
    (chunk,) = of_items.source(queries, query, item).chunks(["film"])
    assert chunk.frame["film"].to_list() == films.to_list()


def test_the_history_of_the_retriever_fills_one_that_events_fill_offline() -> None:
    retrieval = parse_recipe("""
      schema: {columns: {film: categorical, had: {kind: sequence, table: film}}}
      retrieval: {item: film, user: user, history: had}
    """)
    ranking = parse_recipe("""
      data: {events: rows, time: at}
      schema:
        columns:
          film: categorical
          had: {kind: sequence, table: film, event: like, by: user, max_len: 7}
        tasks: {like: binary}
    """).schema_
    assert ranking.sources() == ["film", "had"]
    assert filled_history(retrieval, ranking, ["had"]) == ("had", 7)
    renamed = ranking.model_copy(update={"columns": {"seen": ranking.columns["had"]}})
    assert filled_history(retrieval, renamed, ["seen"]) == (None, 0)
