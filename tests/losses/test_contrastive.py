import pytest
import torch

from crosstower.losses.contrastive import cosine_contrastive_loss


def test_an_accidental_hit_is_no_contrastive_negative() -> None:
    positive, negative = torch.tensor([0.9]), torch.tensor([[0.9, 0.7]])
    loss = cosine_contrastive_loss(
        positive, negative, left_out=torch.tensor([[True, False]]), margin=0.5
    )
    assert loss.item() == pytest.approx(0.1 + 0.2 / 2)


def test_cosine_contrastive_loss_in_numbers() -> None:
    positive = torch.tensor([0.9, 0.2])
    negative = torch.tensor([[0.7, 0.1, 0.4], [0.5, 0.6, 0.8]])
    loss = cosine_contrastive_loss(positive, negative, margin=0.5, negative_weight=3.0)
    first, second = 0.1 + 3 * (0.2 / 3), 0.8 + 3 * (0.4 / 3)
    assert loss.item() == pytest.approx((first + second) / 2)
