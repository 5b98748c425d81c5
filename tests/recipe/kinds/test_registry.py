"""A column kind of one's own: declared, cleaned, encoded, trained, saved, opened and scored."""

import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pytest

import crosstower as ct
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.encoders.row_encoder import RowEncoder
from crosstower.data.sources.source import Chunk
from crosstower.recipe.kinds.registry import COLUMNS, register_column
from crosstower.values.columns import Cells


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(COLUMNS, "entries", dict(COLUMNS.entries))
    monkeypatch.setattr(COLUMNS, "modules", dict(COLUMNS.modules))
    register_column("decade")(Decade)
    register_column("celsius")(Celsius)
    register_column("letters")(Letters)


class Decade(ct.Categorical):
    kind: Literal["decade"] = "decade"  # type: ignore[assignment]
    years: int = 10
    expected: ClassVar[str] = "a year"

    def clean(self, raw: pl.Series) -> pl.Series:
        return raw.cast(pl.Int64, strict=False) // self.years * self.years


class Celsius(ct.Numeric):
    kind: Literal["celsius"] = "celsius"  # type: ignore[assignment]

    def clean(self, raw: pl.Series) -> pl.Series:
        return (raw.str.strip_suffix(" F").cast(pl.Float64, strict=False) - 32) / 1.8


class Letters(ct.Bag):
    kind: Literal["letters"] = "letters"  # type: ignore[assignment]

    def clean(self, raw: pl.Series) -> pl.Series:
        return raw.str.split("")


COLUMN: dict[str, Any] = {
    "year": {"kind": "decade", "years": 20},
    "heat": {"kind": "celsius", "transform": "none"},
    "word": "letters",
}
ROWS = pl.DataFrame(
    {
        "year": ["1961", "1979", "1980", None],
        "heat": ["32 F", "50 F", None, "212 F"],
        "word": ["ab", "b", "cab", None],
        "click": [0, 1, 0, 1],
    }
)


def cells_of(column: ct.Column, raw: pl.Series) -> Cells:
    (reading,) = column.readings(raw.name)
    return reading.read(raw)


def schema(**columns: Any) -> ct.Schema:
    return ct.Schema.model_validate({"columns": columns, "tasks": {"click": "binary"}})


def test_an_own_kind_is_encoded_as_its_base_from_its_own_values() -> None:
    cleaner = Cleaner(schema(**COLUMN), [])
    clean = cleaner.clean(Chunk(ROWS, "rows", 0, 0))
    assert clean["year"].to_list() == [1960, 1960, 1980, None]
    assert clean["heat"].to_list() == pytest.approx([0.0, 10.0, None, 100.0])
    fit = EncoderFit(schema(**COLUMN))
    fit.add(clean)
    encoder = fit.finish()
    batch = encoder.encode(clean)
    assert batch.codes[:, 0].tolist() == [3, 3, 4, 1]
    assert encoder.layout.numbers == ("heat", "heat is missing")
    assert encoder.layout.lists[0].name == "word"

    names = list(COLUMN)
    rows = RowEncoder(encoder, names)
    whole = PartialEncoder(encoder, names).encode(clean)
    for place, row in enumerate(ROWS.iter_rows(named=True)):
        one = rows.encode(row)
        np.testing.assert_array_equal(one.codes, whole.codes[place].numpy())
        np.testing.assert_array_equal(one.numbers, whole.numbers[place].numpy())


def test_the_schema_is_written_and_read_with_the_options_of_an_own_kind() -> None:
    given = schema(**COLUMN, other=Decade(years=5))
    plain = given.plain()
    assert plain["columns"]["year"] == {"kind": "decade", "years": 20}
    assert plain["columns"]["other"] == {"kind": "decade", "years": 5}
    assert ct.Schema.model_validate(plain) == given


def test_a_cell_that_cannot_be_read_is_bad() -> None:
    cells = cells_of(Decade(), pl.Series("year", ["1961", "soon", None]))
    assert cells.bad.to_list() == [False, True, False]
    assert cells.expected == "a year"
    bad = ROWS.with_columns(year=pl.Series(["1961", "soon", None, "1999"]))
    cleaner = Cleaner(schema(year="decade"), [])
    with pytest.raises(ct.DataError, match="'year': expected a year, got 'soon' in row 1 of rows"):
        cleaner.clean(Chunk(bad, "rows", 0, 0))


