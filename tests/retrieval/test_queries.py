from dataclasses import replace
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.queries import Queries
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import SEEN_ITEMS, USER
from crosstower.training.run import Run

NOBODY = np.empty(0, np.int64)


@pytest.fixture
def retriever(film_run: Run) -> Retriever:
    """Films: the query has a device and what was watched before."""
    return Retriever.open(film_run)


@pytest.fixture
def queries(retriever: Retriever) -> Queries:
    """Its queries."""
    return retriever.queries


def test_a_user_is_known_by_number_and_by_text(queries: Queries) -> None:
    table = pl.read_parquet(queries.run.folder / "retrieval" / "users.parquet")
    row = table.filter(pl.col(USER) == 7).row(0, named=True)
    for user in (7, "7", 7.0, "7.0", " 7", Decimal(7), np.int8(7)):
        known = queries.known(user)
        assert known is not None
        assert known.id == 7
        assert known.row == {"device": row["device"]}
        assert known.history.tolist() == row[SEEN_ITEMS]


@pytest.mark.parametrize("user", [10**6, -1, 2**70, "ann", "", "007"])
def test_who_is_not_there_is_not_known(queries: Queries, user: int | str) -> None:
    assert queries.known(user) is None
    assert queries.place_of(user) == -1


def test_what_is_given_takes_the_place_of_the_last_row(queries: Queries) -> None:
    known = queries.known(7)
    assert known is not None
    rows = [
        queries.row(7, known, {}),
        queries.row(7, known, {"device": known.row["device"]}),
        queries.row(7, known, {"device": "phone" if known.row["device"] == "tv" else "tv"}),
        queries.row(None, None, {}),
    ]
    codes = [row.codes.tolist() for row in rows]
    assert codes[0] == codes[1]
    assert len({str(c) for c in codes}) == 3
    with pytest.raises(QueryError, match="no column 'devise'; did you mean 'device'"):
        queries.row(7, known, {"devise": "tv"})
    with pytest.raises(QueryError, match="column 'device'"):
        queries.row(7, known, {"device": 0.5})


def test_vectors_of_several_are_those_of_each(retriever: Retriever, queries: Queries) -> None:
    asked = [(0, {}), (7, {"device": "tv"}), (None, {"device": "phone"}), (10**6, {}), (63, {})]
    known = [queries.known(user) if user is not None else None for user, _ in asked]
    rows = [queries.row(u, k, query) for (u, query), k in zip(asked, known, strict=True)]
    history = [NOBODY if k is None else k.history for k in known]
    together = queries.vectors(rows, history)
    alone = [retriever.query(user, query)[0] for user, query in asked]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    assert not np.allclose(together[0], together[1])


def test_a_vector_of_zeros_gives_the_items_no_order(queries: Queries) -> None:
    zeros = np.zeros(4, np.float32)
    assert not queries.orders_items(zeros)
    assert queries.orders_items(zeros + 1)


def test_a_recipe_without_users_takes_none(queries: Queries) -> None:
    queries.check_user(None)
    queries.check_user(7)
    section = queries.run.recipe.retrieval
    assert section is not None
    without = {"retrieval": section.model_copy(update={"user": None})}
    run = replace(queries.run, recipe=queries.run.recipe.model_copy(update=without))
    of_nobody = Queries(run, queries.model, pl.Series(range(60)))
    assert of_nobody.known(7) is None
    with pytest.raises(QueryError, match=r"the recipe has no retrieval\.user"):
        of_nobody.check_user(7)


def test_a_vector_that_overflows_is_refused(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever.queries.check_finite(np.ones(3, np.float32))
    lost = np.array([[1.0, np.nan]], np.float32)
    monkeypatch.setattr(Queries, "vectors", lambda *_: lost)
    with pytest.raises(QueryError, match="its vector is not finite"):
        retriever.query(7, {})
