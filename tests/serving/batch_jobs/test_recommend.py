"""Lists of many users: equal to those of single calls and of the server."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from crosstower.errors import DataError, QueryError, RunError
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import USER
from crosstower.serving.batch_jobs.part_files import part_file
from crosstower.serving.batch_jobs.partitions import Partition
from crosstower.serving.batch_jobs.recommend import RecommendWork, recommend_users
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Limits, Settings
from crosstower.storage.files import write_parquet
from crosstower.training.run import Run
from crosstower.values.addresses.address import Address, place_of
from crosstower.values.addresses.remote import delete, download

from ...fixtures.funnels import Runs


def lists(folder: Path) -> pl.DataFrame:
    """Return all parts as a user reads them."""
    return pl.read_parquet(folder / "*.parquet")


def of_user(found: pl.DataFrame, user: Any) -> pl.DataFrame:
    return found.filter(user_id=user)


def file_of(folder: Path, **columns: list[Any]) -> str:
    pl.DataFrame(columns).write_parquet(folder / "users.parquet")
    return str(folder / "users.parquet")


def test_lists_of_a_run_are_those_of_single_calls(film_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "lists"
    summary = recommend_users(
        film_run.folder, out, k=6, where="year < 2010", partition_size=50, seed=1
    )
    assert (summary.partitions, summary.read, summary.written) == (3, 120, 720)
    found, retriever = lists(out), Retriever.open(film_run, seed=1)
    assert found.columns == ["user_id", "position", "item_id", "score"]
    for user in (0, 49, 50, 119):
        alone = retriever.recommend(user, k=6, where="year < 2010")
        mine = of_user(found, user)
        assert mine["item_id"].to_list() == alone["item_id"].to_list()
        assert mine["score"].to_list() == alone["score"].to_list()
        assert mine["position"].to_list() == [1, 2, 3, 4, 5, 6]
    assert found["user_id"].unique_counts().unique().to_list() == [6]


def test_users_of_a_file_with_their_queries(film_run: Run, tmp_path: Path) -> None:
    users = file_of(tmp_path, user=[7, 900, 3], device=["tv", "phone", None])
    summary = recommend_users(film_run.folder, tmp_path / "lists", users=users, k=4)
    assert dict(summary.counts)["unknown users"] == 1
    found, retriever = lists(tmp_path / "lists"), Retriever.open(film_run)
    queries: list[tuple[int, dict[str, Any]]] = [(7, {"device": "tv"}), (3, {})]
    for user, query in queries:
        alone = retriever.recommend(user, k=4, query=query)
        assert of_user(found, user)["item_id"].to_list() == alone["item_id"].to_list()
        assert of_user(found, user)["score"].to_list() == alone["score"].to_list()
    with pytest.warns(match="user 900 is unknown"):
        alone = retriever.recommend(900, k=4, query={"device": "phone"})
    assert of_user(found, 900)["item_id"].to_list() == alone["item_id"].to_list()


def test_an_unknown_user_of_a_run_gets_the_list_of_a_single_call(
    film_run: Run, tmp_path: Path
) -> None:
    recommend_users(film_run.folder, tmp_path / "out", users=file_of(tmp_path, user=[1, 900]), k=4)
    with pytest.warns(match="user 900 is unknown"):
        alone = Retriever.open(film_run).recommend(900, k=4)
    assert of_user(lists(tmp_path / "out"), 900)["score"].to_list() == alone["score"].to_list()


def test_a_search_has_a_list_per_row(search_run: Run, tmp_path: Path) -> None:
    users = file_of(tmp_path, asks=["war", "drama"])
    recommend_users(search_run.folder, tmp_path / "out", users=users, k=3)
    found, retriever = lists(tmp_path / "out"), Retriever.open(search_run)
    for row, text in enumerate(["war", "drama"]):
        alone = retriever.search(text, k=3)
        assert found.filter(row=row)["item_id"].to_list() == alone["item_id"].to_list()


@pytest.fixture(scope="module")
def ruled(blended: Runs, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a blend, diversity and rules."""
    folder = tmp_path_factory.mktemp("ruled")
    rules = folder / "rules.yaml"
    rules.write_text("exclude: ['price > 200']\npin: [{item: 7, at: 2}]\n")
    runs = [blended.retrieval, blended.ranking]
    return make_bundle(runs, folder / "bundle", candidates=40, rules=rules)


