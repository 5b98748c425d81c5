"""One table gives the same codes, numbers and scores, whatever carries it."""

import datetime as dt
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.cli.init.retrieval import starter_retrieval_recipe
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.row_encoder import RowEncoder
from crosstower.data.ragged import padded
from crosstower.data.sources import csv_files
from crosstower.data.sources.source import FilteredSource, Source, open_source
from crosstower.fitting.fit import fit
from crosstower.ranking.ranker import Ranker
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.schema import Schema

NAME = "c"
Make = Callable[[list], pl.Series]


def typed(dtype: Any) -> Make:
    return lambda values: pl.Series(NAME, values, dtype=dtype)


def texts(write: Callable[[Any], str]) -> Make:
    return lambda vs: pl.Series(NAME, [None if v is None else write(v) for v in vs], pl.String)


def enum(values: list) -> pl.Series:
    return pl.Series(NAME, values, dtype=pl.Enum(sorted({v for v in values if v is not None})))


def binary(values: list) -> pl.Series:
    return pl.Series(NAME, [None if v is None else v.encode() for v in values], pl.Binary)


def moments(unit: Any, zone: str | None = None) -> Make:
    return lambda values: pl.Series(NAME, values, dtype=pl.Datetime(unit, zone))


SMALL = st.integers(-(2**40), 2**40) | st.integers(0, 20)
WORDS = st.text("abcé 07_.T-", min_size=1, max_size=5).filter(lambda t: t == t.strip(" "))
DAYS = st.dates(dt.date(1990, 1, 1), dt.date(2030, 1, 1))
TIMES = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
NUMBERS = st.integers(-(10**6), 10**6).map(lambda n: n / 1000)
KINDS: dict[str, tuple[Any, dict[str, Make], dict[str, Any]]] = {
    "integers": (
        SMALL,
        {
            "Int64": typed(pl.Int64), "Float64": typed(pl.Float64), "String": texts(str),
            "7.0": texts(lambda v: f"{v}.0"), "spaces": texts(lambda v: f" {v} "),
            "Decimal": typed(pl.Decimal(38, 2))
        },
        {"c": "categorical", "h": {"kind": "categorical", "source": "c", "hash_buckets": 9},
         "n": {"kind": "numeric", "source": "c"}},
    ),
    "texts": (
        WORDS,
        {"String": typed(pl.String), "Categorical": typed(pl.Categorical), "Enum": enum,
         "Binary": binary},
        {"c": "categorical", "h": {"kind": "categorical", "source": "c", "hash_buckets": 9},
         "t": {"kind": "text", "source": "c", "max_len": 4, "hash_buckets": 50}},
    ),
    "booleans": (
        st.booleans(),
        {"Boolean": typed(pl.Boolean), "True": texts(str), "true": texts(lambda v: str(v).lower()),
         "TRUE": texts(lambda v: str(v).upper())},
        {"c": "categorical", "h": {"kind": "categorical", "source": "c", "hash_buckets": 9},
         "n": {"kind": "numeric", "source": "c"}},
    ),
    "dates": (
        DAYS,
        {"Date": typed(pl.Date), "text": texts(str), "ms": moments("ms"), "ns": moments("ns"),
         "midnight": texts(lambda v: f"{v} 00:00:00")},
        {"c": "categorical", "n": {"kind": "numeric", "source": "c"}},
    ),
    "moments": (
        TIMES,
        {"ms": moments("ms"), "us": moments("us"), "ns": moments("ns"),
         "zone": moments("us", "UTC"),
         "T": texts(lambda v: v.isoformat()), "space": texts(str),
         "Z": texts(lambda v: f"{v.isoformat()}Z")},
        {"c": "categorical", "n": {"kind": "numeric", "source": "c"}},
    ),
    "numbers": (
        NUMBERS,
        {"Float64": typed(pl.Float64), "Float32": typed(pl.Float32), "String": texts(str),
         "Decimal": typed(pl.Decimal(20, 3))},
        {"n": {"kind": "numeric", "source": "c"},
         "b": {"kind": "numeric", "source": "c", "transform": "bucketise"}},
    ),
    "lists of integers": (
        st.lists(st.integers(0, 99), min_size=1, max_size=4),
        {"List": typed(pl.List(pl.Int64)), "floats": typed(pl.List(pl.Float64)),
         "texts": lambda vs: pl.Series(NAME, vs, dtype=pl.List(pl.Int64)).cast(pl.List(pl.String)),
         "json": texts(str), "numpy": texts(lambda v: "[" + " ".join(map(str, v)) + "]"),
         "comma": texts(lambda v: ", ".join(map(str, v)))},
        {"c": {"kind": "bag", "max_len": 4, "separator": ","}},
    ),
    "lists of texts": (
        st.lists(st.text("abcé7", min_size=1, max_size=3), min_size=1, max_size=4),
        {"List": typed(pl.List(pl.String)), "python": texts(str),
         "comma": texts(" , ".join)},
        {"c": {"kind": "bag", "max_len": 4, "separator": ","}},
    ),
}  # fmt: skip


