import gc
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest

from crosstower.data.reading import source_of
from crosstower.data.sources import sql
from crosstower.data.sources.source import Source, open_source
from crosstower.data.sources.sql import open_sql
from crosstower.errors import DataError
from crosstower.fitting.fit import fit
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

from ...conftest import RECIPE, rows

ROWS = "SELECT range AS i, 'a' || range AS s, range / 2.0 AS x, [range, 1] AS l FROM range(9)"


def all_rows(source: Source) -> pl.DataFrame:
    return pl.concat([chunk.frame for chunk in source.chunks(source.columns())])


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DuckDB file with a table `clicks`, and a folder for temporary files."""
    import duckdb

    with duckdb.connect(str(tmp_path / "clicks.db")) as connection:
        connection.execute(f"CREATE TABLE clicks AS {ROWS}")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "clicks.db"


def test_a_query_gives_the_rows_of_the_parquet_file(database: Path, tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect(str(database)) as connection:
        connection.execute(f"COPY clicks TO '{tmp_path}/clicks.parquet'")
    source = open_sql("SELECT * FROM clicks ORDER BY i", f"duckdb:///{database}")
    same = all_rows(open_source(tmp_path / "clicks.parquet"))
    assert all_rows(source).equals(same)
    assert all_rows(source).equals(same)
    chunk = next(source.chunks(["x", "i"]))
    assert (chunk.frame.columns, chunk.origin) == (
        ["x", "i"],
        "query SELECT * FROM clicks ORDER BY i",
    )
    backwards = open_sql("SELECT i FROM clicks ORDER BY i DESC", f"duckdb:///{database}")
    assert all_rows(backwards)["i"].to_list() == list(range(8, -1, -1))


def test_passes_see_the_same_rows_whatever_happens_to_the_table(database: Path) -> None:
    import duckdb

    source = open_sql("SELECT i FROM clicks ORDER BY i", f"duckdb:///{database}")
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM clicks")
    assert all_rows(source).height == 9


def test_the_temporary_file_goes_with_the_source(database: Path, tmp_path: Path) -> None:
    source = open_sql("SELECT i FROM clicks ORDER BY i", f"duckdb:///{database}")
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    del source
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nope FROM clicks ORDER BY i", r'the database rejects it: .*"nope" not found'),
        ("DROP TABLE clicks -- ORDER BY", "read-only mode"),
        ("SELECT i FROM clicks WHERE i > 99 ORDER BY i", "no rows; check its conditions"),
        ("SELECT i, x AS i FROM clicks ORDER BY x", "column 'i' occurs twice"),
    ],
)
def test_a_wrong_query_is_an_error_that_leaves_nothing(
    database: Path, tmp_path: Path, query: str, message: str
) -> None:
    with pytest.raises(DataError, match=f"query {query[:20]}.*{message}"):
        open_sql(query, f"duckdb:///{database}")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"database does not exist; check data\.sql and data\.conn"):
        open_sql("SELECT 1 ORDER BY 1", f"duckdb:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


def test_a_type_without_a_column_is_named(database: Path) -> None:
    query = "SELECT i, INTERVAL 1 MONTH AS span FROM clicks ORDER BY i"
    source = open_sql(query, f"duckdb:///{database}")
    with pytest.raises(DataError, match="column 'span': holds month_day_nano_interval"):
        all_rows(source)


def test_a_missing_extra_is_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_duckdb", None)
    with pytest.raises(DataError, match=r"pip install 'crosstower\[sql\]'"):
        open_sql("SELECT 1 ORDER BY 1", f"duckdb:///{database}")


def test_postgresql_gives_the_same_rows(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE SEQUENCE numbers")
        connection.execute(
            "CREATE TABLE clicks AS SELECT i, 'a' || i AS s, i / 2.0::float8 AS x, i * 1.5 AS n,"
            " ARRAY['t' || i] AS tags FROM generate_series(0, 8) AS t(i)"
        )
    parts = urlsplit(postgres)
    monkeypatch.setenv("PGPASSWORD", parts.password or "")
    url = postgres.replace(f":{parts.password}@", "@")
    found = all_rows(open_sql("SELECT * FROM clicks ORDER BY i", url))
    assert found["i"].to_list() == list(range(9))
    assert found["x"].to_list() == [i / 2 for i in range(9)]
    assert [float(n) for n in found["n"]] == [i * 1.5 for i in range(9)]
    assert found["tags"].to_list() == [[f"t{i}"] for i in range(9)]
    with pytest.raises(DataError, match="read-only transaction"):
        open_sql("SELECT nextval('numbers') AS i ORDER BY 1", url)
    monkeypatch.setenv("PGPASSWORD", "wrong-secret")
    with pytest.raises(DataError, match="the database rejects it") as caught:
        open_sql("SELECT * FROM clicks ORDER BY i", url)
    assert "wrong-secret" not in str(caught.value)


def test_a_recipe_with_a_query_trains_what_a_file_trains(folder: Path, recipe: Recipe) -> None:
    import duckdb

    with duckdb.connect(str(folder / "rows.db")) as connection:
        connection.execute(
            f"CREATE TABLE rows AS SELECT *, file_row_number AS number FROM"
            f" read_parquet('{folder}/rows.parquet', file_row_number = true)"
        )
    query = (
        "{sql: SELECT * EXCLUDE number FROM rows ORDER BY number, connection: 'duckdb:///rows.db'}"
    )
    short = ["training.epochs=1", "evaluation.baselines=[]"]
    asked = parse_recipe(RECIPE.replace("{path: rows.parquet}", query), short, folder=folder)
    here = fit(parse_recipe(RECIPE, short, folder=folder), out=folder / "file", quiet=True)
    there = fit(asked, out=folder / "query", quiet=True)
    assert there.metrics["tasks"] == here.metrics["tasks"]
    opened = Run.open(folder / "query")
    assert opened.recipe.data.connection == f"duckdb:///{folder}/rows.db"
    assert all_rows(source_of(opened.recipe.data)).height == 1200
    new = rows(20, seed=9)
    assert opened.predict(new).equals(here.predict(new))


def test_names_of_long_queries_are_cut() -> None:
    source = open_sql(f"{ROWS}\n  ORDER BY i", "duckdb:///:memory:")
    assert source.name.endswith("…")
    assert len(source.name) < 80
    assert sql.MEMORY == ":memory:"
