import inspect
import math
import warnings
from typing import Any

import pytest
from pydantic import Field

import crosstower
from crosstower.blending.utility import Utility
from crosstower.errors import CrosstowerWarning, RecipeError
from crosstower.recipe.blend import Blend, Diversity
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.frozen import FrozenModel, with_new_keys
from crosstower.recipe.recipe import Data, Recipe, Training
from crosstower.recipe.renamed import stored_names
from crosstower.recipe.schema import Categorical, Numeric, Schema
from crosstower.recipe.tasks import Binary


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (Categorical, {"min_coun": 2}, r"Categorical\.min_coun: unknown key; did you mean 'min_c"),
        (Training, {"epocs": 3}, r"Training\.epocs: unknown key; did you mean 'epochs'"),
        (Training, {"epochs": 0}, r"epochs: expected a number greater than or equal to 1, got 0"),
        (Training, {"precision": "bf16"}, r"precision: expected .*'bfloat16', got 'bf16'; did you"),
        (Recipe, {"scheme": {}}, r"Recipe\.schema: missing"),
        (Recipe, {"scheme": {}}, r"Recipe\.scheme: unknown key; did you mean 'schema'"),
        (Blend, {"wieghts": {"like": 1}}, r"Blend\.wieghts: unknown key; did you mean 'weights'"),
        (Utility, {"values": {"like": 1}}, r"Utility\.user: missing"),
        (Diversity, {"cap": 1}, r"Diversity\.cap: unknown key; did you mean 'caps'"),
        (Data, {"split": {"kind": "tme"}}, r"Data\.split: expected .*, got 'tme'; did you mean"),
        (Schema, {"columns": {"user": {"kind": "categorical", "dims": 2}}}, r"columns\.user\.dims"),
        (Schema, {"columns": {"user": "categorcal"}}, r"columns\.user: .*did you mean 'categoric"),
    ],
)
def test_a_wrong_argument_is_named_in_the_house_style(
    kind: type[FrozenModel], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        kind(**options)
    assert "http" not in str(caught.value)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (Binary, {}, "weight"),
        (Training, {}, "learning_rate"),
        (Training, {}, "clip_norm"),
        (Numeric, {}, "clip"),
        (Calibration, {}, "negative_sampling_rate.click"),
        (Blend, {}, "weights.click"),
        (Utility, {"user": "user"}, "values.click"),
    ],
)
def test_no_option_is_infinite(
    kind: type[FrozenModel], options: dict[str, Any], name: str, number: float
) -> None:
    key, _, inner = name.partition(".")
    value = {inner: number} if inner else number
    with pytest.raises(RecipeError, match=f"{name}: expected a .*, got {number}"):
        kind(**options, **{key: value})


def test_arguments_have_names() -> None:
    with pytest.raises(RecipeError, match=r"Schema: expected keyword arguments.*columns, tasks"):
        Schema({"user": "categorical"})  # type: ignore[call-arg]


def test_a_declaration_cannot_be_changed() -> None:
    task = Binary()
    with pytest.raises(RecipeError, match=r"Binary\.weight: cannot be changed; .*model_copy"):
        task.weight = 2.0  # type: ignore[misc]
    assert task.model_copy(update={"weight": 2.0}).weight == 2.0


def test_a_model_inside_another_keeps_its_path() -> None:
    columns = {"user": Categorical(), "age": {"kind": "numeric", "clips": 2}}
    with pytest.raises(RecipeError, match=r"^Schema\.columns\.age\.clips: unknown key"):
        Schema(columns=columns)  # type: ignore[arg-type]


def test_every_public_declaration_reports_an_unknown_key() -> None:
    public = (getattr(crosstower, name) for name in crosstower.__all__)
    kinds = [k for k in public if inspect.isclass(k) and issubclass(k, FrozenModel)]
    assert {k.__name__ for k in kinds} >= {"Blend", "Recipe", "Schema", "Utility"}
    for kind in kinds:
        with pytest.raises(RecipeError, match=rf"{kind.__name__}\.no_such_key: unknown key"):
            kind(no_such_key=1)  # type: ignore[call-arg]


def test_descriptions_of_fields_are_arguments_in_the_docstring_and_not_in_the_schema() -> None:
    class Options(FrozenModel):
        """Options of a model.

        Args:
            width: is described by its field.

        Raises:
            RecipeError: is added.

        """

        plain: int = 1
        width: int = Field(default=8, alias="Width", description="Output width.")

    class Wider(Options):
        """More options."""

        depth: int = Field(default=1, description="Layers.")

    assert Options.__doc__ is not None
    raises = "\nRaises:\n    RecipeError: an argument is wrong; one line per wrong argument.\n"
    arguments = "\n\nArgs:\n    Width: Output width.\n"
    assert Options.__doc__ == f"Options of a model.{arguments}{raises}"
    assert Wider.__doc__ == f"More options.{arguments}    depth: Layers.\n{raises}"
    assert Wider.model_json_schema()["description"] == "More options."


def test_an_old_key_is_renamed_in_place_and_warns_with_the_new_one() -> None:
    with pytest.warns(CrosstowerWarning, match=r"^limits\.old is now limits\.new; the old name"):
        found = with_new_keys({"a": 1, "old": 2, "b": 3}, {"old": "new"}, where="limits")
    assert list(found.items()) == [("a", 1), ("new", 2), ("b", 3)]


def test_an_old_value_is_renamed_with_its_key() -> None:
    with pytest.warns(CrosstowerWarning, match=r"^blend\.form: value is now blend\.mode: product;"):
        found = with_new_keys(
            {"form": "value"}, {"form": "mode"}, {"value": "product"}, where="blend"
        )
    assert found == {"mode": "product"}


def test_stored_files_keep_old_names_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with stored_names():
            assert with_new_keys({"old": 2}, {"old": "new"}, where="x") == {"new": 2}
    with pytest.warns(CrosstowerWarning):
        with_new_keys({"old": 2}, {"old": "new"}, where="x")


def test_the_old_and_the_new_key_together_are_refused() -> None:
    with pytest.raises(ValueError, match="old is the old name of new, and both are set"):
        with_new_keys({"old": 1, "new": 1}, {"old": "new"}, where="x")


@pytest.mark.parametrize("plain", [{"new": 1}, {}, None, "text", 3])
def test_anything_else_stays_as_it_is_without_a_warning(plain: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_new_keys(plain, {"old": "new"}, where="x") is plain
