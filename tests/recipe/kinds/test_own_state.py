"""A column kind of one's own that learns from the training rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pytest

import crosstower as ct
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import load_encoder, save_encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.row_encoder import RowEncoder
from crosstower.data.sources.source import Chunk
from crosstower.recipe.kinds.registry import COLUMNS, register_column

VALUES = [5.0, 1.0, 9.0, 3.0, None, 7.0, 2.0, 8.0]


class Edges(ct.FrozenModel):
    edges: tuple[float, ...]


class Learner:
    def __init__(self, bins: int) -> None:
        self.bins, self.parts = bins, [np.empty(0)]

    def add(self, values: pl.Series) -> None:
        self.parts.append(values.drop_nulls().to_numpy())

    def finish(self) -> Edges:
        values = np.concatenate(self.parts)
        steps = np.arange(1, self.bins) / self.bins
        return Edges(edges=tuple(np.quantile(values, steps)) if len(values) else ())


class Bins(ct.Column):
    State: ClassVar[Any] = Edges
    expected: ClassVar[str] = "a number"

    kind: Literal["bins"] = "bins"
    bins: int = 4

    def clean(self, raw: pl.Series) -> pl.Series:
        return raw.cast(pl.Float64, strict=False)

    def learner(self) -> Learner:
        return Learner(self.bins)

    def inputs(self, name: str, state: Edges) -> ct.CodeField:
        return ct.CodeField(name, size=3 + len(state.edges) + 1, table=name)

    def coder(self, state: Edges) -> Callable[[pl.Series], np.ndarray]:
        def codes(values: pl.Series) -> np.ndarray:
            place = np.searchsorted(state.edges, values.fill_null(0.0).to_numpy()) + 3
            return np.where(values.is_null().to_numpy(), 1, place)

        return codes


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(COLUMNS, "entries", dict(COLUMNS.entries))
    monkeypatch.setattr(COLUMNS, "modules", dict(COLUMNS.modules))
    register_column("bins")(Bins)


def learned(kind: Any = "bins") -> tuple[Encoder, pl.DataFrame]:
    schema = ct.Schema.model_validate({"columns": {"x": kind}})
    rows = Cleaner(schema).clean(Chunk(pl.DataFrame({"x": VALUES}), "rows", 0, 0))
    fit = EncoderFit(schema)
    fit.add(rows[:3])
    fit.add(rows[3:])
    return fit.finish(), rows


def test_quantiles_are_learned_stored_and_used(tmp_path: Path) -> None:
    encoder, rows = learned()
    known = np.array([v for v in VALUES if v is not None])
    edges = np.quantile(known, [0.25, 0.5, 0.75])
    wanted = [1 if v is None else int((edges < v).sum()) + 3 for v in VALUES]
    assert encoder.encode(rows).codes[:, 0].tolist() == wanted
    assert (encoder.layout.codes[0].size, encoder.layout.numbers) == (7, ())

    save_encoder(encoder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.json"]
    loaded = load_encoder(tmp_path)
    assert loaded.states == encoder.states
    row = RowEncoder(loaded, ["x"])
    assert [int(row.encode({"x": value}).codes[0]) for value in VALUES] == wanted


def test_a_cell_that_cannot_be_cleaned_is_bad() -> None:
    schema = ct.Schema(columns={"x": Bins()})
    rows = pl.DataFrame({"x": ["1", "much"]})
    with pytest.raises(ct.DataError, match="column 'x': expected a number, got 'much' in row 1"):
        Cleaner(schema).clean(Chunk(rows, "rows", 0, 0))


def test_a_kind_made_of_a_built_in_one_uses_its_own_coder_for_requests() -> None:
    @register_column("rounded")
    class Rounded(ct.Numeric):
        kind: Literal["rounded"] = "rounded"  # type: ignore[assignment]

        def coder(self, state: Any) -> Callable[[pl.Series], np.ndarray]:
            return lambda values: np.stack([values.fill_null(0.0).round().to_numpy()], axis=1)

        def inputs(self, name: str, state: Any) -> tuple[str, ...]:
            return (name,)

    encoder, rows = learned("rounded")
    assert encoder.encode(rows).numbers[0].tolist() == [5.0]
    assert RowEncoder(encoder, ["x"]).encode({"x": 5.4}).numbers.tolist() == [5.0]


def test_a_kind_says_what_its_codes_are() -> None:
    class Silent(ct.Column):
        kind: Literal["silent"] = "silent"

    with pytest.raises(ct.RecipeError, match="Silent must define inputs and coder, or be a subcla"):
        register_column("silent")(Silent)


@pytest.mark.parametrize("given", [["x"], ct.CodeField("other", 9, "other"), None])
def test_inputs_that_no_model_can_have_are_refused(given: Any) -> None:
    @register_column("odd")
    class Odd(Bins):
        kind: Literal["odd"] = "odd"  # type: ignore[assignment]

        def inputs(self, name: str, state: Any) -> Any:
            return given

    encoder, rows = learned("odd")
    words = "kind 'odd': its inputs must return a CodeField or a ListField named 'x', or a tuple"
    with pytest.raises(ct.DataError, match=words):
        encoder.encode(rows)


def test_numbers_that_are_not_finite_are_refused() -> None:
    @register_column("raw")
    class Raw(ct.Column):
        kind: Literal["raw"] = "raw"

        def inputs(self, name: str, state: Any) -> tuple[str, ...]:
            return (name,)

        def coder(self, state: Any) -> Callable[[pl.Series], np.ndarray]:
            return lambda values: values.fill_null(float("nan")).to_numpy()[:, None]

    encoder, rows = learned("raw")
    assert encoder.encode(rows.drop_nulls()).numbers[:2, 0].tolist() == VALUES[:2]
    with pytest.raises(ct.DataError, match=r"'raw': its coder must return finite numbers \[8, 1\]"):
        encoder.encode(rows)


def test_an_own_kind_can_be_crossed_if_it_says_so() -> None:
    @register_column("crossable")
    class Crossable(Bins):
        kind: Literal["crossable"] = "crossable"  # type: ignore[assignment]
        has_code: ClassVar[bool] = True  # type: ignore[misc,assignment]

    columns = {"x": "crossable", "c": "categorical", "xc": {"kind": "cross", "columns": ["x", "c"]}}
    assert ct.Schema.model_validate({"columns": columns}).columns["x"].has_code
    with pytest.raises(ct.RecipeError, match="'x' is not a categorical or bucketised column"):
        ct.Schema(columns={**columns, "x": "bins"})


def test_lists_of_an_own_kind_are_checked_and_used() -> None:
    @register_column("digits")
    class Digits(ct.Column):
        kind: Literal["digits"] = "digits"
        padded: bool = False
        size: int = 13

        def inputs(self, name: str, state: Any) -> ct.ListField:
            return ct.ListField(name, self.size, name, 2)

        def coder(self, state: Any) -> Callable[[pl.Series], Any]:
            def codes(values: pl.Series) -> Any:
                lists = [[int(d) + 3 for d in str(int(v or 0))][:2] for v in values]
                if self.padded:
                    return np.array([row + [0] * (2 - len(row)) for row in lists], np.int32)
                flat = np.array([code for row in lists for code in row], np.int32)
                return flat, np.array([len(row) for row in lists])

            return codes

    for padded in (False, True):
        encoder, rows = learned({"kind": "digits", "padded": padded})
        codes = encoder.encode(rows[:2]).lists["x"]
        assert (codes if padded else codes.padded()).tolist() == [[8, 0], [4, 0]]
        encoder, rows = learned({"kind": "digits", "padded": padded, "size": 9})
        with pytest.raises(ct.DataError, match="'digits': its coder must return integer codes"):
            encoder.encode(rows)


def test_a_learner_needs_a_type_for_what_it_learns() -> None:
    class Nameless(Bins):
        kind: Literal["nameless"] = "nameless"  # type: ignore[assignment]

        def learner(self) -> Learner:
            return Learner(2)

    with pytest.raises(ct.RecipeError, match="Nameless has a learner; declare State"):
        register_column("nameless")(Nameless)


@pytest.mark.parametrize(
    ("codes", "got"),
    [
        (lambda values: np.full(len(values), 99), r"int64 \[8\]"),
        (lambda values: np.zeros(len(values)), r"float64 \[8\]"),
        (lambda values: np.zeros((len(values), 1), int), r"int64 \[8, 1\]"),
    ],
)
def test_codes_that_are_not_as_declared_are_refused(
    codes: Callable[[pl.Series], np.ndarray], got: str
) -> None:
    @register_column("wrong")
    class Wrong(Bins):
        kind: Literal["wrong"] = "wrong"  # type: ignore[assignment]

        def coder(self, state: Any) -> Callable[[pl.Series], np.ndarray]:
            return codes

    encoder, rows = learned("wrong")
    words = rf"kind 'wrong': its coder must return integer codes \[8\] from 0 to 6, .*; got {got}"
    with pytest.raises(ct.DataError, match=words):
        encoder.encode(rows)


def test_a_state_of_another_type_is_refused(tmp_path: Path) -> None:
    class Other(Learner):
        def finish(self) -> Any:
            return {"edges": "many"}

    @register_column("other")
    class Wrong(Bins):
        kind: Literal["other"] = "other"  # type: ignore[assignment]
        State: ClassVar[Any] = Edges

        def learner(self) -> Learner:
            return Other(2)

        def inputs(self, name: str, state: Any) -> ct.CodeField:
            return ct.CodeField(name, 9, name)

    encoder, _ = learned("other")
    with pytest.raises(ct.DataError, match="kind 'other': finish of its learner must return the S"):
        save_encoder(encoder, tmp_path)
