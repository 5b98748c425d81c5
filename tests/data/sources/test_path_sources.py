"""Tables and datasets give the rows of the same table in Parquet."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import ipc

from crosstower.data.sources.path_sources import open_place
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError

from .test_addresses import all_rows, put

FRAME = pl.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "day": ["a", "a", "b", None],
        "x": [0.5, None, 2.0, 3.5],
        "tags": [["p"], [], ["q", "r"], None],
    }
)


def delta(folder: Path) -> Path:
    from deltalake import write_deltalake

    write_deltalake(str(folder), FRAME.head(2).to_arrow())
    write_deltalake(str(folder), FRAME.tail(2).to_arrow(), mode="append")
    return folder


def iceberg(folder: Path) -> Path:
    from pyiceberg.catalog import load_catalog

    where = folder.parent / "warehouse"
    where.mkdir()
    catalog = load_catalog("made", type="in-memory", warehouse=f"file://{where}")
    catalog.create_namespace("shop")
    kinds = {"id": pa.int64(), "day": pa.string(), "x": pa.float64(), "tags": pa.list_(pa.string())}
    rows = FRAME.to_arrow().cast(pa.schema(kinds))
    table = catalog.create_table("shop.clicks", schema=rows.schema)
    table.append(rows)
    return where / "shop" / "clicks"


def hugging_face(folder: Path) -> Path:
    folder.mkdir()
    files: list[dict[str, str]] = []
    for number, rows in enumerate((FRAME.head(3), FRAME.tail(1))):
        files.append({"filename": f"data-{number:05d}-of-00002.arrow"})
        table = rows.to_arrow()
        with ipc.new_stream(folder / files[-1]["filename"], table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": "train"}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


KINDS = {"delta": delta, "iceberg": iceberg, "hugging_face": hugging_face}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_table_gives_the_rows_of_the_parquet_file(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    folder = make(tmp_path / "table")
    FRAME.write_parquet(tmp_path / "same.parquet")
    found, same = open_source(folder), open_source(tmp_path / "same.parquet")
    assert found.columns() == same.columns()
    for columns in (found.columns(), ["tags", "id"]):
        rows = all_rows(found, columns)
        assert rows.select(columns).sort("id").equals(all_rows(same, columns))
        assert rows.equals(all_rows(found, columns))  # in the same order again
    with pytest.raises(DataError, match="no column 'idd'; did you mean 'id'"):
        all_rows(found, ["idd"])


@pytest.mark.parametrize("make", [delta, hugging_face])
def test_a_table_at_an_address_is_the_same(
    bucket: str, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    put(make(tmp_path / "table"), f"{bucket}/lake/table")
    found = open_source(f"{bucket}/lake/table")
    assert found.name == f"{bucket}/lake/table"
    assert all_rows(found).sort("id").equals(FRAME)


def test_versions_of_a_delta_table(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    folder = delta(tmp_path / "table")
    assert all_rows(open_source(f"{folder}@v0"))["id"].to_list() == [1, 2]
    assert all_rows(open_source(f"{folder}@v1")).height == 4
    assert all_rows(open_source(f"{folder}@2099-01-01")).height == 4
    DeltaTable(str(folder)).delete("id = 3")
    assert sorted(all_rows(open_source(folder))["id"]) == [1, 2, 4]  # not the removed file
    with pytest.raises(DataError, match=r"table@v7: cannot be opened as a Delta table: .*@v3"):
        open_source(f"{folder}@v7")
    with pytest.raises(DataError, match="expected a version such as @v3, or a time"):
        open_source(f"{folder}@2099-99-01")


def test_versions_of_an_iceberg_table(tmp_path: Path) -> None:
    folder = iceberg(tmp_path / "table")
    (newest,) = (folder / "metadata").glob("00001-*.metadata.json")
    assert all_rows(open_source(newest)).height == 4
    (snapshot,) = json.loads(newest.read_bytes())["snapshots"]
    number = snapshot["snapshot-id"]
    assert all_rows(open_source(f"{folder}@v{number}")).height == 4
    assert all_rows(open_source(f"{folder}@2099-01-01")).height == 4
    with pytest.raises(DataError, match=rf"@v7: no such snapshot; the table has v{number}"):
        open_source(f"{folder}@v7")
    with pytest.raises(DataError, match=r"@2000-01-01T00:00:00\+00:00: no such snapshot"):
        open_source(f"{folder}@2000-01-01")
    (newest.parent / newest.name).write_text("{}")
    with pytest.raises(DataError, match="clicks: cannot be opened as an Iceberg table"):
        open_source(folder)


@pytest.mark.slow
def test_an_iceberg_table_at_an_address(bucket: str, s3_server: str) -> None:
    from pyiceberg.catalog import load_catalog

    options = {"warehouse": f"{bucket}/lake", "s3.endpoint": s3_server}
    catalog = load_catalog("made", type="in-memory", **options)
    catalog.create_namespace("shop")
    rows = FRAME.select("id", "x").to_arrow()
    catalog.create_table("shop.clicks", schema=rows.schema).append(rows)
    found = open_source(f"{bucket}/lake/shop/clicks")
    assert found.name == f"{bucket}/lake/shop/clicks"
    assert all_rows(found).equals(FRAME.select("id", "x"))


def test_tables_of_a_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyiceberg.catalog import load_catalog
    from pyiceberg.utils.config import Config

    options = {
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/c.db",
        "warehouse": f"file://{tmp_path}",
    }
    catalog = load_catalog("lake", **options)
    catalog.create_namespace("shop")
    rows = FRAME.select("id", "x").to_arrow()
    catalog.create_table("shop.clicks", schema=rows.schema).append(rows)
    for name, value in options.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name.upper()}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # is read at the import
    found = open_source("iceberg://lake/shop.clicks")
    assert all_rows(found).equals(FRAME.select("id", "x"))
    with pytest.raises(DataError, match=r"iceberg://lake/shop.none: cannot be opened .*shop.none"):
        open_source("iceberg://lake/shop.none")


def test_only_tables_have_versions(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet@v1: only a Delta or Iceberg table"):
        open_source(f"{tmp_path}/rows.parquet@v1")
    FRAME.write_parquet(tmp_path / "rows@v1.parquet")
    FRAME.write_parquet(tmp_path / "rows.parquet@v1")
    assert open_place(str(tmp_path / "rows@v1.parquet"), None).columns() == FRAME.columns


def test_a_dataset_with_splits_or_an_index_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    hugging_face(folder / "train")
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match=rf"holds the datasets train, test; name one.*{folder}/tra"):
        open_source(folder)
    assert all_rows(open_source(folder / "train")).equals(FRAME)
    state = {"_data_files": [], "_indices_files": [{"filename": "indices.arrow"}]}
    (folder / "train" / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=r"save it again after dataset\.flatten_indices"):
        open_source(folder / "train")
    (folder / "train" / "state.json").write_text("{}")
    with pytest.raises(DataError, match=r"state\.json: names no data files"):
        open_source(folder / "train")
    (folder / "train" / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json: damaged"):
        open_source(folder / "train")


@pytest.mark.parametrize(
    ("make", "package"), [(delta, "deltalake"), (iceberg, "pyiceberg")], ids=["delta", "iceberg"]
)
def test_a_missing_extra_is_named(
    tmp_path: Path, make: Callable[[Path], Path], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "table")
    for name in (package, "pyiceberg.io", "pyiceberg.io.pyarrow"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(DataError, match=r"pip install 'crosstower\[tables\]'"):
        open_source(folder)
