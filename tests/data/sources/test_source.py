from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from crosstower.data.sources import source as sources
from crosstower.data.sources.joins import join
from crosstower.data.sources.source import Source, open_source, require_columns
from crosstower.errors import DataError


def all_rows(source: Source, *columns: str) -> pl.DataFrame:
    return pl.concat(c.frame for c in source.chunks(columns or source.columns()))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Rows 0-29 in three files of a folder with a subfolder."""
    (tmp_path / "rows" / "late").mkdir(parents=True)
    for i, name in enumerate(["a.parquet", "b.csv", "late/c.arrow"]):
        frame = pl.DataFrame({"i": [str(n) for n in range(10 * i, 10 * i + 10)]})
        path = tmp_path / "rows" / name
        {"a": frame.write_parquet, "b": frame.write_csv, "c": frame.write_ipc}[path.stem](path)
    (tmp_path / "rows" / "_SUCCESS").write_text("")
    return tmp_path / "rows"


def test_a_folder_is_all_its_files_in_order(files: Path) -> None:
    source = open_source(files)
    assert all_rows(source)["i"].to_list() == [str(n) for n in range(30)]
    chunks = list(source.chunks(["i"]))
    assert [(Path(c.origin).name, c.first_row, c.index) for c in chunks] == [
        ("a.parquet", 0, 0),
        ("b.csv", 0, 10),
        ("c.arrow", 0, 20),
    ]


def test_a_glob_and_a_file(files: Path) -> None:
    assert all_rows(open_source(f"{files}/*.parquet")).height == 10
    assert all_rows(open_source(f"{files}/**/*.arrow"))["i"][0] == "20"
    assert all_rows(open_source(files / "b.csv"))["i"].to_list() == [str(n) for n in range(10, 20)]


def test_data_frames_of_every_library() -> None:
    frame = pl.DataFrame({"i": [1, 2], "x": [0.5, None]})
    for data in (frame, frame.lazy(), frame.to_arrow(), frame.to_pandas()):
        assert all_rows(open_source(data)).equals(frame), type(data)


def test_rows_can_be_read_again(files: Path) -> None:
    source = open_source(files)
    assert all_rows(source).equals(all_rows(source))


def test_frames_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CHUNK_ROWS", 4)
    chunks = list(open_source(pl.DataFrame({"i": range(10)})).chunks(["i"]))
    assert [(c.first_row, c.index, c.frame.height) for c in chunks] == [
        (0, 0, 4),
        (4, 4, 4),
        (8, 8, 2),
    ]


BAD_PATHS = {
    "missing.parquet": (None, "no such file, folder or glob"),
    "zero.parquet": (b"", "empty file"),
    "names.csv": (b"a,b\n", "no rows"),
    "blank.csv": (b"\n\n", "cannot be read as csv"),
    "broken.parquet": (b"PAR1 and then nothing", "cannot be read as parquet"),
    "rows.xlsx": (b"PK", r"unknown kind of file '\.xlsx'"),
    "twice.csv": (b"a,b,a\n1,2,3\n", "column 'a' occurs twice"),
}


@pytest.mark.parametrize("name", BAD_PATHS)
def test_a_bad_file_is_named_and_explained(tmp_path: Path, name: str) -> None:
    content, words = BAD_PATHS[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: .*{words}"):
        open_source(tmp_path / name)


def test_a_parquet_file_without_rows_is_an_error(tmp_path: Path) -> None:
    pl.DataFrame({"a": []}, schema={"a": pl.Int64}).write_parquet(tmp_path / "none.parquet")
    with pytest.raises(DataError, match="no rows"):
        open_source(tmp_path / "none.parquet")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file, folder or glob"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pa.table([[1], [2]], names=["a", "a"]),
    ],
)
def test_a_frame_with_a_column_twice_is_an_error(data: object) -> None:
    with pytest.raises(DataError, match="data frame: column 'a' occurs twice"):
        open_source(data)


def test_a_frame_without_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="data frame: no rows"):
        open_source(pl.DataFrame({"a": []}))


def test_something_else_is_an_error() -> None:
    with pytest.raises(DataError, match="expected a path or a polars, pandas or Arrow table, got"):
        open_source([1, 2])


def test_a_missing_column_is_named_with_the_nearest_one() -> None:
    source = open_source(pl.DataFrame({"user_id": [1], "age": [2]}))
    with pytest.raises(DataError, match=r"no column 'user'; did you mean 'user_id'\? \(columns: "):
        require_columns(source, ["age", "user"])


def test_a_file_that_lacks_a_column_of_the_first_is_named(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1], "b": [2]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: no column 'b'"):
        all_rows(open_source(tmp_path))


def test_a_join_keeps_rows_and_order_and_leaves_strangers_empty() -> None:
    base = open_source(pl.DataFrame({"user": [2, 1, 3, 2], "y": [0, 1, 0, 1]}))
    users = pl.DataFrame({"user": [1, 2], "city": ["Faro", "Bergen"]})
    joined = join(base, users, on="user")
    assert joined.columns() == ["user", "y", "city"]
    assert all_rows(joined).rows() == [
        (2, 0, "Bergen"),
        (1, 1, "Faro"),
        (3, 0, None),
        (2, 1, "Bergen"),
    ]
    assert all_rows(joined, "city").columns == ["city"]


def test_a_join_of_text_keys_with_number_keys(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("user,y\n2,0\n1,1\n")
    users = pl.DataFrame({"user": [1, 2], "city": ["Faro", "Bergen"]})
    joined = join(open_source(tmp_path / "rows.csv"), users, on="user")
    assert all_rows(joined)["city"].to_list() == ["Bergen", "Faro"]


def test_a_key_that_is_not_a_number_is_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("user,y\n2,0\nguest,1\n")
    users = pl.DataFrame({"user": [1, 2], "city": ["Faro", "Bergen"]})
    joined = join(open_source(tmp_path / "rows.csv"), users, on="user")
    assert all_rows(joined)["city"].to_list() == ["Bergen", None]
    assert all_rows(joined)["user"].to_list() == ["2", "guest"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"user": [1, 1], "city": ["a", "b"]}, "holds the key 1 more than once"),
        ({"user": [1], "y": [5]}, "column 'y' is on both sides; drop it from"),
        ({"person": [1], "city": ["a"]}, "no column 'user'"),
    ],
)
def test_a_bad_join_is_explained(table: dict, words: str) -> None:
    base = open_source(pl.DataFrame({"user": [1], "y": [0]}))
    with pytest.raises(DataError, match=words):
        join(base, pl.DataFrame(table), on="user")


@pytest.mark.parametrize(
    "keys",
    [
        pl.Series([7, 8]), pl.Series([7.0, 8.0]), pl.Series(["7", "8"]), pl.Series(["7.0", " 8"]),
        pl.Series([b"7", b"8"]), pl.Series(["7", "8"], dtype=pl.Categorical),
    ],
)  # fmt: skip
def test_keys_join_whatever_their_types(keys: pl.Series) -> None:
    cities = pl.DataFrame({"user": keys, "city": ["Faro", "Oslo"]})
    for rows in (pl.DataFrame({"user": [8, 7, None]}), pl.DataFrame({"user": ["8.0", "7", "007"]})):
        found = all_rows(join(open_source(rows), cities, on="user"))
        assert found["city"].to_list() == ["Oslo", "Faro", None]


def test_a_key_that_is_there_twice_in_two_spellings_is_refused() -> None:
    users = pl.DataFrame({"user": ["1", "1.0"], "city": ["Faro", "Oslo"]})
    with pytest.raises(DataError, match="holds the key '1' more than once"):
        join(open_source(pl.DataFrame({"user": [1]})), users, on="user")


def test_a_key_that_is_a_fraction_is_refused() -> None:
    users = pl.DataFrame({"user": [1.5], "city": ["Faro"]})
    with pytest.raises(DataError, match=r"column 'user': expected an id, .* got 1\.5 in row 0"):
        all_rows(join(open_source(pl.DataFrame({"user": [1]})), users, on="user"))
