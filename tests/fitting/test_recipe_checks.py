"""The recipe of a training, checked before any row is read."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import nn

from crosstower.data.encoders.encoder_fit import EncoderFit, draft_layout
from crosstower.errors import RecipeError, RunError
from crosstower.fitting.fit import fit
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.models.registry import MODELS, model_names, register_model
from crosstower.recipe.blend import Blend
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

from .test_fit import quick

HUGE = 10_000_000


def ranking(model: Any, **more: Any) -> Recipe:
    columns = {
        "user": {"kind": "categorical", "hash_buckets": HUGE, "dim": 64},
        "item": {"kind": "categorical", "hash_buckets": HUGE, "dim": 64},
        "age": {"kind": "numeric", "transform": "bucketise", "buckets": 4},
        "tags": {"kind": "bag"},
        "pair": {"kind": "cross", "columns": ["user", "item"]},
    }
    schema = {"columns": columns, "tasks": {"click": "binary", "buy": "binary"}}
    return Recipe.model_validate({"schema": schema, "model": model, "data": {}} | more)


def retrieval(model: dict[str, Any]) -> Recipe:
    columns = {
        "user": {"kind": "categorical", "hash_buckets": HUGE, "dim": 64},
        "item": "categorical",
    }
    plain = {
        "schema": {"columns": columns},
        "model": {"name": "two_tower", "item": ["item"]} | model,
        "retrieval": {"user": "user", "item": "item"},
    }
    return Recipe.model_validate(plain)


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def test_huge_tables_are_checked_without_memory() -> None:
    check_recipe(ranking("mlp"))  # imports what it needs
    before, start = peak_mb(), time.perf_counter()
    for name in model_names():
        check_recipe(ranking({"name": name} | ({"item": ["item"]} if name == "two_tower" else {})))
    check_recipe(retrieval({}))
    assert peak_mb() - before < 100  # weights of one model alone take 5 GB
    assert time.perf_counter() - start < 20


def test_a_check_draws_no_random_numbers() -> None:
    state = torch.get_rng_state()
    check_recipe(ranking("dcn_v2"))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ranking({"name": "two_tower", "item": ["item"]}, training={"freeze": "query_tower"}),
            "training.freeze: query_tower needs a retrieval section",
        ),
        (ranking({"name": "mlp", "hiden": [8]}), "model.hiden: unknown key.*hidden"),
        (ranking({"name": "wide_deep", "wide_columns": ["use"]}), "model.wide_columns: no coded"),
        (ranking({"name": "two_tower", "item": ["itm"]}), "model.item: no column 'itm'"),
        (retrieval({"item": ["itm"]}), "itm"),
        (retrieval({"dim": 0}), "model.dim: expected a number greater"),
        (ranking("mlp", training={"monitor": "click.ac"}), "ac"),
    ],
)
def test_a_wrong_option_is_named_before_rows_are_read(given: Recipe, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        check_recipe(given)


def test_crosses_that_no_wide_side_reads_are_named() -> None:
    _, _, notes = check_recipe(ranking("dcn_v2", evaluation={"baselines": ["mlp"]}))
    (note,) = notes
    assert note.startswith("pair: a cross without dim, which only a wide side reads;")
    assert "not used by dcn_v2, mlp:" in note
    assert check_recipe(ranking("wide_deep", evaluation={"baselines": []}))[2] == []


def test_a_model_that_reads_its_weights_is_left_to_the_training() -> None:
    class Own(nn.Module):
        class Config(FrozenModel):
            pass

        def __init__(self, layout: Any, config: Any) -> None:
            super().__init__()
            self.size = torch.ones(3).sum().item()

    Own.__module__ = "tests"
    register_model("reads_weights")(Own)
    try:
        _, models, notes = check_recipe(ranking("reads_weights", evaluation={"baselines": []}))
    finally:
        del MODELS.entries["reads_weights"], MODELS.modules["reads_weights"]
    assert (list(models), notes) == (["reads_weights"], [])


def test_the_draft_of_a_layout_has_the_fields_of_the_fitted_one() -> None:
    schema = ranking("mlp").schema_
    fit = EncoderFit(schema)
    fit.add(
        pl.DataFrame(
            {"user": [1, 2], "item": [3, 4], "age": [1.0, 2.0], "tags": [["a"], ["a", "b"]]}
        )
    )
    fitted, draft = fit.finish().layout, draft_layout(schema)
    assert [f.name for f in draft.codes] == [f.name for f in fitted.codes]
    assert [f.size for f in draft.codes[:2]] == [f.size for f in fitted.codes[:2]]
    assert [(f.name, f.pooling) for f in draft.lists] == [(f.name, f.pooling) for f in fitted.lists]
    assert (draft.heads, draft.numbers) == (fitted.heads, fitted.numbers)


def test_baselines_take_over_shared_options(recipe_text: str, folder: Path) -> None:
    recipe = parse_recipe(recipe_text, ["evaluation.baselines=[mlp]"], folder=folder)
    run = quick(recipe, folder / "a")
    assert run.info.models["mlp"] == {"name": "mlp", "embedding_dim": 4, "hidden": [8]}


def test_a_wrong_section_is_an_error_before_any_row_is_read(recipe: Recipe, tmp_path: Path) -> None:
    for section, words in (
        ({"calibration": Calibration(tasks={"clik": "platt"})}, "did you mean 'click'"),
        ({"calibration": Calibration(method="platt", by="click")}, "calibration.by: 'click'"),
        ({"blend": Blend(weights={"like": 1})}, "blend.weights: no task 'like'"),
    ):
        with pytest.raises(RecipeError) as error:
            quick(recipe.model_copy(update=section), tmp_path / "a")
        assert words in str(error.value)
        assert not (tmp_path / "a").exists()


OWN = """
from torch import Tensor, nn

