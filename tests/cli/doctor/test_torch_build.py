import sys

import pytest
import torch

from crosstower.cli.doctor.torch_build import check_torch
from crosstower.training import devices


def test_the_build_and_the_gain_of_bfloat16_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "bfloat16_instructions", lambda device: "AMX_BF16")
    found = {one.check: one for one in check_torch()}
    assert torch.__version__ in found["torch"].found
    assert found["bfloat16"].found.startswith("AMX_BF16; large products are ")
    monkeypatch.setattr(devices, "bfloat16_instructions", lambda device: None)
    found = {one.check: one for one in check_torch()}
    assert "training uses float32" in found["bfloat16"].found


def test_a_torch_that_cannot_be_imported_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (only,) = check_torch()
    assert only.status == "problem"
    assert only.remedy == "pip install --force-reinstall torch"
