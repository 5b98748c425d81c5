"""Conditional labels: what is learned of them, and how their expectation is composed."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import load_encoder, save_encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.labels import decode_logits
from crosstower.data.sources.source import open_source
from crosstower.recipe.own_columns import label_name
from crosstower.recipe.schema import Schema

ROWS = pl.DataFrame(
    {
        "user": [1, 2, 3, 4, 5, 6, 7],
        "watched": [1, 1, 1, 0, 0, None, 1],
        "seconds": [10.0, 20.0, 60.0, 4.0, 0.0, 9.0, None],
    }
)


def clean(schema: Schema, rows: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([Cleaner(schema).clean(c) for c in open_source(rows).chunks(rows.columns)])


def learn(**options: object) -> tuple[Encoder, pl.DataFrame]:
    schema = Schema.model_validate(
        {
            "columns": {"user": "categorical"},
            "tasks": {
                "watched": "binary",
                "seconds": {"kind": "regression", "when": "watched", **options},
            },
        }
    )
    frame = clean(schema, ROWS)
    fit = EncoderFit(schema)
    fit.add(frame)
    return fit.finish(), frame


def test_only_rows_where_the_event_happened_are_learned_from() -> None:
    encoder, frame = learn()
    mean, sd = encoder.label_scales["seconds"]
    assert (mean, sd) == (30.0, pytest.approx(np.std([10, 20, 60])))
    expected = [-20 / sd, -10 / sd, 30 / sd, np.nan, np.nan, np.nan, np.nan]
    np.testing.assert_allclose(encoder.encode(frame).labels[:, 1], expected, rtol=1e-6)
    assert encoder.otherwise == {"seconds": 2.0}


def test_the_prediction_is_the_expectation_over_all_rows() -> None:
    encoder, _ = learn()
    p, given = np.array([0.0, 0.25, 1.0]), np.array([30.0, 50.0, 70.0])
    mean, sd = encoder.label_scales["seconds"]
    logits = {"watched": logit(p.clip(1e-12, 1 - 1e-12)), "seconds": (given - mean) / sd}
    decoded = encoder.decode(logits)["seconds"]
    np.testing.assert_allclose(decoded, p * given + (1 - p) * 2.0, atol=1e-6)


def test_logarithms_are_taken_back_before_the_expectation() -> None:
    encoder, _ = learn(log1p=True)
    mean, sd = encoder.label_scales["seconds"]
    assert mean == pytest.approx(np.log1p([10.0, 20.0, 60.0]).mean())
    decoded = encoder.decode({"watched": np.array([1.0]), "seconds": np.array([0.0])})["seconds"]
    p = expit(1.0)
    np.testing.assert_allclose(decoded, p * np.expm1(mean) + (1 - p) * 2.0)
    assert sd > 0


def test_what_is_otherwise_is_kept_with_the_encoder(tmp_path: Path) -> None:
    encoder, _ = learn()
    save_encoder(encoder, tmp_path / "encoder")
    assert load_encoder(tmp_path / "encoder").otherwise == {"seconds": 2.0}


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("wached", "conditional on 'wached', which is not another binary task; did you mean"),
        ("seconds", "task 'seconds' is conditional on 'seconds', which is not another binary"),
    ],
)
def test_a_condition_must_be_a_binary_task(when: str, words: str) -> None:
    with pytest.raises(ValueError, match="conditional") as error:
        learn(when=when)
    assert words in str(error.value)


def test_a_missing_number_is_zero_where_its_event_did_not_happen() -> None:
    encoder, frame = learn()
    rows = ROWS.with_columns(seconds=pl.Series([10.0, 20.0, 60.0, None, 0.0, None, None]))
    cleaned = clean(encoder.schema, rows)
    assert cleaned[label_name("seconds")].to_list() == [10.0, 20.0, 60.0, 0.0, 0.0, None, None]
    assert frame[label_name("seconds")].to_list() == [10.0, 20.0, 60.0, 4.0, 0.0, 9.0, None]


def test_what_counts_as_zero_keeps_to_the_clip() -> None:
    encoder, _ = learn(clip=(5, 50))
    rows = ROWS.with_columns(seconds=pl.Series([10.0, 20.0, 60.0, None, 0.0, None, None]))
    cleaned = clean(encoder.schema, rows)
    assert cleaned[label_name("seconds")].to_list()[:5] == [10.0, 20.0, 50.0, 5.0, 5.0]


def test_left_out_negatives_are_made_up_for_in_the_expectation() -> None:
    """100 events in 1,000 rows, of which a tenth of the 900 others was kept."""
    encoder, _ = learn()
    mean, sd = encoder.label_scales["seconds"]
    logits = {"watched": np.array([logit(100 / 190)]), "seconds": np.array([(50 - mean) / sd])}
    decoded = encoder.decode(logits, kept={"watched": 0.1})
    np.testing.assert_allclose(decoded["seconds"], 0.1 * 50 + 0.9 * 2.0)
    np.testing.assert_allclose(decoded["watched"], 100 / 190)  # left to its calibrator


def test_predictions_of_balanced_classes_are_corrected_by_the_share(tmp_path: Path) -> None:
    """Four of six known labels are 1: odds are multiplied by 1 / 2 in training."""
    schema = Schema.model_validate(
        {
            "columns": {"user": "categorical"},
            "tasks": {
                "watched": {"kind": "binary", "class_weight": "balanced"},
                "seconds": {"kind": "regression", "when": "watched"},
            },
        }
    )
    fit = EncoderFit(schema)
    fit.add(clean(schema, ROWS))
    save_encoder(fit.finish(), tmp_path / "encoder")
    encoder = load_encoder(tmp_path / "encoder")
    assert encoder.label_scales["watched"][0] == pytest.approx(4 / 6)
    found = encoder.decode({"watched": np.zeros(1), "seconds": np.zeros(1)})
    np.testing.assert_allclose(found["watched"], 2 / 3)
    np.testing.assert_allclose(found["seconds"], 2 / 3 * 30 + 1 / 3 * 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [1.0, 20.0, 0.1])
def test_weights_are_undone_as_if_only_smoothed(smoothing: float, weight: float) -> None:
    """What minimises the weighted loss of smoothed labels, decoded, is p (1 - s) + s / 2."""
    task = {"kind": "binary", "class_weight": {0: 1, 1: weight}, "label_smoothing": smoothing}
    schema = Schema.model_validate({"columns": {"u": "categorical"}, "tasks": {"y": task}})
    p = np.linspace(0.001, 0.999, 41)
    high, low = 1 - smoothing / 2, smoothing / 2  # smoothed labels
    learned = (weight * p * high + (1 - p) * low) / (weight * p + (1 - p))
    found = decode_logits(schema, {}, {}, {"y": logit(learned)}, {})["y"]
    assert found == pytest.approx(p * high + (1 - p) * low, abs=1e-12)


def test_undone_weights_keep_the_order_of_rows_beyond_the_smoothed_labels() -> None:
    task = {"kind": "binary", "class_weight": {0: 1, 1: 20}, "label_smoothing": 0.2}
    schema = Schema.model_validate({"columns": {"u": "categorical"}, "tasks": {"y": task}})
    found = decode_logits(schema, {}, {}, {"y": np.linspace(-9, 9, 1_001)}, {})["y"]
    assert (np.diff(found) > 0).all()
