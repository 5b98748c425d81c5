import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from crosstower.data.layout import Head
from crosstower.errors import RecipeError
from crosstower.losses.pointwise import cross_entropy, task_loss, task_losses
from crosstower.losses.registry import LOSSES, Loss, loss_of, register_loss, task_losses_of
from crosstower.recipe.schema import Schema

LOGITS, LABELS = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 0.0, float("nan")])


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    LOSSES.load()
    LOSSES.load()
    entries, modules = dict(LOSSES.entries), dict(LOSSES.modules)
    yield
    LOSSES.entries, LOSSES.modules = entries, modules


def test_each_kind_has_its_built_in_losses() -> None:
    kinds = {name: loss.kinds for name, loss in LOSSES.entries.items()}
    assert kinds == {
        "bpr": ("binary",),
        "contrastive": ("retrieval",),
        "cross_entropy": ("binary", "rating"),
        "full_softmax": ("retrieval",),
        "gbce": ("retrieval",),
        "jrc": ("binary",),
        "ranknet": ("binary", "rating"),
        "sampled_softmax": ("retrieval",),
        "softmax": ("binary", "rating"),
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


def losses_of(task: dict[str, Any]) -> dict[str, Loss]:
    schema = {"columns": {"x": "numeric"}, "tasks": {"a": {"kind": "binary", **task}}}
    return task_losses_of(Schema.model_validate(schema).tasks)


def test_a_loss_takes_its_options_from_the_recipe() -> None:
    groups, labels = torch.tensor([0, 0]), torch.tensor([1.0, 0.0])
    (found,) = losses_of({"loss": {"name": "jrc", "alpha": 1.0}}).values()
    logits = LOGITS[:2]
    torch.testing.assert_close(found.compute(logits, labels, groups), cross_entropy(logits, labels))
    (default,) = losses_of({"loss": {"name": "jrc"}}).values()
    assert not torch.equal(default.compute(logits, labels, groups), cross_entropy(logits, labels))


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"loss": {"name": "jrc", "alpha": 2}}, "a.loss.alpha: expected a number less than or eq"),
        ({"loss": {"name": "jrc", "alfa": 1}}, "a.loss.alfa: unknown key; did you mean 'alpha'"),
        ({"loss": {"name": "bpr", "alpha": 1}}, "a.loss.alpha: unknown key; allowed: "),
        ({"loss": "bpr", "positive_weight": 2}, "positive_weight: 2 has no effect on the order"),
        ({"loss": "jrc", "label_smoothing": 0.1}, "label_smoothing: 0.1 needs a loss of single"),
    ],
)
def test_options_that_do_not_fit_are_named(task: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(words)):
        losses_of(task)


def test_weights_of_positives_and_smoothing_change_the_loss_of_rows() -> None:
    (found,) = losses_of({"positive_weight": 3.0, "label_smoothing": 0.2}).values()
    logits, labels = LOGITS[:2].double(), LABELS[:2].double()
    p = 1 / (1 + np.exp(-logits.numpy()))
    expected = [-3 * (0.9 * np.log(p[0]) + 0.1 * np.log(1 - p[0])),
                -(0.1 * np.log(p[1]) + 0.9 * np.log(1 - p[1]))]  # fmt: skip
    np.testing.assert_allclose(found.compute(logits, labels), expected, rtol=1e-6)
