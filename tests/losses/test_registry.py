import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from crosstower.data.layout import Head
from crosstower.errors import RecipeError
from crosstower.losses.pointwise import cross_entropy, task_loss, task_losses
from crosstower.losses.registry import (
    LOSSES,
    Loss,
    register_loss,
    retrieval_loss_of,
    task_losses_of,
)
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary

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
        retrieval_loss_of(Retrieval(item="film", objective="squared_error"))


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
        (
            {"loss": {"name": "bpr", "alpha": 1}},
            "a.loss.alpha: unknown key; no keys are allowed",
        ),
        ({"loss": "bpr", "class_weight": {1: 2}}, "{0: 1.0, 1: 2.0} has no effect on the order"),
        ({"loss": "bpr", "class_weight": "balanced"}, "class_weight: balanced has no effect"),
        ({"loss": "jrc", "label_smoothing": 0.1}, "label_smoothing: 0.1 needs a loss of single"),
    ],
)
def test_options_that_do_not_fit_are_named(task: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(words)):
        losses_of(task)


def test_class_weights_and_smoothing_change_the_loss_of_rows() -> None:
    (found,) = losses_of({"class_weight": {0: 2, 1: 3}, "label_smoothing": 0.2}).values()
    logits, labels = LOGITS[:2].double(), LABELS[:2].double()
    p = 1 / (1 + np.exp(-logits.numpy()))
    expected = [-3 * (0.9 * np.log(p[0]) + 0.1 * np.log(1 - p[0])),
                -2 * (0.1 * np.log(p[1]) + 0.9 * np.log(1 - p[1]))]  # fmt: skip
    np.testing.assert_allclose(found.compute(logits, labels), expected, rtol=1e-6)


@pytest.mark.parametrize("weights", [{0: 2, 1: 20}, "balanced"])
def test_class_weights_are_those_of_scikit_learns_logistic_regression(weights: Any) -> None:
    """The minimiser of the loss over linear logits, by Newton's method."""
    random = np.random.default_rng(3)
    x = random.normal(size=(400, 2))
    y = (random.random(400) < 1 / (1 + np.exp(2.5 - x @ [1.0, -0.5]))).astype(float)
    peer = LogisticRegression(C=np.inf, class_weight=weights, solver="newton-cholesky", tol=1e-10)
    peer.fit(x, y)
    tasks = Schema.model_validate(
        {"columns": {"u": "numeric"}, "tasks": {"a": {"kind": "binary", "class_weight": weights}}}
    ).tasks
    (loss,) = task_losses_of(tasks, {"a": y.mean()}).values()
    rows, labels = torch.from_numpy(np.column_stack([x, np.ones(400)])), torch.from_numpy(y)
    beta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    for _ in range(40):
        p = (rows @ beta).sigmoid()
        scale = loss.compute(p.logit(), labels) / cross_entropy(p.logit(), labels)  # w of the row
        (gradient,) = torch.autograd.grad(loss.compute(rows @ beta, labels).sum(), beta)
        hessian = rows.T @ ((scale * p * (1 - p))[:, None] * rows)
        beta = (beta - torch.linalg.solve(hessian, gradient)).detach().requires_grad_()
    expected = [*peer.coef_[0], peer.intercept_[0]]
    np.testing.assert_allclose(beta.detach(), expected, rtol=1e-6)


def test_balanced_weights_need_the_share_of_positives() -> None:
    tasks = Schema.model_validate(
        {"columns": {"u": "numeric"}, "tasks": {"a": Binary(class_weight="balanced")}}
    ).tasks
    with pytest.raises(RecipeError, match=r"tasks\.a\.class_weight: balanced, but the share of"):
        task_losses_of(tasks, {})


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"objective": "full_softmax", "log_q": False}, "full_softmax uses every item; drop neg"),
        (
            {"objective": "contrastive"},
            "contrastive needs uniform negatives; set negatives.uniform",
        ),
        ({"objective": "gbce"}, "gbce needs uniform negatives; set negatives.uniform"),
        ({"negatives": {"in_batch": False}}, "negatives: none are left; keep in_batch"),
        ({"objective": {"name": "full_softmax", "margin": 0.1}}, "objective.margin: unknown key"),
        (
            {"objective": {"name": "gbce", "calibration": 2}, "negatives": {"uniform": 5}},
            "objective.calibration: expected a number less than or equal to 1",
        ),
    ],
)
def test_negatives_and_options_that_do_not_fit_an_objective_are_named(
    section: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        retrieval_loss_of(Retrieval(item="film", **section))


def test_an_objective_takes_its_options_from_the_recipe() -> None:
    @register_loss("scaled", kinds=("retrieval",))
    def scaled(step: Any, *, factor: float = 2.0) -> Tensor:
        return torch.tensor(step * factor)

    own = Retrieval(item="film", objective={"name": "scaled", "factor": 3}, log_q=False)
    assert retrieval_loss_of(own).compute(2.0) == 6.0
    assert retrieval_loss_of(Retrieval(item="film", objective="scaled")).compute(2.0) == 4.0


def test_parts_of_a_registration_that_do_not_fit_are_named() -> None:
    with pytest.raises(RecipeError, match="negatives: expected one of drawn, uniform, all, got"):
        register_loss("x", kinds=("retrieval",), negatives="drwn")(lambda step: step)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="loss 'x': negatives and cosines are for"):
        register_loss("x", kinds=("binary",), cosines=True)(lambda logits, labels: logits)
