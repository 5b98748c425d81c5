"""Devices by name, with the specifications of their data sheets."""

from __future__ import annotations

from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.frozen import FrozenModel


class Device(FrozenModel):
    """One device and its links; rates are the peaks of the data sheet.

    >>> Device(name="x", memory_gb=24, bandwidth_gbs=300, tflops=80, bfloat16_tflops=160).per_node
    8
    """

    name: str
    memory_gb: float
    bandwidth_gbs: float
    tflops: float
    """Matrix products of float32 inputs (TF32, without sparsity), in 10¹² operations per second."""
    bfloat16_tflops: float
    link_gbs: float = 25.0
    """To the other devices of the node, each way."""
    network_gbs: float = 25.0
    """To other nodes, each way, per device."""
    per_node: int = 8
    source: str = ""


_SHEET = "nvidia.com/en-us/data-center"
DEVICES = {
    device.name: device
    for device in (
        Device(
            name="a100-40",
            memory_gb=40,
            bandwidth_gbs=1555,
            tflops=156,
            bfloat16_tflops=312,
            link_gbs=300,
            network_gbs=25,
            source=f"{_SHEET}/a100, SXM; DGX A100: 200 Gb/s InfiniBand per GPU",
        ),
        Device(
            name="a100",
            memory_gb=80,
            bandwidth_gbs=2039,
            tflops=156,
            bfloat16_tflops=312,
            link_gbs=300,
            network_gbs=25,
            source=f"{_SHEET}/a100, SXM 80 GB; DGX A100: 200 Gb/s InfiniBand per GPU",
        ),
        Device(
            name="h100",
            memory_gb=80,
            bandwidth_gbs=3350,
            tflops=495,
            bfloat16_tflops=989,
            link_gbs=450,
            network_gbs=50,
            source=f"{_SHEET}/h100, SXM; DGX H100: 400 Gb/s InfiniBand per GPU",
        ),
        Device(
            name="h200",
            memory_gb=141,
            bandwidth_gbs=4800,
            tflops=495,
            bfloat16_tflops=989,
            link_gbs=450,
            network_gbs=50,
            source=f"{_SHEET}/h200, SXM; DGX H200: 400 Gb/s InfiniBand per GPU",
        ),
        Device(
            name="l4",
            memory_gb=24,
            bandwidth_gbs=300,
            tflops=60,
            bfloat16_tflops=121,
            link_gbs=32,
            network_gbs=12.5,
            source=f"{_SHEET}/l4, PCIe 4.0 x16; 100 Gb/s Ethernet per GPU",
        ),
    )
}


def device_of(name: str) -> Device:
    """Return a device by its name.

    >>> device_of("h100").memory_gb
    80.0

    Args:
        name: such as "a100".

    Raises:
        RecipeError: the name is unknown.

    """
    if name not in DEVICES:
        raise RecipeError(
            f"--gpu: no device '{name}'{did_you_mean(name, list(DEVICES))}; allowed:"
            f" {', '.join(DEVICES)}; for another one, give the nearest and set its --memory,"
            " --bandwidth and --network"
        )
    return DEVICES[name]
