"""Histories of several lengths, and what every encoder is compared on."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from crosstower.nn.sequences.registry import build_sequence
from crosstower.nn.sequences.steps import Steps

from .oracles import Array, numbers

B, L, D = 5, 7, 8
COUNTS = torch.tensor([7, 3, 1, 0, 5])
PRESENT = torch.arange(L) < COUNTS.unsqueeze(1)


def rows() -> Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))


def encoder(name: str, **options: Any) -> nn.Module:
    """Return an encoder in which no parameter has a value that hides it."""
    torch.manual_seed(1)
    built = build_sequence(name, D, L, dropout=0.3, options=options, where="history")
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.3)
    return built.eval()


def check_oracle(name: str, oracle: Callable[..., Array], *, heads: int, **known: Any) -> None:
    """Compare every output of an encoder with the oracle, history by history."""
    options = {k: v for k, v in known.items() if k != "length"}
    model, x = encoder(name, heads=heads, **options), rows()
    found = model(x, Steps.of(PRESENT))
    for i, count in enumerate(COUNTS.tolist()):
        if count:
            wanted = oracle(model, numbers(x[i, :count]), **known)
            torch.testing.assert_close(
                found[i, :count].double(), torch.from_numpy(wanted), rtol=1e-4, atol=1e-5
            )
