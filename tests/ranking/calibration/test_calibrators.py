import json
import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

from crosstower.data.datasets import worlds
from crosstower.errors import DataError, RecipeError, RunError
from crosstower.evaluation.metrics.calibration import expected_calibration_error
from crosstower.ranking.calibration.calibrators import (
    Calibrators,
    fit_calibrators,
    load_calibrators,
)
from crosstower.ranking.calibration.isotonic import Isotonic
from crosstower.ranking.calibration.maps import MIN_ROWS, Identity, fit_calibration_map
from crosstower.ranking.calibration.platt import Line, Platt
from crosstower.recipe.calibration import Calibration

PLATT = Calibration(method="platt")
BY_TYPE = Calibration(method="platt", by="content_type")
LIKE = {"like": "binary"}
DISTORTION = {"photo": (0.5, 0.8), "video": (2.0, -0.6)}  # slope and intercept on the logit


def rows(n: int = 4000, seed: int = 0) -> pl.DataFrame:
    """Rows with a watch time and likes, whose predictions are distorted by type."""
    random = np.random.default_rng(seed)
    kind = random.choice(list(DISTORTION), n)
    truth = random.beta(2, 5, n)
    slope, intercept = np.array([DISTORTION[k] for k in kind]).T
    return pl.DataFrame(
        {
            "content_type": kind,
            "like": (random.random(n) < truth).astype(float),
            "like__prediction": expit(slope * logit(truth) + intercept),
            "truth": truth,
            "watch_time": 3 * truth + random.normal(0, 0.2, n),
            "watch_time__prediction": truth,
        }
    )


def fit(section: Calibration, frame: pl.DataFrame, kinds=None, ranges=None) -> Calibrators:
    return fit_calibrators(section, kinds or LIKE, ranges or {}, frame)


