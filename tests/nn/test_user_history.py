"""The mix of user and history, compared with its formula in float64."""

import numpy as np
import torch

from crosstower.nn.user_history import UserHistoryMix


def test_it_is_the_formula_of_simplex() -> None:
    random = np.random.default_rng(0)
    user, pooled, v = (
        random.normal(size=(5, 4)),
        random.normal(size=(5, 4)),
        random.normal(size=(4, 4)),
    )
    mix = UserHistoryMix(4, user_weight=0.3)
    with torch.no_grad():
        mix.history.weight.copy_(torch.from_numpy(v))
    x = torch.from_numpy(np.concatenate([user, pooled], 1)).float()
    expected = 0.3 * user + 0.7 * pooled @ v.T
    np.testing.assert_allclose(mix(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_history_starts_as_it_is() -> None:
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(UserHistoryMix(4, user_weight=0.0)(x), x[:, 4:])
    torch.testing.assert_close(UserHistoryMix(4, user_weight=1.0)(x), x[:, :4])
