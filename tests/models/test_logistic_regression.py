import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.losses.pointwise import task_losses
from crosstower.models.registry import build

LAYOUT = Layout((CodeField("a", 8, "a"),), ("x",), (), (Head("click", "binary"),))


def test_its_optimum_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    codes, x = random.integers(3, 8, 400), random.normal(size=400)
    effect = np.array([-1.0, 0.5, 1.0, -0.5, 0.0])[codes - 3]
    y = (random.random(400) < 1 / (1 + np.exp(-effect - x))).astype(np.float32)
    hot = np.eye(5)[codes - 3]
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    oracle.fit(np.column_stack([hot[:, 1:], x]), y)
    batch = Batch(
        torch.tensor(codes[:, None]).int(),
        torch.tensor(x[:, None]).float(),
        {},
        torch.tensor(y[:, None]),
    )
    model = build(LAYOUT, {"name": "logistic_regression"})
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = task_losses(model(batch), batch.labels, LAYOUT.heads)[0].sum()
        value.backward()
        model.wide.weight.grad = model.wide.weight.grad.to_dense()
        return value

    optimizer.step(loss)
    expected = oracle.decision_function(np.column_stack([hot[:, 1:], x]))
    np.testing.assert_allclose(model(batch)["click"].detach(), expected, atol=5e-3)


def test_a_cross_without_width_is_left_out() -> None:
    layout = Layout((*LAYOUT.codes, CodeField("a_b", 99, "a_b", 0)), (), (), LAYOUT.heads)
    assert build(layout, {"name": "logistic_regression"}).wide.weight.shape == (8, 1)
