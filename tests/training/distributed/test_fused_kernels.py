"""Fused kernels of FBGEMM against our optimiser; on a GPU with NCCL, if there is one."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from ...fixtures.processes import free_port

ROOT = Path(__file__).parents[3]


def no_gpu() -> str:
    """Return why the test cannot run on a GPU, or nothing."""
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no GPU"
    names = {d.metadata["Name"] for d in metadata.distributions()}
    if not names & {"fbgemm-gpu", "fbgemm_gpu"}:
        return "fbgemm-gpu, the CUDA build of FBGEMM, is not installed"
    return ""


ON_GPU = pytest.mark.skipif(bool(no_gpu()), reason=no_gpu() or "a GPU")
SIZES = {"cpu": ("5000", "2000"), "cuda": ("10000000", str(65_536 * 26))}


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_GPU)])
def test_fused_updates_are_those_of_our_optimiser(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    ids, look_ups = SIZES[device]
    words = ["fused_tables", "--device", device, "--ids", ids, "--look-ups", look_ups]
    words = [*words, "--width", "16", "--steps", "3", "--bandwidth", "1000"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks", *words],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["difference"] < 1e-5
    assert found["look_ups_per_second"] > 0
    assert 0 < found["share_of_bandwidth"] == pytest.approx(found["gb_per_second"] / 1000)
