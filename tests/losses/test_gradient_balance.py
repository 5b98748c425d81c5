import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.losses.gradient_balance import GradNormBalance, PCGradBalance
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.losses.task_balance import Balance, StaticBalance, UncertaintyBalance
from crosstower.models.registry import build
from crosstower.recipe.training import Training
from crosstower.training.optimizers import build_optimizers

ALL = torch.tensor([True, True])


def step(balance: Balance, losses: Tensor, theta: nn.Parameter) -> Tensor:
    theta.grad = None
    balance.backward(balance.total(losses, ALL), [theta])
    assert theta.grad is not None
    return theta.grad


def test_gradnorm_moves_as_the_paper_says() -> None:
    theta = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    balance = GradNormBalance([1.0, 1.0], alpha=1.5, rate=0.1)
    balance.restore(
        {
            "balance": torch.tensor([0.5, 1.5], dtype=torch.float64),
            "first_loss": torch.tensor([4.0, 10.0], dtype=torch.float64),
        }
    )
    losses = torch.stack([(theta**2).sum(), 3 * theta.sum()])  # 5 and 9
    grads = np.array([[2.0, 4.0], [3.0, 3.0]])
    np.testing.assert_allclose(step(balance, losses, theta), 0.5 * grads[0] + 1.5 * grads[1])
    pull = np.array([0.5, 1.5]) * np.linalg.norm(grads, axis=1)  # G
    behind = np.array([5 / 4, 9 / 10])
    target = pull.mean() * (behind / behind.mean()) ** 1.5
    slope = np.sign(pull - target) * pull / pull.mean()  # of equation 2, by the logarithm of v
    moved = np.array([0.5, 1.5]) * np.exp(-0.1 * slope)
    np.testing.assert_allclose(balance.state()["balance"], moved * 2 / moved.sum())


def test_gradnorm_makes_every_task_pull_alike_whatever_its_scale() -> None:
    theta = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    balance = GradNormBalance([1.0, 1.0], alpha=0.0)
    for step_, scale in enumerate([1e5] * 3 + [1.0] * 300):
        step(balance, torch.stack([theta[0] + theta[1], scale * (theta[0] - theta[1])]), theta)
        weights = balance.log_values()
        if step_ in (0, 302):  # from the first step on, and again when the scale has changed
            assert weights[0] == pytest.approx(scale * weights[1], rel=0.1)
        assert sum(weights) == pytest.approx(2.0)


def test_preferences_stay_on_top_of_the_balance() -> None:
    theta = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    balance = GradNormBalance([3.0, 1.0])
    balance.first_loss[:] = 1.0
    losses = torch.stack([theta[0] + theta[1], theta[0] - theta[1]])
    assert step(balance, losses, theta).tolist() == [4.0, 2.0]


def test_gradnorm_waits_for_labels() -> None:
    theta = nn.Parameter(torch.ones(2, dtype=torch.float64))
    balance = GradNormBalance([1.0, 1.0])
    losses = torch.stack([theta.sum(), 2 * theta.sum()])
    balance.backward(balance.total(losses, torch.tensor([True, False])), [theta])
    assert balance.state()["first_loss"].isnan().tolist() == [False, True]


def test_pcgrad_keeps_what_does_not_conflict() -> None:
    theta = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    losses = torch.stack([theta[0] + theta[1], 2 * theta[0]])
    assert step(PCGradBalance([1.0, 2.0]), losses, theta).tolist() == [5.0, 1.0]


def test_pcgrad_projects_what_does() -> None:
    theta = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    losses = torch.stack([theta[0], -theta[0] + theta[1]])
    # (1, 0) loses its part along (-1, 1): (0.5, 0.5); (-1, 1) its part along (1, 0): (0, 1)
    np.testing.assert_allclose(step(PCGradBalance([1.0, 1.0]), losses, theta), [0.5, 1.5])


CLICK, SECONDS = Head("click", "binary"), Head("seconds", "regression")
LAYOUT = Layout((CodeField("user", 23, "user"),), (), (), (CLICK, SECONDS))


def clicks_and_seconds(rows: int, seed: int) -> Batch:
    """Half of the users click, the others hardly; how long they look has nothing to do with it."""
    random = torch.Generator().manual_seed(seed)
    user = torch.randint(0, 20, (rows,), generator=random)
    click = torch.rand(rows, generator=random) < torch.where(user % 2 == 0, 0.8, 0.2)
    seconds = 300 + 200 * (user % 3) + 150 * torch.randn(rows, generator=random)
    labels = torch.stack([click.float(), seconds], dim=1)  # raw seconds: not standardised
    return Batch((user + 3).unsqueeze(1).int(), torch.empty(rows, 0), {}, labels)


def accuracy_after_training(balance: Balance) -> float:
    torch.manual_seed(0)
    options = {"name": "shared_bottom", "trunk": {"name": "mlp", "hidden": [8], "dropout": 0.0}}
    model = build(LAYOUT, {**options, "embedding_dim": 2, "tower_hidden": [], "dropout": 0.0})
    optimizers = build_optimizers(model, Training(learning_rate=3e-3, embedding_learning_rate=1e-2))
    objective, rows = PointwiseObjective(LAYOUT, balance), clicks_and_seconds(12_800, 0)
    for number in range(400):
        batch = rows[torch.arange(number * 64, (number + 1) * 64) % len(rows)]
        for optimizer in optimizers:
            optimizer.zero_grad()
        objective.backward(model, objective.loss(model, batch))
        for optimizer in optimizers:
            optimizer.step()
    held_out = clicks_and_seconds(4_000, 1)
    guess = model.eval()(held_out)["click"].sigmoid() > 0.5
    return float((guess == (held_out.labels[:, 0] == 1)).float().mean())


@pytest.mark.slow
def test_watch_time_in_raw_seconds_drowns_clicks_unless_it_is_balanced() -> None:
    """Losses of 0.7 and of 400,000: by chance 0.5 of the clicks are guessed, at best 0.8."""
    drowned = accuracy_after_training(StaticBalance([1.0, 1.0]))
    uncertain = accuracy_after_training(UncertaintyBalance([1.0, 1.0], ["binary", "regression"]))
    normed = accuracy_after_training(GradNormBalance([1.0, 1.0]))
    assert drowned < 0.7
    assert uncertain > 0.77
    assert normed > 0.77
