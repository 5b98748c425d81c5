from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from crosstower.data.layout import Head
from crosstower.errors import RecipeError
from crosstower.losses.pointwise import task_loss, task_losses
from crosstower.losses.registry import LOSSES, loss_of, register_loss, task_losses_of
from crosstower.recipe.schema import Schema

LOGITS, LABELS = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 0.0, float("nan")])


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    LOSSES.load()
    entries, modules = dict(LOSSES.entries), dict(LOSSES.modules)
    yield
    LOSSES.entries, LOSSES.modules = entries, modules


def test_each_kind_has_its_built_in_losses() -> None:
    kinds = {name: loss.kinds for name, loss in LOSSES.entries.items()}
    assert kinds == {
        "contrastive": ("retrieval",),
        "cross_entropy": ("binary", "rating"),
        "full_softmax": ("retrieval",),
        "sampled_softmax": ("retrieval",),
        "squared_error": ("regression",),
    }


def test_a_task_names_its_loss() -> None:
    @register_loss("absolute", kinds=("binary", "regression"))
    def absolute(logits: Tensor, labels: Tensor) -> Tensor:
        return (logits - labels).abs()

    tasks = {"a": {"kind": "regression", "loss": "absolute"}, "b": "regression"}
    schema = Schema.model_validate({"columns": {"x": "numeric"}, "tasks": tasks})
    heads = (Head("a", "regression"), Head("b", "regression"))
    logits, labels = {"a": LOGITS, "b": LOGITS}, torch.stack([LABELS, LABELS], 1)
    losses, _ = task_losses(logits, labels, heads, task_losses_of(schema.tasks))
    torch.testing.assert_close(losses, torch.tensor([(0.5 + 1.0) / 2, (0.25 + 1.0) / 2]))


def test_a_loss_that_does_not_exist_or_fit_is_explained() -> None:
    schema = Schema.model_validate(
        {"columns": {"x": "numeric"}, "tasks": {"a": {"kind": "binary", "loss": "cros_entropy"}}}
    )
    words = r"schema.tasks.a.loss: for binary: no loss 'cros_entropy'; did you mean 'cross_entrop"
    with pytest.raises(RecipeError, match=words):
        task_losses_of(schema.tasks)
    with pytest.raises(RecipeError, match="objective: for retrieval: no loss 'squared_error'"):
        loss_of("retrieval", "squared_error", where="retrieval.objective")


def test_a_function_that_returns_no_value_per_row_is_named() -> None:
    @register_loss("mean", kinds=("binary",))
    def mean(logits: Tensor, labels: Tensor) -> Tensor:
        return (logits - labels).mean()

    with pytest.raises(RecipeError, match=r"loss 'mean': .* one value per row \[3\], got \[\]"):
        task_loss("binary", LOGITS, LABELS, loss=LOSSES.get("mean"))