def only(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    return frame.filter(pl.col("content_type") == kind)


def test_each_type_gets_the_map_of_its_rows():
    frame = rows()
    calibrators = fit(BY_TYPE, frame)
    maps = calibrators.maps["like"]
    for kind in DISTORTION:
        y, p = (only(frame, kind)[c].to_numpy() for c in ("like", "like__prediction"))
        assert maps.by_type[kind] == fit_calibration_map("platt", "binary", y, p)
    y, p = (frame[c].to_numpy() for c in ("like", "like__prediction"))
    assert maps.overall == fit_calibration_map("platt", "binary", y, p)
    assert (calibrators.types, calibrators.notes) == (("photo", "video"), ())


def test_the_distortion_of_each_type_is_undone():
    frame = rows(100_000)
    calibrators = fit(BY_TYPE, frame)
    for kind, (slope, intercept) in DISTORTION.items():
        fitted = calibrators.maps["like"].by_type[kind]
        assert fitted.slope == pytest.approx(1 / slope, rel=0.05)
        assert fitted.intercept == pytest.approx(-intercept / slope, abs=0.05)
    np.testing.assert_allclose(calibrators.apply(frame)["like"], frame["truth"], atol=0.03)


def ece(frame: pl.DataFrame, p: np.ndarray, kind: str | None = None) -> float:
    chosen = np.ones(len(p), bool) if kind is None else (frame["content_type"] == kind).to_numpy()
    return expected_calibration_error(frame["like"].to_numpy()[chosen].astype(float), p[chosen])


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_calibration_error_falls_on_rows_held_out(method):
    frame = worlds.make("feed_engagement", rows=200_000, seed=3).frame
    random = np.random.default_rng(0)
    # Too low and too spread, photos more so: both types get the same predictions. The noise is
    # a model's, and makes the predictions many.
    raw = logit(frame["like_probability"].to_numpy()) + random.normal(0, 0.3, frame.height)
    shift = np.where(frame["content_type"] == "photo", -0.7, -0.1)
    frame = frame.with_columns(like__prediction=expit(1.5 * raw + shift))
    valid, test = frame[:100_000], frame[100_000:]
    section = Calibration(method=method, by="content_type")
    before, after = test["like__prediction"].to_numpy(), fit(section, valid).apply(test)["like"]
    for kind in [None, "photo", "video"]:
        assert ece(test, before, kind) > 0.08
        assert ece(test, after, kind) < 0.012
    # One map for all types cannot put both right.
    shared = fit(Calibration(method=method), valid).apply(test)["like"]
    for kind in DISTORTION:
        assert ece(test, shared, kind) > 0.04


@pytest.mark.parametrize("method", ["none", "platt", "isotonic"])
def test_left_out_negatives_are_put_right_before_the_method(method):
    random = np.random.default_rng(0)
    truth = random.beta(1, 9, 100_000)
    y = (random.random(len(truth)) < truth).astype(float)
    seen = truth / (truth + (1 - truth) * 0.1)
    frame = pl.DataFrame({"like": y, "like__prediction": seen})
    calibrators = fit(Calibration(method=method, negative_sampling_rate={"like": 0.1}), frame)
    calibrated = calibrators.apply(frame)["like"]
    assert seen.mean() > 3 * truth.mean()
    assert calibrated.mean() == pytest.approx(truth.mean(), rel=0.03)
    assert np.abs(calibrated - truth).mean() < (1e-12 if method == "none" else 0.005)
    if method == "platt":  # nothing is left for it to do
        assert calibrators.maps["like"].overall.slope == pytest.approx(1, abs=0.03)


def test_negatives_that_training_kept_change_nothing():
    calibrators = fit(Calibration(negative_sampling_rate={"like": 1.0}), rows())
    assert calibrators.tasks == []
    assert calibrators.apply(rows()) == {}


def test_each_task_has_its_method_and_others_stay():
    frame = rows().with_columns(comment="like", comment__prediction="like__prediction")
    kinds = {"like": "binary", "watch_time": "regression", "comment": "binary"}
    section = Calibration(method="platt", tasks={"like": "isotonic", "comment": "none"})
    calibrators = fit(section, frame, kinds)
    assert isinstance(calibrators.maps["like"].overall, Isotonic)
    assert isinstance(calibrators.maps["watch_time"].overall, Line)
    assert calibrators.maps["watch_time"].overall.slope == pytest.approx(3, rel=0.02)
    assert calibrators.tasks == ["like", "watch_time"]
    applied = calibrators.apply(frame.drop("comment", "comment__prediction", "like"))
    assert list(applied) == ["like", "watch_time"]
    assert all(p.dtype == np.float64 and len(p) == frame.height for p in applied.values())


def test_a_rating_is_kept_in_its_range():
    frame = pl.DataFrame(
        {"stars": [1.0, 3.0, 5.0] * 100, "stars__prediction": [2.0, 3.0, 4.0] * 100}
    )
    calibrators = fit(PLATT, frame, {"stars": "rating"}, {"stars": (1.0, 5.0)})
    applied = calibrators.apply(pl.DataFrame({"stars__prediction": [1.0, 2.5, 5.0]}))
    np.testing.assert_allclose(applied["stars"], [1.0, 2.0, 5.0])
    with pytest.raises(DataError, match=r"ranges: rating 'stars' has none; give its \(low, high\)"):
        fit(PLATT, frame, {"stars": "rating"})


def test_small_types_take_the_map_of_all_rows_and_are_told():
    frame = rows()
    few = only(rows(1000, seed=1), "photo").head(MIN_ROWS - 1)
    few = few.with_columns(content_type=pl.lit("story"))
    sure = only(rows(1000, seed=2), "photo").head(300)
    sure = sure.with_columns(content_type=pl.lit("poll"), like=pl.Series([1.0] * 291 + [0.0] * 9))
    blank = few.with_columns(content_type=pl.lit("ad"), like=pl.lit(None, pl.Float64))
    calibrators = fit(BY_TYPE, pl.concat([frame, few, sure, blank]))
    maps = calibrators.maps["like"]
    assert list(maps.by_type) == ["photo", "video"]
    assert calibrators.types == ("ad", "photo", "poll", "story", "video")
    (note,) = calibrators.notes
    assert note == (
        "like: 3 types take the map of all rows: 'poll' (9 rows of its rarer class, fewer than"
        " 10), 'ad' (0 labelled rows, fewer than 200), 'story' (199 labelled rows, fewer than"
        " 200)."
    )
    p = few["like__prediction"].to_numpy()
    np.testing.assert_array_equal(calibrators.apply(few)["like"], maps.overall.apply(p))


def test_many_small_types_have_one_note_a_task():
    frame = rows(300).with_columns(content_type=300 - (2 * pl.int_range(pl.len())).sqrt().floor())
    kinds = {"like": "binary", "watch_time": "regression"}
    notes = fit(BY_TYPE, frame, kinds).notes
    assert [note.split(":")[0] for note in notes] == ["like", "watch_time"]
    sizes = frame["content_type"].cast(pl.Int64).cast(pl.String).value_counts()
    largest = sizes.sort("count", "content_type", descending=[True, False]).head(5)
    shown = [f"'{kind}' ({n} labelled rows, fewer than 200)" for kind, n in largest.iter_rows()]
    words = f"{sizes.height} types take the map of all rows: {', '.join(shown)} and"
    assert notes[0] == f"like: {words} {sizes.height - 5} more."


def test_a_type_of_just_enough_rows_has_its_map():
    y = [1.0] * 10 + [0.0] * (MIN_ROWS - 10)
    frame = only(rows(1000, seed=2), "photo").head(MIN_ROWS).sort("truth", descending=True)
    frame = frame.with_columns(like=pl.Series(y))
    assert list(fit(BY_TYPE, frame).maps["like"].by_type) == ["photo"]


def test_types_unseen_and_missing_take_the_map_of_all_rows_and_are_counted():
    frame = rows()
    some = frame.with_columns(
        content_type=pl.Series(["photo", "reel", None, "live"]).sample(
            frame.height, with_replacement=True, seed=0
        )
    )
    calibrators = fit(BY_TYPE, frame)
    counts = Counter(some["content_type"].to_list())
    assert calibrators.unseen(some) == Counter({k: counts[k] for k in ("reel", "live", None)})
    assert calibrators.unseen(frame) == Counter()
    assert fit(PLATT, frame).unseen(some) == Counter()
    maps, p = calibrators.maps["like"], some["like__prediction"].to_numpy()
    known = (some["content_type"] == "photo").fill_null(value=False).to_numpy()
    expected = np.where(known, maps.by_type["photo"].apply(p), maps.overall.apply(p))
    np.testing.assert_array_equal(calibrators.apply(some)["like"], expected)


def test_rows_without_a_type_help_the_map_of_all_rows_only():
    frame = rows()
    some = frame.with_columns(content_type=pl.when(pl.col("truth") > 0.2).then("content_type"))
    calibrators = fit(BY_TYPE, some)
    assert calibrators.maps["like"].overall == fit(PLATT, frame).maps["like"].overall
    missing = some["content_type"].null_count()
    assert calibrators.notes == (
        f"{missing:,} rows have no content_type; they use the map of all rows.",
    )


def test_numbers_can_be_types():
    frame = rows().with_columns(content_type=(pl.col("content_type") == "photo").cast(pl.Int8))
    calibrators = fit(BY_TYPE, frame)
    assert calibrators.types == ("0", "1")
    as_text = frame.with_columns(pl.col("content_type").cast(pl.String))
    expected = calibrators.apply(as_text)["like"]
    np.testing.assert_array_equal(calibrators.apply(frame)["like"], expected)
    assert calibrators.unseen(frame) == Counter()


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
def test_types_that_became_floats_keep_their_maps(dtype):
    frame = rows().with_columns(content_type=(pl.col("content_type") == "photo").cast(pl.Int64))
    calibrators = fit(BY_TYPE, frame)
    gap = pl.when(pl.int_range(pl.len()) > 0).then("content_type").cast(dtype)
    some = frame.with_columns(content_type=gap)  # as pandas holds it
    assert calibrators.unseen(some) == Counter({None: 1})
    expected = calibrators.apply(frame)["like"][1:]
    np.testing.assert_array_equal(calibrators.apply(some)["like"][1:], expected)
    assert fit(BY_TYPE, some).types == ("0", "1")


def test_the_order_of_rows_does_not_matter():
    frame = rows()
    calibrators = fit(BY_TYPE, frame)
    shuffled = frame.with_row_index().sample(fraction=1.0, shuffle=True, seed=0)
    again = calibrators.apply(shuffled)["like"]
    np.testing.assert_array_equal(again, calibrators.apply(frame)["like"][shuffled["index"]])


def test_rows_without_a_label_are_left_out():
    frame = rows()
    hidden = frame.with_columns(
        like=pl.when(pl.col("truth") < 0.2).then(None).when(pl.col("truth") < 0.3).then(math.nan)
        .otherwise("like")
    )  # fmt: skip
    known = frame.filter(pl.col("truth") >= 0.3)
    assert fit(BY_TYPE, hidden) == fit(BY_TYPE, known)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (pl.lit(0.0), "all labels are 0"),
        (pl.lit(1.0), "all labels are 1"),
        (pl.lit(None, pl.Float64), "no row has a label"),
    ],
)
def test_labels_of_one_value_leave_predictions_alone(method, labels, reason):
    frame = rows().with_columns(like=labels)
    calibrators = fit(Calibration(method=method, by="content_type"), frame)
    assert calibrators.maps["like"].overall == Identity()
    assert calibrators.tasks == []
    assert calibrators.notes == (f"like: not fitted: {reason}.",)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_predictions_worse_than_chance_are_not_turned_round(method):
    """A type takes the map of all rows, a task keeps its predictions."""
    frame = rows().with_columns(
        like__prediction=pl.when(pl.col("content_type") == "video")
        .then(1 - pl.col("like").clip(0.1, 0.9))
        .otherwise("like__prediction")
    )
    section = Calibration(method=method, by="content_type")
    calibrators = fit(section, frame)
    assert list(calibrators.maps["like"].by_type) == ["photo"]
    falling = "its labels do not rise with its predictions"
    note = f"like: 1 type takes the map of all rows: 'video' ({falling})."
    assert note in calibrators.notes
    videos = fit(section, only(frame, "video"))
    assert videos.tasks == []
    assert videos.notes[0] == f"like: no map of all rows: {falling}."


