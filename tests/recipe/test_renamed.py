import json
import shutil
import warnings
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import CrosstowerWarning, RecipeError
from crosstower.recipe.blend import Blend
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.renamed import with_new_options
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.validation import validate
from crosstower.retrieval.results import stored_report
from crosstower.training.run import Run

OPTIONS = {"--waiting": "--max-queue", "--form": "--mode"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--waiting", "9", "b"], ["--max-queue", "9", "b"]),
        (["--waiting=9"], ["--max-queue=9"]),
        (["--form", "value", "value"], ["--mode", "product", "value"]),
        (["--form=value"], ["--mode=product"]),
        (["--form", "sum"], ["--mode", "sum"]),
    ],
)
def test_an_old_option_is_renamed_and_warns(arguments: list[str], expected: list[str]) -> None:
    with pytest.warns(CrosstowerWarning, match=f"is now {expected[0].split('=')[0]}"):
        assert with_new_options(arguments, OPTIONS, {"value": "product"}) == expected


def test_new_options_and_values_of_other_options_stay() -> None:
    arguments = ["value", "--mode", "value", "--", "--max-queue", "3"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_new_options(arguments, OPTIONS, {"value": "product"}) == arguments


def test_a_recipe_with_old_keys_reads_and_is_written_with_new_ones() -> None:
    text = """
    schema: {columns: {price: numeric}, tasks: {click: binary}}
    calibration: {negatives_kept: {click: 0.1}}
    blend: {form: value, weights: {click: 1}, amount: price}
    """
    with pytest.warns(CrosstowerWarning) as caught:
        recipe = parse_recipe(text)
    assert sorted(str(w.message).partition(";")[0] for w in caught) == [
        "blend.form: value is now blend.mode: product",
        "calibration.negatives_kept is now calibration.negative_sampling_rate",
    ]
    assert recipe.calibration == Calibration(negative_sampling_rate={"click": 0.1})
    assert recipe.blend == Blend(weights={"click": 1}, mode="product", amount="price")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_recipe(recipe.to_yaml()) == recipe


def test_an_old_key_of_a_recipe_beside_the_new_one_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"blend: form is the old name of mode"):
        validate(Blend, {"weights": {"a": 1}, "form": "sum", "mode": "sum"}, where="blend")


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [("valid_questions", "valid_queries", 9), ("seen_answers", "seen_relevant", "miss")],
)
def test_old_keys_of_the_retrieval_section_still_work(old: str, new: str, value: object) -> None:
    with pytest.warns(CrosstowerWarning, match=rf"{old} is now retrieval\.{new}"):
        section = Retrieval.model_validate({"item": "i", "user": "u", old: value})
    assert getattr(section, new) == value


def test_a_stored_run_keeps_its_old_names_without_a_warning(film_run: Run, tmp_path: Path) -> None:
    """A run of the release before has other names of files, columns and keys."""
    old = shutil.copytree(film_run.folder, tmp_path / "old")
    info = json.loads((old / "run.json").read_text())
    info["facts"]["answers"] = info["facts"].pop("relevant_counts")
    (old / "run.json").write_text(json.dumps(info))
    queries = pl.read_parquet(old / "retrieval" / "queries.parquet").rename({"id": "asked"})
    queries.write_parquet(old / "retrieval" / "questions.parquet")
    (old / "retrieval" / "queries.parquet").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = Run.open(old)
        report = stored_report(run)
    assert run.info.facts == film_run.info.facts
    assert report.queries == stored_report(film_run).queries > 0
    assert report.relevant_counts is not None