def test_a_column_of_another_type_is_refused_and_a_missing_one_is_not() -> None:
    with pytest.raises(ct.DataError, match=r"'heat': expected a cell .* got Int64, which kind 'ce"):
        cells_of(Celsius(), pl.Series("heat", [32]))
    assert cells_of(Celsius(), pl.Series("heat", [None])).values.null_count() == 1


def test_clean_must_return_a_value_for_each_row() -> None:
    @register_column("short")
    class Short(ct.Numeric):
        kind: Literal["short"] = "short"  # type: ignore[assignment]

        def clean(self, raw: pl.Series) -> pl.Series:
            return raw.head(1)

    words = "'x': clean of kind 'short' must return a polars Series of 2 values, got 1 values"
    with pytest.raises(ct.DataError, match=words):
        cells_of(Short(), pl.Series("x", [1.0, 2.0]))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("decades", r"columns.x: no column kind 'decades'; did you mean 'decade'\?; allowed: bag"),
        ({"kind": "decade", "yaers": 1}, "columns.x.yaers: unknown key; did you mean 'years'"),
        ({"kind": "decade", "years": "many"}, "columns.x.years: .*got 'many'"),
    ],
)
def test_a_wrong_declaration_is_explained(column: Any, words: str) -> None:
    with pytest.raises(ct.RecipeError, match=words):
        ct.Schema(columns={"x": column})


def test_a_class_that_cannot_be_a_kind_is_refused() -> None:
    class Unregistered(ct.Categorical):
        pass

    with pytest.raises(ct.RecipeError, match="Unregistered is not registered; decorate the class"):
        ct.Schema(columns={"x": Unregistered()})
    with pytest.raises(ct.RecipeError, match=r"must declare kind: Literal\['year'\] = 'year', got"):
        register_column("year")(Decade)
    with pytest.raises(ct.RecipeError, match=r"str must be a subclass of crosstower\.Column or"):
        register_column("text_of")(str)
    with pytest.raises(ct.RecipeError, match="has registered this name"):
        register_column("categorical")(
            type("Other", (ct.Categorical,), {"__module__": "elsewhere"})
        )


MODULE = """
from typing import Literal

import polars as pl

import crosstower as ct


@ct.register_column("genre_initial")
class GenreInitial(ct.Categorical):
    kind: Literal["genre_initial"] = "genre_initial"

    def clean(self, raw: pl.Series) -> pl.Series:
        return raw.str.head(1)
"""


def test_a_run_names_the_module_of_its_column_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_columns.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CROSSTOWER_MODULES", "my_columns")
    random = np.random.default_rng(0)
    genre = random.choice(["action", "comedy", "drama"], 300)
    rows = pl.DataFrame({"genre": genre, "click": (genre == "drama").astype(np.int64)})
    recipe = ct.Recipe.model_validate(
        {
            "schema": {"columns": {"genre": "genre_initial"}, "tasks": {"click": "binary"}},
            "model": {"name": "mlp", "embedding_dim": 2, "hidden": [4]},
            "training": {"epochs": 1, "precision": "float32"},
            "evaluation": {"baselines": []},
        }
    )
    run = ct.fit(recipe, data=rows, out=tmp_path / "run", quiet=True)
    assert run.info.modules == {"genre_initial": "my_columns"}
    monkeypatch.delenv("CROSSTOWER_MODULES")
    COLUMNS.entries.pop("genre_initial")  # as in a process that has not imported it
    sys.modules.pop("my_columns")
    with pytest.raises(ct.RunError, match="'genre_initial' is not built in; it was registered by"):
        ct.Run.open(tmp_path / "run")
    monkeypatch.setenv("CROSSTOWER_MODULES", "my_columns")
    opened = ct.Run.open(tmp_path / "run")
    assert len(opened.predict(rows.head(4))) == 4
    sys.modules.pop("my_columns")