def test_few_rows_in_all_are_fitted_and_told():
    calibrators = fit(PLATT, rows(150))
    assert isinstance(calibrators.maps["like"].overall, Platt)
    assert calibrators.notes == (
        "like: the map of all rows is rough: 150 labelled rows, fewer than 200.",
    )


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_sure_and_constant_predictions_become_finite_rates(method):
    frame = rows()
    sure = frame.with_columns(like__prediction=pl.col("truth").round(0))
    calibrated = fit(Calibration(method=method), sure).apply(sure)["like"]
    for answer in (0.0, 1.0):
        those = sure.filter(pl.col("like__prediction") == answer)["like"]
        rate = calibrated[(sure["like__prediction"] == answer).to_numpy()]
        assert rate[0] == pytest.approx(those.mean(), abs=0.01)
    same = frame.with_columns(like__prediction=pl.lit(0.9))
    calibrated = fit(Calibration(method=method), same).apply(same)["like"]
    np.testing.assert_allclose(calibrated, frame["like"].mean(), atol=0.001)


def test_single_precision_is_calibrated_in_double():
    frame = rows().with_columns(pl.col("like__prediction").cast(pl.Float32))
    calibrators = fit(PLATT, frame)
    p = frame["like__prediction"].cast(pl.Float64).to_numpy()
    expected = calibrators.maps["like"].overall.apply(p)
    np.testing.assert_array_equal(calibrators.apply(frame)["like"], expected)


