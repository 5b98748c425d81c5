"""What the next training continues from, as files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from crosstower.data.encoders.encoder_files import save_encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.learned import LEARNED_FILES, load_learned, save_learned
from crosstower.errors import DataError, RunError
from crosstower.recipe.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "columns": {
            "user": {"kind": "categorical", "min_count": 2},
            "friends": {"kind": "bag", "table": "user"},
            "age": "numeric",
            "rank": {"kind": "numeric", "transform": "quantile"},
            "price": {"kind": "numeric", "transform": "log1p"},
        },
        "tasks": {},
    }
)


def frame(start: int) -> pl.DataFrame:
    users = [start + i % 5 for i in range(20)]
    return pl.DataFrame(
        {
            "user": users,
            "friends": [[user, user + 1][: i % 3] for i, user in enumerate(users)],
            "age": [float(i + start) if i % 4 else None for i in range(20)],
            "rank": [float(i) for i in range(20)],
            "price": [float(i * start) for i in range(20)],
        }
    )


def fitted(*starts: int) -> EncoderFit:
    fit = EncoderFit(SCHEMA)
    for start in starts:
        fit.add(frame(start))
    return fit


def saved(folder: Path, fit: EncoderFit) -> Path:
    save_encoder(fit.finish(), folder)
    save_learned(fit.learned(), folder)
    return folder


def test_files_give_back_what_was_learned(tmp_path: Path) -> None:
    fit = fitted(0)
    encoder, learned = load_learned(saved(tmp_path / "encoder", fit))
    assert encoder.layout == fit.finish().layout
    assert learned.trainings == 1
    assert learned.memories == fit.learned().memories
    assert_frame_equal(learned.seen["user"], fit.learned().seen["user"])


def test_two_trainings_learn_what_one_learns_of_all_rows(tmp_path: Path) -> None:
    """Vocabularies, means and deviations; quantiles and the inputs of the model stay."""
    start = load_learned(saved(tmp_path / "encoder", fitted(0)))
    second = EncoderFit(SCHEMA, start)
    second.add(frame(3))
    after, whole = second.finish(), fitted(0, 3).finish()
    assert after.tables["user"].values.equals(whole.tables["user"].values)  # type: ignore[union-attr]
    for name in ("age", "price"):
        assert after.states[name].mean == pytest.approx(whole.states[name].mean)
        assert after.states[name].sd == pytest.approx(whole.states[name].sd)
    assert after.states["rank"] == start[0].states["rank"]
    assert second.learned().trainings == 2


def test_a_number_that_is_never_missing_keeps_its_indicator(tmp_path: Path) -> None:
    start = load_learned(saved(tmp_path / "encoder", fitted(0)))
    second = EncoderFit(SCHEMA, start)
    second.add(frame(0).with_columns(age=pl.lit(1.0)))
    assert second.finish().layout.numbers == start[0].layout.numbers


def test_an_encoder_of_an_earlier_version_counts_its_values_as_just_enough(tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder", fitted(0))
    for pattern in LEARNED_FILES:
        for path in folder.glob(pattern):
            path.unlink()
    encoder, learned = load_learned(folder)
    assert learned.seen["user"]["count"].to_list() == [2] * (encoder.tables["user"].size - 3)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "encoder", fitted(0))
    (folder / "seen-000.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match=r"seen-000.parquet: damaged"):
        load_learned(folder)


def test_the_memory_of_an_own_kind_must_be_plain_data(tmp_path: Path) -> None:
    fit = fitted(0)
    learned = replace(fit.learned(), memories={"age": np.zeros(2)})
    save_encoder(fit.finish(), tmp_path / "encoder")
    with pytest.raises(DataError, match=r"column 'age': memory of its learner.*got ndarray"):
        save_learned(learned, tmp_path / "encoder")


def test_moments_beyond_the_largest_number_are_still_numbers(tmp_path: Path) -> None:
    fit = fitted(0)
    save_encoder(fit.finish(), tmp_path / "encoder")
    memory = {"count": 3, "mean": 1e200, "squares": float("inf")}
    save_learned(replace(fit.learned(), memories={"age": memory}), tmp_path / "encoder")
    assert load_learned(tmp_path / "encoder")[1].memories == {"age": memory}


@pytest.mark.parametrize("memory", [{"count": 3}, [1], 5, {"count": "x", "mean": 1, "squares": 2}])
def test_a_memory_that_was_edited_is_named(tmp_path: Path, memory: Any) -> None:
    encoder, learned = load_learned(saved(tmp_path / "encoder", fitted(0)))
    edited = replace(learned, memories=learned.memories | {"age": memory})
    with pytest.raises(RunError, match=r"column 'age': cannot continue from the learned\.json"):
        EncoderFit(SCHEMA, (encoder, edited))


def test_a_table_that_was_removed_is_named(tmp_path: Path) -> None:
    encoder, learned = load_learned(saved(tmp_path / "encoder", fitted(0)))
    with pytest.raises(RunError, match=r"column 'user': .* its table is missing; train that run"):
        EncoderFit(SCHEMA, (encoder, replace(learned, seen={})))


def test_frozen_columns_keep_their_state_and_go_on_counting(tmp_path: Path) -> None:
    """A frozen column, those that share its table, and the next training without the freeze."""
    start = load_learned(saved(tmp_path / "encoder", fitted(0)))
    second = EncoderFit(SCHEMA, start, frozenset({"friends", "age"}))
    second.add(frame(3))
    after, whole = second.finish(), fitted(0, 3).finish()
    assert after.tables["user"].values.equals(start[0].tables["user"].values)  # type: ignore[union-attr]
    assert after.layout == start[0].layout
    assert after.states["age"] == start[0].states["age"]
    assert after.states["price"].mean == pytest.approx(whole.states["price"].mean)
    assert second.left_out() == {"user": whole.tables["user"].size - after.tables["user"].size}
    assert second.left_out()["user"] > 0
    third = EncoderFit(SCHEMA, (after, second.learned()))
    third.add(frame(0))
    all_rows = fitted(0, 3, 0).finish()
    assert third.finish().tables["user"].size == all_rows.tables["user"].size
    assert third.finish().states["age"].mean == pytest.approx(all_rows.states["age"].mean)
    assert third.left_out() == {}