from crosstower.recipe.frozen import FrozenModel
from crosstower.models.registry import register_model
from crosstower.nn.inputs import DenseInput, by_head


@register_model("own_linear")
class OwnLinear(nn.Module):
    class Config(FrozenModel):
        pass

    def __init__(self, layout, config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=2)
        self.head = nn.Linear(self.input.output_width, len(layout.heads))

    def forward(self, batch) -> dict[str, Tensor]:
        return by_head(self.layout, self.head(self.input(batch.codes, batch.numbers, batch.lists)))
"""


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_run_of_ones_own_architecture_names_the_module_to_import(
    recipe_text: str, folder: Path, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "my_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("CROSSTOWER_MODULES", "my_models")
    text = recipe_text.replace("model: {name: wide_deep, embedding_dim: 4, hidden: [8]}", "")
    recipe = parse_recipe(f"{text}\nmodel: own_linear", ["evaluation.baselines=[]"], folder=folder)
    try:
        run = quick(recipe, folder / "a")
        assert run.info.modules == {"own_linear": "my_models"}
        before = run.predict(frame)
        MODELS.entries.pop("own_linear")  # as in a process that has not imported it
        sys.modules.pop("my_models")
        monkeypatch.delenv("CROSSTOWER_MODULES")
        words = r"'own_linear' is not built in; it was registered by 'my_models'.*import my_models"
        with pytest.raises(RunError, match=words):
            Run.open(folder / "a").predict(frame)
        monkeypatch.setenv("CROSSTOWER_MODULES", "my_models")
        assert Run.open(folder / "a").predict(frame).equals(before)
    finally:
        MODELS.entries.pop("own_linear", None)


def test_modules_of_models_that_cannot_be_imported_are_named(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTOWER_MODULES", "no_such_module_of_mine")
    with pytest.raises(RecipeError, match="CROSSTOWER_MODULES: cannot import 'no_such_module_of_m"):
        fit(recipe, quiet=True)


@pytest.mark.parametrize(
    ("click", "buy", "fits"),
    [
        (None, {1: 20}, False),
        (None, "balanced", False),
        ("balanced", "balanced", False),
        ({1: 0.5}, None, False),
        ({1: 20}, {1: 20}, True),
        ({1: 20}, None, True),
        ("balanced", None, True),
    ],
)
def test_class_weights_must_not_raise_the_end_of_a_chain(click: Any, buy: Any, fits: bool) -> None:
    tasks = {
        name: {"kind": "binary", "class_weight": weight}
        for name, weight in (("click", click), ("buy", buy))
    }
    schema = {"columns": {"user": "categorical"}, "tasks": tasks}
    plain = {"schema": schema, "model": "esmm", "data": {}, "evaluation": {"baselines": []}}
    recipe = Recipe.model_validate(plain)
    if fits:
        check_recipe(recipe)
    else:
        with pytest.raises(RecipeError, match=r"schema\.tasks\.buy\.class_weight: in a chain"):
            check_recipe(recipe)
    check_recipe(Recipe.model_validate(plain | {"model": "mmoe"}))