@pytest.mark.parametrize("query", [{}, {"home_city": "Rome", "budget": 80}])
def test_lists_of_a_bundle_are_those_of_its_server(
    ruled: Bundle, tmp_path: Path, query: dict[str, Any]
) -> None:
    trained = ruled.retriever().users[USER].to_list()
    chosen = [trained[0], trained[-1], *{1, 17} & set(trained), 10**9]
    users = file_of(tmp_path, user_id=chosen, **{n: [v] * len(chosen) for n, v in query.items()})
    summary = recommend_users(ruled.folder, tmp_path / "out", users=users, k=8, stages=True)
    assert dict(summary.counts)["unknown users"] == 1
    assert summary.counts["popular lists"] == (0 if query else 1)
    found = lists(tmp_path / "out")
    settings = Settings(bundle=ruled.folder, state=tmp_path / "state", limits=Limits())
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        for user in chosen:
            body = {"user": user, "k": 8, "query": query}
            response = client.post("/v1/recommend", json=body).json()
            for row, item in zip(of_user(found, user).to_dicts(), response["items"], strict=True):
                assert (row["item_id"], row["score"]) == (item["item_id"], item["score"])
                assert row["retrieval_rank"] == item["retrieval_rank"]
                assert row["retrieval_score"] == pytest.approx(item["retrieval_score"])
                assert row["click__prediction"] == item["predictions"]["click"]
                assert row["blend__score"] == item["blend_score"]


def test_a_worker_holds_the_users_of_one_chunk(film_run: Run, tmp_path: Path) -> None:
    worker = RecommendWork(str(film_run.folder), "all", 3).open()
    queries = worker.opened.queries
    assert "users" not in vars(queries)  # the table of all users is never read as a whole
    with part_file(tmp_path / "part.parquet", "abc") as part:
        worker.write(Partition(0, "some", 0, 10, 14), part, lambda rows: None)
    assert queries.users.height == 4
    assert part.read == 4


def test_a_bad_value_names_file_row_and_user(film_run: Run, bundle: Bundle, tmp_path: Path) -> None:
    users = file_of(tmp_path, user_id=[1, 2, 3], budget=["80", "90", "much"])
    with pytest.raises(DataError, match=r"partition 0 .*parquet: row 2 \(user 3\): .*budget"):
        recommend_users(bundle.folder, tmp_path / "out", users=users)
    users = file_of(tmp_path, user=[1], years=[1990])
    with pytest.raises(QueryError, match=r"'years' is not a query column; .*has: device\)"):
        recommend_users(film_run.folder, tmp_path / "out2", users=users)
    assert not (tmp_path / "out2").exists()


def test_another_model_or_input_is_refused(film_run: Run, tmp_path: Path) -> None:
    out, users = tmp_path / "out", file_of(tmp_path, user=[1, 2])
    recommend_users(film_run.folder, out, users=users)
    again = recommend_users(film_run.folder, out, users=users)
    assert (again.kept, again.partitions, again.written) == (1, 1, 20)
    for change, words in (
        ({"seed": 1}, "the model differs"),
        ({"k": 3}, "k is 3, the finished parts have 10"),
        ({"users": "all"}, "the input differs: all"),
    ):
        given = {"users": users, **change}
        with pytest.raises(Exception, match=words):
            recommend_users(film_run.folder, out, **given)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="the input differs"):
        recommend_users(film_run.folder, out, users=file_of(tmp_path, user=[1, 2, 3]))


def test_lists_at_an_address(film_run: Run, bucket: str, tmp_path: Path) -> None:
    out, users = f"{bucket}/lists", f"{bucket}/users.parquet"
    ids = [7, 3, 900]
    write_parquet(pl.DataFrame({"user": ids}), place_of(users))
    given: dict[str, Any] = {"users": users, "k": 4, "partition_size": 2}
    first = recommend_users(film_run.folder, out, **given)
    assert (first.partitions, first.written, first.output) == (2, 12, out)
    local = recommend_users(film_run.folder, tmp_path / "lists", **given)
    assert local.written == 12
    for name in ("part-00000.parquet", "part-00001.parquet"):
        place, copy = place_of(f"{out}/{name}"), tmp_path / name
        assert isinstance(place, Address)
        download(place, copy)
        assert pl.read_parquet(copy).equals(pl.read_parquet(tmp_path / "lists" / name))
        last = place
    delete(last)
    assert recommend_users(film_run.folder, out, **given).kept == 1
    with pytest.raises(RunError, match="k is 5, the finished parts have 4"):
        recommend_users(film_run.folder, out, **{**given, "k": 5})
    forced = recommend_users(film_run.folder, out, **{**given, "k": 5}, force=True)
    assert (forced.kept, forced.written) == (0, 15)