def files(frame: pl.DataFrame, folder: Path) -> dict[str, Callable[[], Source]]:
    """Every way to hand over a table that can carry its types."""

    def written(name: str, write: Callable[[Path], Any]) -> Source:
        write(folder / name)
        return open_source(folder / name)

    kind = frame[NAME].dtype
    ways: dict[str, Callable[[], Source]] = {
        "polars": lambda: open_source(frame),
        "arrow": lambda: open_source(frame.to_arrow()),
        "feather": lambda: written("x.feather", frame.write_ipc),
        "parquet": lambda: written("x.parquet", frame.write_parquet),
        "pandas": lambda: open_source(frame.to_pandas()),
    }
    if kind != pl.Float32:  # whose Python values are those of 64 bits
        objects = {n: pd.Series(frame[n].to_list(), dtype=object) for n in frame.columns}
        ways["objects"] = lambda: open_source(pd.DataFrame(objects))
    if not isinstance(kind, pl.List | pl.Binary):
        ways["csv"] = lambda: written("x.csv", frame.write_csv)
        ways["pandas csv"] = lambda: written(
            "y.csv", lambda path: frame.to_pandas().to_csv(path, index=False)
        )
    return ways


def fitted(schema: Schema, source: Source) -> Encoder:
    encoder, cleaner = EncoderFit(schema), Cleaner(schema, with_labels=False)
    for chunk in source.chunks(cleaner.sources()):
        encoder.add(cleaner.clean(chunk))
    return encoder.finish()


def encoded(encoder: Encoder, source: Source) -> dict[str, list]:
    cleaner = Cleaner(encoder.schema, with_labels=False)
    (chunk,) = source.chunks(cleaner.sources())
    batch = encoder.encode(cleaner.clean(chunk))
    lists = {name: padded(values).tolist() for name, values in batch.lists.items()}
    return {"codes": batch.codes.tolist(), "numbers": batch.numbers.tolist(), **lists}


@settings(max_examples=6)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_codes_and_numbers_do_not_depend_on_the_source(kind: str, data: st.DataObject) -> None:
    elements, forms, columns = KINDS[kind]
    values = data.draw(st.lists(st.none() | elements, min_size=2, max_size=12))
    values.append(data.draw(elements))
    schema = Schema.model_validate({"columns": columns})
    with tempfile.TemporaryDirectory() as folder:
        tables = {
            f"{form}, {way}": open_
            for form, make in forms.items()
            for way, open_ in files(pl.DataFrame({"row": range(len(values)), NAME: make(values)}),
                                    Path(folder)).items()
        }  # fmt: skip
        learned = data.draw(st.sampled_from(sorted(tables)))
        encoder = fitted(schema, tables[learned]())
        expected = encoded(encoder, tables[learned]())
        others = st.lists(st.sampled_from(sorted(tables)), min_size=3, max_size=8, unique=True)
        for name in data.draw(others):
            assert encoded(encoder, tables[name]()) == expected, (learned, name)
    row = RowEncoder(encoder, list(columns))
    for form, make in forms.items():
        if form == "Float32":
            continue
        for place, value in enumerate(make(values).to_list()):
            single = row.encode({NAME: value})
            assert single.codes.tolist() == expected["codes"][place], (learned, form, value)
            np.testing.assert_array_equal(single.numbers, expected["numbers"][place])
            for name, lists in single.lists.items():
                assert padded(lists)[0].tolist() == expected[name][place], (learned, form, value)


