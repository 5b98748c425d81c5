import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crosstower.losses.task_balance import StaticBalance, UncertaintyBalance

ALL = torch.tensor([True, True])


def test_static_weights_are_those_of_the_recipe() -> None:
    losses = torch.tensor([0.5, 2.0], requires_grad=True)
    balance = StaticBalance([1.0, 0.25])
    total = balance.total(losses, ALL)
    balance.backward(total, [])
    assert total.item() == 1.0
    assert losses.grad is not None
    assert losses.grad.tolist() == balance.log_values() == [1.0, 0.25]


def test_uncertainty_is_kendalls_formula() -> None:
    balance = UncertaintyBalance([1.0, 3.0], ["regression", "binary"])
    s = torch.tensor([0.3, -1.2])
    balance.restore({"log_variance": s})
    losses = torch.tensor([0.5, 2.0], requires_grad=True)
    total = balance.total(losses, ALL)
    variance = np.exp(s.double().numpy())
    parts = [0.5 / (2 * variance[0]) + math.log(variance[0]) / 2]  # equation 7, squared error
    parts.append(2.0 / variance[1] + math.log(variance[1]) / 2)  # equation 10, cross-entropy
    assert total.item() == pytest.approx(parts[0] + 3 * parts[1], rel=1e-6)
    total.backward()
    assert losses.grad is not None
    np.testing.assert_allclose(losses.grad, [0.5 / variance[0], 3 / variance[1]], rtol=1e-6)


def test_variances_go_down_their_gradient() -> None:
    balance = UncertaintyBalance([1.0, 1.0], ["regression", "rating"], rate=0.1)
    s = torch.tensor([0.3, -0.2], requires_grad=True)
    balance.restore({"log_variance": s.detach()})
    losses = torch.tensor([0.5, 0.6])
    (torch.tensor([0.5, 1.0]) * (-s).exp() * losses + s / 2).sum().backward()
    balance.total(losses, ALL)
    assert s.grad is not None
    torch.testing.assert_close(balance.state()["log_variance"], s.detach() - 0.1 * s.grad)


def noisy_lines(sds: tuple[float, float]) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 3, generator=random)
    noise = torch.randn(20_000, 2, generator=random) * torch.tensor(sds)
    return x, x @ torch.tensor([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]]) + noise


def test_variances_converge_to_those_of_the_noise() -> None:
    sds = (0.3, 7.0)
    x, y = noisy_lines(sds)
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    balance = UncertaintyBalance([1.0, 1.0], ["regression", "regression"])
    for step in range(1_200):
        rows = torch.arange(step * 256, (step + 1) * 256) % len(x)
        optimizer.zero_grad()
        losses = ((model(x[rows]) - y[rows]) ** 2).mean(0)
        balance.backward(balance.total(losses, ALL), list(model.parameters()))
        optimizer.step()
    found = balance.state()["log_variance"].exp().sqrt()
    np.testing.assert_allclose(found, sds, rtol=0.05)


def test_the_scale_of_a_loss_changes_nothing() -> None:
    """In seconds or in milliseconds: the gradient on the model is the same at every step."""
    gradients = []
    for scale in (1.0, 1e6):
        balance = UncertaintyBalance([1.0, 1.0], ["binary", "regression"])
        steps = []
        for value in (0.8, 0.7, 0.9, 0.5):
            loss = torch.tensor(value, requires_grad=True)
            balance.total(torch.stack([loss.detach(), scale * loss]), ALL).backward()
            steps.append(loss.grad)
        gradients.append(torch.stack(steps))  # type: ignore[arg-type]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_task_without_labels_waits() -> None:
    balance = UncertaintyBalance([1.0, 1.0], ["binary", "regression"])
    total = balance.total(torch.tensor([0.7, 0.0]), torch.tensor([True, False]))
    assert total.isfinite()
    assert balance.state()["log_variance"].isnan().tolist() == [False, True]
    balance.total(torch.tensor([0.7, 0.4]), ALL)
    assert balance.state()["log_variance"][1].item() == pytest.approx(math.log(0.4))


def test_a_perfect_task_keeps_the_weights_finite() -> None:
    balance = UncertaintyBalance([1.0, 1.0], ["regression", "regression"])
    for _ in range(50):
        assert balance.total(torch.tensor([0.0, 1.0]), ALL).isfinite()
    assert all(math.isfinite(w) for w in balance.log_values())
