from pathlib import Path

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.sql import anchored_connection, is_ordered
from crosstower.values.addresses.address import Address

SCHEMA = "schema: {columns: {user: categorical}, tasks: {click: binary}}"
QUERY = "sql: SELECT * FROM t ORDER BY i"


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("SELECT a FROM t order\n by a", True),
        ("WITH u AS (SELECT 1 ORDER BY 1) SELECT * FROM u ORDER BY a LIMIT 5", True),
        ("WITH u AS (SELECT 1 ORDER BY 1) SELECT * FROM u", False),
        ("SELECT row_number() OVER (PARTITION BY (a) ORDER BY b) FROM t", False),
        ("SELECT 'ORDER BY' FROM t -- ORDER BY a", False),
        ('SELECT a /* ORDER BY\n a */ FROM "ORDER BY"', False),
        ("SELECT 'it''s (' FROM t ORDER BY a", True),
    ],
)
def test_only_an_order_of_the_result_counts(query: str, ordered: bool) -> None:
    assert is_ordered(query) is ordered


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (f"{QUERY}", "connection: missing; name the database of data.sql"),
        ("connection: 'duckdb:///a.db'", "connection: allowed only with data.sql"),
        (f"{QUERY}, connection: 'mysql://host/db'", "expected duckdb:///FILE .* got mysql:…"),
        ("sql: SELECT 1, connection: 'duckdb:///a.db'", "sql: states no order"),
        (f"{QUERY}, path: a.csv, connection: 'duckdb:///a.db'", "sql: not allowed with data.path"),
        (f"{QUERY}, engine: daft, connection: 'duckdb:///a.db'", "not allowed with engine: daft"),
        (f"{QUERY}, connection: 'postgresql://ana:hunter2@h/db'", "connection: holds a password"),
        (f"{QUERY}, connection: 'postgresql://h/db?password=hunter2'", "holds a password"),
        (f"{QUERY}, connection: 'postgres://ana:hun[ter2@h/db'", "holds a password"),
        (f"{QUERY}, connection: 'postgres://ana:hun#ter2@h/db'", "holds a password"),
        (f"{QUERY}, connection: 'postgres://ana:hun@ter2@h/db'", "holds a password"),
    ],
)
def test_a_wrong_section_is_refused_and_no_password_repeated(section: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        parse_recipe(f"data: {{{section}}}\n{SCHEMA}")
    assert "hunter2" not in str(caught.value)
    assert "hun[ter2" not in str(caught.value)


def test_files_of_connections_start_at_the_folder_of_the_recipe() -> None:
    text = f"data: {{{QUERY}, connection: 'duckdb:///a.db'}}\n{SCHEMA}"
    recipe = parse_recipe(text, folder=Path("/recipes"))
    assert recipe.data.connection == "duckdb:////recipes/a.db"
    assert recipe.data.is_named
    assert parse_recipe(recipe.to_yaml(), folder=Path("/elsewhere")).data == recipe.data
    for same in ("duckdb:///:memory:", "postgresql://ana@host/shop"):
        assert anchored_connection(same, Path("/recipes")) == same
    assert anchored_connection("duckdb:///a.db", Address("s3", "b/r")) == "duckdb:///a.db"
    other = recipe.data.at("rows.parquet")
    assert (other.path, other.sql, other.connection) == ("rows.parquet", None, None)