RECIPE = """
name: sources
schema:
  columns:
    user: categorical
    pro: categorical
    day: categorical
    price: {kind: numeric, transform: quantile}
    tags: {kind: bag, max_len: 3, separator: "|"}
    pair: {kind: cross, columns: [user, pro], hash_buckets: 50}
  tasks:
    bought: {kind: binary, positive: true}
data: {split: {kind: group, column: user}}
model: {name: wide_deep, embedding_dim: 4, hidden: [8]}
training: {epochs: 1, batch_size: 64, precision: float32}
evaluation: {baselines: []}
"""


def table(rows: int = 400) -> pl.DataFrame:
    random = np.random.default_rng(0)
    pro = random.random(rows) < 0.5
    return pl.DataFrame(
        {
            "user": random.integers(0, 40, rows),
            "pro": pro,
            "day": pl.Series([dt.date(2024, 1, 1 + d) for d in random.integers(0, 9, rows)]),
            "price": np.round(random.lognormal(size=rows), 2),
            "tags": [[7, 12, 100][: n + 1] for n in random.integers(0, 3, rows)],
            "bought": pro ^ (random.random(rows) < 0.2),
        }
    )


def test_scores_do_not_depend_on_the_source(tmp_path: Path) -> None:
    rows, path = table(), tmp_path / "rows.csv"
    joined = rows.with_columns(pl.col("tags").cast(pl.List(pl.String)).list.join("|"))
    joined.to_pandas().to_csv(path, index=False, sep=";")
    wide = rows.with_columns(
        pl.col("user").cast(pl.Float64), pl.col("day").cast(pl.Datetime("ns")),
        pl.col("price").cast(pl.Float32), pl.col("pro").cast(pl.String).str.to_titlecase(),
    )  # fmt: skip
    recipe = parse_recipe(RECIPE)
    of_csv = fit(recipe, data=str(path), out=tmp_path / "csv")
    of_frame = fit(recipe, data=wide, out=tmp_path / "frame")
    expected = list(Ranker.open(of_csv).score(open_source(path)))
    for run in (of_csv, of_frame):
        for source in (path, rows, wide, rows.to_pandas(), rows.to_arrow()):
            found = list(Ranker.open(run).score(open_source(source)))
            for one, other in zip(found, expected, strict=True):
                scores = one["bought__prediction"], other["bought__prediction"]
                np.testing.assert_array_equal(*scores)


def test_a_decimal_that_appears_late_in_a_csv_is_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 2_000)
    rows = table().with_row_index("ts", offset=1_700_000_000).with_columns(
        pl.col("ts").cast(pl.Float64), tags=pl.lit("7|12"), price=pl.lit(3.0)
    )  # fmt: skip
    late = rows.with_columns(pl.when(pl.int_range(pl.len()) > 390).then(pl.col("ts") + 0.5)
                             .otherwise("ts").alias("ts"))  # fmt: skip
    whole = late["ts"].cast(pl.String).str.replace(r"\.0$", "")
    late.with_columns(whole.alias("ts")).write_csv(tmp_path / "rows.csv")
    recipe = parse_recipe(RECIPE.replace("{kind: group, column: user}", "{kind: time, column: ts}"))
    run = fit(recipe, data=str(tmp_path / "rows.csv"), out=tmp_path / "run")
    assert run.info.facts.rows == {"train": 320, "valid": 40, "test": 40}


@pytest.mark.parametrize("write", [pl.DataFrame.write_csv, lambda f, p: f.to_pandas().to_csv(p)])
@pytest.mark.parametrize("kind", [pl.Int8, pl.Boolean])
def test_a_written_retrieval_recipe_reads_a_csv(tmp_path: Path, write: Any, kind: Any) -> None:
    rows = pl.DataFrame(
        {"user_id": [1, 1, 2, 2] * 10, "item_id": list(range(10)) * 4, "click": [1, 0, 1, 1] * 10}
    ).with_columns(pl.col("click").cast(kind))
    write(rows, tmp_path / "rows.csv")
    source = open_source(tmp_path / "rows.csv")
    text = starter_retrieval_recipe(
        source, path=str(tmp_path / "rows.csv"), name="r", item="item_id", user="user_id"
    )
    where = parse_recipe(text).retrieval.where  # type: ignore[union-attr]
    assert where == "click == 1"
    kept = FilteredSource(source, where)
    assert sum(chunk.frame.height for chunk in kept.chunks(["item_id"])) == 30
