"""Formulas against numbers worked out by hand, simulations and published rates."""

import numpy as np
import pytest

from crosstower.fitting.plan.devices import DEVICES, Device
from crosstower.fitting.plan.formulas import (
    COMPUTE,
    MEMORY,
    NETWORK,
    OVERHEAD,
    Lookups,
    StepWork,
    WeightTable,
    distinct,
    fewest_devices,
    link_of,
    memory_of,
    seconds_of,
    speed_of,
    traffic_of,
)

MANY = 10**12
"""Rows of a table so large that ids do not repeat."""

TABLE = WeightTable("tables.4", 1001, 4, 8, 8, (Lookups(MANY, 3),))
"""Rows of 8 x 4 = 32 bytes and 8 of state; three look-ups per row of data."""

WORK = StepWork((TABLE,), 100, 2, operations=1000.0, activations=50.0, heads=1)


def test_distinct_ids_are_those_of_a_simulation() -> None:
    random = np.random.default_rng(0)
    counts = [len(np.unique(random.integers(0, 300, 200))) for _ in range(2000)]
    assert distinct(200, 300) == pytest.approx(np.mean(counts), rel=0.005)
    assert distinct(1000, MANY) == pytest.approx(1000, rel=1e-6)
    assert distinct(10**9, 7) == pytest.approx(7)
    assert distinct(5, 1) == 1


def test_the_memory_of_one_device() -> None:
    memory = memory_of(WORK, batch=10, devices=1)
    assert memory.tables == 1001 * 32
    assert memory.state == 1001 * 8
    assert memory.dense == 100 * 4 * (1 + 1 + 2)  # weights, gradients, two moments
    assert memory.activations == 10 * 50
    assert memory.exchange == 0
    assert memory.total == 32_032 + 8_008 + 1_600 + 500


def test_the_memory_of_one_of_four_devices() -> None:
    memory = memory_of(WORK, batch=10, devices=4)  # three rows at most
    assert memory.tables == 251 * 32
    assert memory.state == 251 * 8
    assert memory.dense == 100 * 4 * 5  # and the buffer that is summed
    assert memory.activations == 3 * 50
    assert memory.exchange == pytest.approx(2 * 9 * 32)  # 9 rows and their gradients


def test_the_bytes_that_one_of_four_devices_sends() -> None:
    traffic = traffic_of(WORK, batch=12, devices=4)  # three rows: nine ids, 6.75 of them elsewhere
    assert traffic.ids == pytest.approx(6.75 * 8)
    assert traffic.vectors == traffic.gradients == pytest.approx(6.75 * 32)
    assert traffic.dense == pytest.approx(2 * 0.75 * (100 + 2) * 4)
    assert traffic.candidates == 0
    assert traffic.total == pytest.approx(54 + 216 + 216 + 612)
    assert traffic_of(WORK, batch=12, devices=1).total == 0


def test_a_retriever_sends_its_item_vectors_to_all() -> None:
    work = StepWork((), 0, 0, operations=10.0, activations=0.0, heads=0, compared=16)
    traffic = traffic_of(work, batch=12, devices=4)
    gathered = 3 * 3 * 16 * 4  # three rows to three others
    summed = 2 * 0.75 * 12 * 16 * 4  # the gradients of all twelve rows, by a ring
    assert traffic.total == traffic.candidates == gathered + summed
    assert work.operations_of(12) == 10 + 2 * 12 * 16
    assert memory_of(work, batch=12, devices=4).activations == 3 * 3 * 4 * 12


def test_the_seconds_of_a_step() -> None:
    device = Device(name="x", memory_gb=1, bandwidth_gbs=1, tflops=1, bfloat16_tflops=2, link_gbs=3)
    seconds = seconds_of(WORK, device, batch=12, devices=4)
    assert seconds.compute == pytest.approx(3 * 3 * 1000 / (1e12 * COMPUTE))
    moved = 9 * (5 * 32 + 2 * 8) + 2 * 9 * 4 * 4
    assert seconds.memory == pytest.approx(moved / (1e9 * MEMORY))
    assert seconds.network == pytest.approx(1098 / (3e9 * NETWORK))
    assert seconds.total == seconds.compute + seconds.memory + seconds.network + OVERHEAD
    half = seconds_of(WORK, device, batch=12, devices=4, bfloat16=True)
    assert half.compute == pytest.approx(seconds.compute / 2)


def test_bytes_to_other_nodes_take_the_network() -> None:
    device = DEVICES["h100"]
    assert link_of(device, 8) == 450
    assert link_of(device, 16) == pytest.approx(50 / (8 / 15))
    assert link_of(device, 8000) == pytest.approx(50, rel=0.01)


def test_the_fewest_devices_are_enough_and_half_of_them_are_not() -> None:
    room = 12_000.0
    found = fewest_devices(WORK, room, batch=16)
    assert found is not None
    assert memory_of(WORK, batch=16, devices=found).total <= room
    assert memory_of(WORK, batch=16, devices=found // 2).total > room
    assert fewest_devices(WORK, 1_000.0, batch=16) is None  # dense layers alone need 2,000


def one_hot(width: int, rows: int) -> WeightTable:
    """Return the table of Criteo's 26 columns, about 91 GB at width 128."""
    return WeightTable("tables", rows, width, width, 4, (Lookups(rows // 26, 1),) * 26)


_BOTTOM = 13 * 512 + 512 * 256 + 256 * 128
_TOP = 1024 * 1024 + 1024 * 512 + 512 * 256 + 256
_DOTS = 27 * 27 * 128
_CROSSED = 27 * 128
DLRM = StepWork(
    (one_hot(128, 177_944_275),),
    dense_parameters=2_400_000,
    dense_states=0,
    operations=2.0 * (_BOTTOM + _DOTS + 479 * 1024 + _TOP),
    activations=30_000.0,
)
DCN_V2 = StepWork(
    (one_hot(128, 177_944_275),),
    dense_parameters=16_000_000,
    dense_states=2,
    operations=2.0 * (_BOTTOM + 3 * 2 * _CROSSED * 512 + _CROSSED * 1024 + _TOP),
    activations=120_000.0,
)


@pytest.mark.parametrize(
    ("work", "setup", "published"),
    [
        # facebookresearch/dlrm, torchrec_dlrm/README: A100 40 GB, NCCL
        (DLRM, ("a100-40", 8, 2_048, False), 284_615),
        (DLRM, ("a100-40", 4, 16_384, False), 1_458_176),
        (DLRM, ("a100-40", 8, 16_384, False), 1_671_168),
        (DLRM, ("a100-40", 8, 65_536, False), 5_373_952),
        # NVIDIA/DeepLearningExamples, DLRM_and_DCNv2/doc/DCNv2.md: DGX A100 80 GB, TF32 and mixed
        (DCN_V2, ("a100", 1, 65_536, False), 689_000),
        (DCN_V2, ("a100", 1, 65_536, True), 1_370_000),
        (DCN_V2, ("a100", 8, 65_536, False), 3_810_000),
        (DCN_V2, ("a100", 8, 65_536, True), 5_750_000),
    ],
)
def test_estimates_are_near_published_rates(
    work: StepWork, setup: tuple[str, int, int, bool], published: float
) -> None:
    device, devices, batch, bfloat16 = setup
    seconds = seconds_of(work, DEVICES[device], batch=batch, devices=devices, bfloat16=bfloat16)
    assert 0.71 < speed_of(seconds, batch) / published < 1.27
