import bz2
import gzip
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.sources import csv_files
from crosstower.data.sources.csv_files import CsvFile, _Unspaced
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.csv import Csv
from crosstower.recipe.loading import parse_recipe

PLAIN = "id,name,n\n7,café,1.5\n8,,2\n"
EXPECTED = {"id": ["7", "8"], "name": ["café", None], "n": ["1.5", "2"]}


def read(path: Path, dialect: Csv | None = None) -> dict[str, list]:
    source = open_source(path, dialect)
    columns = source.columns()
    return pl.concat(c.frame for c in source.chunks(columns)).to_dict(as_series=False)


@pytest.mark.parametrize(
    ("name", "content", "dialect"),
    [
        ("rows.csv", PLAIN.encode(), Csv()),
        ("ROWS.CSV", PLAIN.encode(), Csv()),
        ("rows.csv", ("\ufeff" + PLAIN).encode(), Csv()),
        ("rows.csv", PLAIN.replace("\n", "\r\n").encode(), Csv()),
        ("rows.csv", PLAIN.replace(",", ";").encode(), Csv()),
        ("rows.csv", PLAIN.replace(",", "\t").encode(), Csv()),
        ("rows.csv", PLAIN.replace(",", "|").encode(), Csv()),
        ("rows.csv", PLAIN.replace(",", "^").encode(), Csv(delimiter="^")),
        ("rows.tsv", PLAIN.replace(",", "\t").encode(), Csv()),
        ("rows.csv", PLAIN.encode("latin-1"), Csv(encoding="latin-1")),
        ("rows.csv", PLAIN.encode("cp1252"), Csv(encoding="cp1252")),
        ("rows.csv", PLAIN.encode("utf-16"), Csv()),
        ("rows.csv", PLAIN.encode("utf-16-le"), Csv(encoding="utf-16-le")),
        ("rows.csv.gz", gzip.compress(PLAIN.encode()), Csv()),
        ("ROWS.CSV.GZ", gzip.compress(PLAIN.encode()), Csv()),
        ("rows.tsv.bz2", bz2.compress(PLAIN.replace(",", "\t").encode()), Csv()),
        ("rows.csv.gz", gzip.compress(PLAIN.encode("latin-1")), Csv(encoding="latin-1")),
        ("rows.csv", PLAIN.replace("8,,", "8,\\N,").encode(), Csv(null_values=("NA", "\\N"))),
        ("rows.csv", PLAIN.replace("8,,", "8, NA ,").encode(), Csv(null_values=("NA", "\\N"))),
        ("rows.csv", PLAIN.replace(",", " ,  ").encode(), Csv()),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_every_dialect_gives_the_same_rows(
    tmp_path: Path, name: str, content: bytes, dialect: Csv
) -> None:
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name, dialect) == EXPECTED
    assert read(tmp_path, dialect) == EXPECTED, "found in a folder as well"


def test_spaces_around_names_and_before_quotes_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('id , "name, full", n\n7, "Ann, Bo", 1\n8, "say ""x"", ""y""", 2\n')
    found = read(file)
    assert list(found) == ["id", "name, full", "n"]
    assert found["name, full"] == ["Ann, Bo", 'say "x", "y"']


def test_a_cell_may_hold_lines(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('id,name\n7,"two\nlines"\n8,one\n')
    assert read(file) == {"id": ["7", "8"], "name": ["two\nlines", "one"]}


def test_a_wrong_encoding_is_refused_with_the_option(tmp_path: Path) -> None:
    for place, text in enumerate((PLAIN, PLAIN.replace("name", "né"))):
        file = tmp_path / f"{place}.csv"
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(DataError, match=r"\.csv: .*set data\.csv"):
            read(file)


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"unknown kind of file '\.gz'; allowed: .*\.csv\.gz"):
        read(tmp_path / "rows.parquet.gz")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{delimiter: ';;'}", r"data\.csv\.delimiter: .*one character"),
        ("{encoding: klingon}", r"data\.csv\.encoding: .*got 'klingon'"),
    ],
)
def test_a_wrong_dialect_is_refused(section: str, words: str) -> None:
    text = f"data: {{path: x.csv, csv: {section}}}\nschema:\n  columns: {{a: numeric}}\n"
    with pytest.raises(RecipeError, match=words):
        parse_recipe(text + "  tasks: {y: binary}\n")


@given(
    cells=st.lists(st.text("ab,; \"'", max_size=6), min_size=1, max_size=30),
    size=st.integers(1, 20),
)
def test_spaces_before_quotes_are_dropped_whatever_the_blocks(cells: list[str], size: int) -> None:
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    data = ", ".join(quoted).encode()
    drop = _Unspaced(",")
    parts = [drop(data[i : i + size]) for i in range(0, len(data), size)]
    assert b"".join([*parts, drop(b"")]) == re.sub(rb', +(?="(?!"))', b",", data)


def test_partitions_become_columns(tmp_path: Path) -> None:
    for day, city in (("2024-01-31", "New%20York"), ("2024-02-01", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / "rows" / f"day={day}" / f"city={city}"
        folder.mkdir(parents=True)
        pl.DataFrame({"x": [1]}).write_parquet(folder / "0.parquet")
    expected = {"x": [1, 1], "day": ["2024-01-31", "2024-02-01"], "city": ["New York", None]}
    assert read(tmp_path / "rows") == expected
    assert read(Path(f"{tmp_path}/rows/*/*/*.parquet")) == expected
    assert read(folder / "0.parquet") == {"x": [1]}, "a single file has the columns inside it"
    chunks = list(open_source(tmp_path / "rows").chunks(["city"]))
    assert [c.frame["city"].to_list() for c in chunks] == [["New York"], [None]]


def test_a_file_read_in_many_blocks_keeps_its_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 100)
    file = tmp_path / "rows.csv"
    file.write_text("id, name\n" + "".join(f'{i}, "a, {i}"\n' for i in range(100)))
    frames = list(CsvFile(file, Csv()).frames(["name", "id"]))
    assert len(frames) > 3
    assert pl.concat(frames)["name"].to_list() == [f"a, {i}" for i in range(100)]