@pytest.mark.parametrize("method", ["none", "platt", "isotonic"])
def test_a_file_gives_the_same_calibrators(tmp_path, method):
    frame = rows()
    kinds = {"like": "binary", "watch_time": "regression"}
    by = None if method == "none" else "content_type"
    section = Calibration(method=method, by=by, negative_sampling_rate={"like": 0.3})
    calibrators = fit(section, frame, kinds)
    calibrators.save(tmp_path / "calibrators.json")
    again = load_calibrators(tmp_path / "calibrators.json")
    assert again == calibrators
    for task, values in calibrators.apply(frame).items():
        np.testing.assert_array_equal(again.apply(frame)[task], values)
    assert json.loads((tmp_path / "calibrators.json").read_text())["format"] == 1


def test_damaged_files_are_named_with_advice(tmp_path):
    path = tmp_path / "calibrators.json"
    with pytest.raises(RunError, match=r"calibrators\.json: cannot be read: No such file.*again"):
        load_calibrators(path)
    fit(BY_TYPE, rows()).save(path)
    whole = path.read_text()
    cases = {
        whole[: len(whole) // 2]: "the file: Invalid JSON",
        whole.replace('"format": 1', '"format": 2'): "format: Input should be 1",
        whole.replace('"slope": ', '"slope": -'): "slope: Input should be greater than 0",
        whole.replace('"overall"', '"all"'): "maps.like.overall: Field required",
    }
    for text, message in cases.items():
        path.write_text(text)
        with pytest.raises(RunError) as caught:
            load_calibrators(path)
        assert message in str(caught.value)
        assert "use the version of crosstower that wrote it, or train the run again" in str(
            caught.value
        )


def test_a_folder_that_is_not_there_cannot_be_saved_to(tmp_path):
    with pytest.raises(RunError, match="cannot be written: No such file"):
        fit(PLATT, rows()).save(tmp_path / "none" / "calibrators.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("like"), "no column 'like'"),
        (lambda f: f.drop("like__prediction"), "no column 'like__prediction'"),
        (lambda f: f.rename({"content_type": "content"}), "'content_type'; did you mean 'content'"),
        (lambda f: f.with_columns(content_type=pl.lit([1])), r"'content_type' holds List\(Int64\)"),
        (lambda f: f.with_columns(like=pl.lit(2)), "'like': expected 0 or 1, got 2.0 in row 0"),
        (lambda f: f.with_columns(like=pl.lit(math.inf)), "'like': expected a finite label"),
        (
            lambda f: f.with_columns(like__prediction=pl.lit(1.2)),
            r"'like__prediction': expected a probability in \[0, 1\], not a logit, got 1\.2",
        ),
        (
            lambda f: f.with_columns(like__prediction=pl.lit(None)),
            r"'like__prediction': expected a probability .* got nan in row 0, 4000 such rows",
        ),
    ],
)
def test_wrong_rows_are_named(change, message):
    with pytest.raises(DataError, match=message):
        fit(BY_TYPE, change(rows()))
    if "'like'" not in message:  # applying needs no labels
        with pytest.raises(DataError, match=message):
            fit(BY_TYPE, rows()).apply(change(rows()))


def test_numbers_must_be_finite():
    frame = rows().with_columns(watch_time__prediction=pl.lit(math.inf))
    with pytest.raises(DataError, match="expected a finite prediction, got inf in row 0"):
        fit(PLATT, frame, {"watch_time": "regression"})


def test_a_section_of_other_tasks_is_refused():
    with pytest.raises(RecipeError, match=r"calibration\.tasks\.lik: no such task; did you mean"):
        fit(Calibration(tasks={"lik": "platt"}), rows())
