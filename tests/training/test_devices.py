import time

import pytest
import torch
from torch import nn

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.errors import TrainingError
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.losses.task_balance import StaticBalance
from crosstower.models.registry import build
from crosstower.training import devices
from crosstower.training.devices import (
    Choice,
    autocast,
    bfloat16_instructions,
    choose_precision,
    pick_device,
    work_of,
)

LAYOUT = Layout((CodeField("a", 9, "a"),), ("x",), (), (Head("click", "binary"),))
BATCH = Batch(
    torch.randint(3, 9, (64, 1)).int(), torch.randn(64, 1), {}, (torch.rand(64, 1) < 0.5).float()
)


CPU = torch.device("cpu")
LOSS = PointwiseObjective(LAYOUT, StaticBalance([1.0])).loss


def chosen(monkeypatch: pytest.MonkeyPatch, model: nn.Module, name: str | None) -> Choice:
    monkeypatch.setattr(devices, "bfloat16_instructions", lambda _device: name)
    return choose_precision(model, BATCH, LOSS, CPU)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(TrainingError, match=r"cuda:1 given.*training\.device=cpu"):
        pick_device("cuda:1")


def test_work_is_that_of_the_matrix_products() -> None:
    """Oracle: 2 · B · inputs · outputs for each linear layer; look-ups and sums are none."""
    model = build(LAYOUT, {"name": "mlp", "embedding_dim": 4, "hidden": [8, 6]})
    shapes = [p.shape for p in model.parameters() if p.ndim == 2][1:]
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert len(linear) == len(shapes) == 3
    expected = sum(2 * 64 * m.in_features * m.out_features for m in linear)
    assert work_of(model, BATCH, LOSS) == expected


@pytest.mark.parametrize(("least", "expected"), [(1, "bfloat16"), (10**12, "float32")])
def test_work_decides_where_there_are_instructions(
    monkeypatch: pytest.MonkeyPatch, least: int, expected: str
) -> None:
    monkeypatch.setattr(devices, "LEAST_WORK", least)
    choice = chosen(monkeypatch, build(LAYOUT, {"name": "mlp"}), "AMX_BF16")
    assert choice.precision == expected
    assert choice.reason.startswith("AMX_BF16, ")
    assert "million operations per step; bfloat16 pays from" in choice.reason


def test_hardware_without_bfloat16_takes_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "LEAST_WORK", 0)
    choice = chosen(monkeypatch, build(LAYOUT, {"name": "mlp"}), None)
    assert choice == Choice("float32", "torch finds no bfloat16 products of the processor itself")


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"architecture": "x86_64", "amx_bf16": True, "avx512_bf16": True}, "AMX_BF16"),
        ({"architecture": "x86_64", "avx512_bf16": True}, "AVX512_BF16"),
        ({"architecture": "x86_64", "avx512_f": True}, None),  # emulated, and slower
    ],
)
def test_emulated_bfloat16_does_not_count(
    monkeypatch: pytest.MonkeyPatch, has: dict[str, object], expected: str | None
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert bfloat16_instructions(CPU) == expected


def test_a_torch_that_does_not_say_has_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert bfloat16_instructions(CPU) is None


def test_the_choice_does_not_look_at_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same model gets the same precision, however busy the machine is."""
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock) ** 2))
    model = build(LAYOUT, {"name": "dcn_v2"})
    assert len({chosen(monkeypatch, model, "AVX512_BF16") for _ in range(3)}) == 1


def test_counting_changes_nothing() -> None:
    model = build(LAYOUT, {"name": "wide_deep"})
    before = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    assert work_of(model, BATCH, LOSS) > 0
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


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda:1")
    assert pick_device("cuda:0") == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(TrainingError, match=r"cuda:2 given, but torch sees 2 GPU"):
        pick_device("auto")
