"""Users of a job: of the training rows, or of a file."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, QueryError
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.queries import Queries
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.batch_jobs.users import AllUsers, UsersOfFile, check_each_once, users_of
from crosstower.training.run import Run

PLAIN = FunnelRequest(k=7, where="year > 1970")


@pytest.fixture
def queries(film_run: Run) -> Queries:
    return Retriever.open(film_run).queries


def written(tmp_path: Path, frame: pl.DataFrame) -> str:
    path = tmp_path / "users.parquet"
    frame.write_parquet(path)
    return str(path)


def requests(users: AllUsers | UsersOfFile) -> tuple[list[object], list[FunnelRequest]]:
    keys: list[object] = []
    found: list[FunnelRequest] = []
    for chunk in users.source.chunks(users.columns):
        some, more = users.requests(chunk, PLAIN)
        keys += some.to_list()
        found += more
    return keys, found


def test_all_users_are_those_of_the_training_rows(queries: Queries) -> None:
    users = users_of(queries, "all")
    keys, found = requests(users)
    assert keys == list(range(120))
    assert found[3] == FunnelRequest(3, {}, k=7, where="year > 1970")
    part = next(iter(users.source.chunks(users.columns)))
    whole = queries.known(5)
    users.requests(Chunk(part.frame[4:8], part.origin, 4, 4), PLAIN)
    assert queries.users.height == 4
    own = queries.known(5)
    assert own is not None
    assert whole is not None
    assert (own.row, own.history.tolist()) == (whole.row, whole.history.tolist())
    assert queries.known(9) is None


@pytest.mark.parametrize("ids", [[5, 200, 3], ["5", "200", "3"], [5.0, 200.0, 3.0]])
def test_users_of_a_file_keep_its_order(queries: Queries, tmp_path: Path, ids: list) -> None:
    users = users_of(queries, written(tmp_path, pl.DataFrame({"anything": ids})))
    keys, found = requests(users)
    assert keys == [5, 200, 3]
    assert [str(one.user) for one in found] == ["5", "200", "3"]
    assert queries.users.height == 2  # those of the file
    assert queries.place_of(200) == -1


def test_query_columns_of_a_file(queries: Queries, tmp_path: Path) -> None:
    frame = pl.DataFrame({"device": ["tv", None], "user": [1, 2]})
    users = users_of(queries, written(tmp_path, frame))
    assert [dict(one.query) for one in requests(users)[1]] == [{"device": "tv"}, {}]


def test_a_recipe_without_users_has_numbered_queries(search_run: Run, tmp_path: Path) -> None:
    queries = Retriever.open(search_run).queries
    with pytest.raises(QueryError, match=r"--users all: the recipe has no retrieval\.user"):
        users_of(queries, "all")
    users = users_of(queries, written(tmp_path, pl.DataFrame({"asks": ["war", "drama"]})))
    keys, found = requests(users)
    assert (keys, found[1].user, found[1].query) == ([0, 1], None, {"asks": "drama"})
    check_each_once(users)  # type: ignore[arg-type]


def test_a_file_without_ids_is_refused(queries: Queries, tmp_path: Path) -> None:
    frame = pl.DataFrame({"usr": [1], "device": ["tv"]})
    with pytest.raises(DataError, match="no column 'user' with the ids of users; did you mean"):
        users_of(queries, written(tmp_path, frame))


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([1, 2, None], "column 'user': expected the id of a user, got None in row 2; remove"),
        (["1", "", "2"], "got '' in row 1"),
        ([1.0, 2.5], r"got 2\.5 in row 1"),
        ([4, 7, 4, 7], "user '4' occurs twice: row 0 of .*parquet and row 2 of .*; keep one row"),
        (["4", " 4"], "user '4' occurs twice"),
    ],
)
def test_hostile_ids_are_refused_before_the_job(
    queries: Queries, tmp_path: Path, ids: list, words: str
) -> None:
    users = users_of(queries, written(tmp_path, pl.DataFrame({"user": ids})))
    with pytest.raises(DataError, match=words):
        check_each_once(users)  # type: ignore[arg-type]


def test_ids_that_the_run_cannot_have_are_refused(queries: Queries, tmp_path: Path) -> None:
    users = users_of(queries, written(tmp_path, pl.DataFrame({"user": ["4", "007"]})))
    check_each_once(users)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="user '007' in row 1: the users of this run have integers"):
        requests(users)


def test_an_empty_file_is_refused(queries: Queries, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"users\.parquet: no rows"):
        users_of(queries, written(tmp_path, pl.DataFrame({"user": []}, schema={"user": pl.Int64})))
    (tmp_path / "users.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="empty file"):
        users_of(queries, str(tmp_path / "users.parquet"))
