import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import crosstower as ct
from crosstower.blending.utility import load_utility
from crosstower.errors import BundleError, CrosstowerError, QueryError, RecipeError, RunError
from crosstower.recipe.arguments import count_of, described, path_of


@pytest.mark.parametrize("good", [1, 7, np.int32(3), np.uint64(3)])
def test_a_count_is_a_whole_number_from_one_on(good: Any) -> None:
    assert count_of("k", good, error=QueryError) == int(good)
    assert type(count_of("k", good, error=QueryError)) is int


@pytest.mark.parametrize("bad", [0, -3, True, False, 2.0, "3", None, [1], np.float64(2)])
def test_anything_else_is_no_count(bad: Any) -> None:
    with pytest.raises(QueryError, match=r"k: expected at least 1, got .*; give a whole number"):
        count_of("k", bad, error=QueryError)


def test_values_are_shown_short() -> None:
    assert described("x" * 100) == "'" + "x" * 59
    assert described(pl.DataFrame()) == "a DataFrame"
    assert described(np.zeros(3)) == "a ndarray"


@pytest.mark.parametrize("bad", [None, 3, [], {}, pl.DataFrame(), b"runs/a"])
def test_a_path_is_text_or_a_path(bad: Any) -> None:
    assert path_of("run", "a", error=RunError, expected="a folder") == Path("a")
    assert path_of("run", Path("a"), error=RunError, expected="a folder") == Path("a")
    with pytest.raises(RunError, match=re.escape(f"run: expected a folder, got {described(bad)}")):
        path_of("run", bad, error=RunError, expected="a folder")


FRAME = pl.DataFrame({"user": [1], "click": [1]})
OPENERS: dict[str, tuple[Callable[[Any], Any], type[CrosstowerError], str]] = {
    "fit": (ct.fit, RecipeError, "recipe: .*a Recipe or a Schema, got"),
    "load_recipe": (ct.load_recipe, RecipeError, "recipe: .*YAML file, got"),
    "load_utility": (load_utility, RecipeError, "utility: .*YAML file, got"),
    "Run.open": (ct.Run.open, RunError, "run: expected a run folder, got"),
    "Retriever.open": (ct.Retriever.open, RunError, "run: expected a run"),
    "Funnel.open": (lambda given: ct.Funnel.open(given, "b"), RunError, "run: expected a run"),
    "Bundle.open": (ct.Bundle.open, BundleError, "bundle: expected a bundle"),
    "make_bundle": (lambda given: ct.make_bundle([given], "b"), RunError, "run: expected a run"),
    "blend_run": (ct.blend_run, RunError, "run: expected a run"),
    "evaluate_policy": (
        lambda given: ct.evaluate_policy(given, action="a", propensity="p"),
        RunError,
        "run: expected a run",
    ),
}


@pytest.mark.parametrize("given", [FRAME, None, 7, {"a": 1}])
@pytest.mark.parametrize("name", OPENERS)
def test_every_public_function_says_what_its_first_argument_is(name: str, given: Any) -> None:
    function, error, words = OPENERS[name]
    with pytest.raises(error, match=f"{words}.*" if given is None else words) as caught:
        function(given)
    assert isinstance(caught.value, CrosstowerError)
    assert described(given) in str(caught.value)


def test_an_open_funnel_is_not_a_folder() -> None:
    with pytest.raises(RecipeError, match=r"funnel: expected a Funnel, got 'runs/a'"):
        ct.evaluate_funnel("runs/a")  # type: ignore[arg-type]


def test_rows_given_as_the_recipe_are_led_to_data() -> None:
    with pytest.raises(RecipeError, match=r"got a DataFrame; .*fit\(Schema\(.*, data=rows\)"):
        ct.fit(FRAME)  # type: ignore[arg-type]


def test_a_missing_folder_is_named_by_functions_that_take_a_run(tmp_path: Path) -> None:
    for function in (ct.Run.of, ct.blend_run, ct.Retriever.open):
        with pytest.raises(RunError, match="no run in this folder"):
            function(str(tmp_path))
