import pytest
import torch
from torch import nn

from crosstower.batch import Batch
from crosstower.layout import CodeField, Head, Layout
from crosstower.models.registry import build
from crosstower.objectives.balance import StaticBalance
from crosstower.objectives.pointwise import PointwiseObjective
from crosstower.train import precision
from crosstower.train.precision import autocast, choose_precision

LAYOUT = Layout((CodeField("a", 9, "a"),), ("x",), (), (Head("click", "binary"),))
BATCH = Batch(
    torch.randint(3, 9, (64, 1)).int(), torch.randn(64, 1), {}, (torch.rand(64, 1) < 0.5).float()
)


CPU = torch.device("cpu")
LOSS = PointwiseObjective(LAYOUT, StaticBalance([1.0])).loss


def chosen(model: nn.Module) -> tuple[str, float]:
    return choose_precision(model, BATCH, LOSS, CPU)


def choose(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> tuple[str, float]:
    monkeypatch.setattr(precision, "_has_bfloat16", lambda _device: True)
    monkeypatch.setattr(precision, "_time", lambda _m, _b, _l, name, _d: seconds[name])
    return chosen(build(LAYOUT, {"name": "mlp"}))


def test_bfloat16_is_taken_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, float32=2.0, bfloat16=1.0) == ("bfloat16", 2.0)


def test_a_small_gain_is_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, float32=1.1, bfloat16=1.0)[0] == "float32"


def test_hardware_without_bfloat16_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_has_bfloat16", lambda _device: False)
    assert chosen(build(LAYOUT, {"name": "mlp"})) == ("float32", 1.0)


def test_the_measurement_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_has_bfloat16", lambda _device: True)
    model = build(LAYOUT, {"name": "wide_deep"})
    before = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    chosen(model)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_bfloat16_logits_are_near_those_of_float32() -> None:
    torch.manual_seed(0)
    model = build(LAYOUT, {"name": "dcn_v2"}).eval()
    full = model(BATCH)["click"]
    with autocast(torch.device("cpu"), "bfloat16"):
        half = model(BATCH)["click"]
    assert half.dtype == torch.bfloat16
    assert (half.float() - full).abs().max() < 0.05
