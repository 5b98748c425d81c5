"""BSARec against NumPy's FFT."""

import numpy as np
import pytest
import torch

from crosstower.nn.sequences.bsarec import FrequencyFilter, low_pass
from crosstower.nn.sequences.steps import Steps

from . import oracles
from .histories import L, check_oracle


@pytest.mark.parametrize(("alpha", "cutoff"), [(0.7, 5), (0.2, 1), (0.5, 40)])
def test_bsarec_mixes_attention_with_a_frequency_filter(alpha: float, cutoff: int) -> None:
    check_oracle("bsarec", oracles.bsarec, heads=2, length=L, alpha=alpha, cutoff=cutoff)


@pytest.mark.parametrize("length", [1, 6, 7, 50])
def test_the_filter_of_a_whole_row_is_that_of_the_fourier_transform(length: int) -> None:
    """At the newest value nothing is later, and the filter is that of the paper."""
    torch.manual_seed(0)
    layer, x = FrequencyFilter(4, length, cutoff=3), torch.randn(2, length, 4)
    found = layer(x, Steps.of(torch.ones(2, length, dtype=torch.bool)))[:, -1]
    spectrum = np.fft.rfft(x.double().numpy(), axis=1)
    spectrum[:, 2:] = 0
    low = np.fft.irfft(spectrum, n=length, axis=1)[:, -1]
    high = x[:, -1].double().numpy() - low
    wanted = low + layer.beta.detach().double().numpy() ** 2 * high
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_all_frequencies_are_the_value_itself() -> None:
    assert torch.allclose(low_pass(6, 99), torch.eye(6)[0], atol=1e-6)
