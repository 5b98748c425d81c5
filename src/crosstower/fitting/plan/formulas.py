"""Formulas of a training step by N devices: memory, exchanged bytes and time.

Tables are sharded by row; each device has the dense layers and 1/N of a batch. Before a look-up, a
device makes its ids distinct, asks their owners, gets their rows, and later sends their gradients
back (row-wise sharding of an EmbeddingCollection in TorchRec). Units are bytes, seconds and rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crosstower.fitting.plan.devices import Device

FLOAT, ID = 4, 8

COMPUTE, MEMORY, NETWORK = 0.4, 0.6, 0.6
"""Shares of the peaks of a data sheet that a training run reaches."""

OVERHEAD = 0.007
"""Seconds per step that do not depend on the batch, such as kernel launches.

With these four numbers, estimates are 0.72 to 1.26 times the published rates of:
facebookresearch/dlrm, torchrec_dlrm/README (DLRM on 4 and 8 A100), and NVIDIA/DeepLearningExamples,
DLRM_and_DCNv2/doc/DCNv2.md (DCN-V2 on 1 and 8 A100).
"""


@dataclass(frozen=True)
class Lookups:
    """A column's rows in a table, and its look-ups per row of data."""

    rows: int
    per_row: float


@dataclass(frozen=True)
class WeightTable:
    """A table of weights, sharded by row.

    Args:
        name: of its parameter.
        rows: number of rows.
        width: D, weights per row.
        columns: values per row that are kept and exchanged: the weights, and gradients if they have
            a place of their own, in multiples of 4 where several devices hold the table.
        state: bytes of optimiser state and average per row.
        lookups: of its columns.

    """

    name: str
    rows: int
    width: int
    columns: int
    state: int
    lookups: tuple[Lookups, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row without optimiser state, which are also those exchanged per row."""
        return self.columns * FLOAT

    def distinct(self, batch: int) -> float:
        """Return the expected number of distinct ids among the look-ups of `batch` rows."""
        return sum(distinct(batch * one.per_row, one.rows) for one in self.lookups)


@dataclass(frozen=True)
class StepWork:
    """Work of a step of a model, per row of data or as a whole.

    Args:
        tables: sharded by row.
        dense_parameters: weights of all other layers.
        dense_states: values of optimiser state and average per dense weight.
        operations: of the matrix products of a row, forward.
        activations: bytes per row that the backward pass needs.
        heads: T; a step sums 2T values over devices.
        compared: width of the vectors of a retriever, which are compared with those of the whole
            batch; 0 for a ranker.

    """

    tables: tuple[WeightTable, ...]
    dense_parameters: int
    dense_states: int
    operations: float
    activations: float
    heads: int = 1
    compared: int = 0

    def operations_of(self, batch: int) -> float:
        """Return the operations of a row, with those of its logits against the whole batch."""
        return self.operations + 2 * batch * self.compared

    def activations_of(self, batch: int) -> float:
        """Return the bytes of a row, with three values per logit against the whole batch."""
        return self.activations + (3 * FLOAT * batch if self.compared else 0)


@dataclass(frozen=True)
class Memory:
    """Bytes of one device."""

    tables: float
    state: float
    dense: float
    activations: float
    exchange: float

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return self.tables + self.state + self.dense + self.activations + self.exchange


@dataclass(frozen=True)
class Traffic:
    """Bytes that one device sends per step."""

    ids: float
    vectors: float
    gradients: float
    dense: float
    candidates: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return self.ids + self.vectors + self.gradients + self.dense + self.candidates


@dataclass(frozen=True)
class Seconds:
    """Seconds of a step, part after part: nothing is assumed to overlap."""

    compute: float
    memory: float
    network: float
    overhead: float = OVERHEAD

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return self.compute + self.memory + self.network + self.overhead


def distinct(draws: float, size: int) -> float:
    """Return the expected number of distinct values in uniform draws.

    It is size · (1 − (1 − 1 / size)^draws). Ids of real data are skewed and repeat more often, so
    this is an upper bound.

    >>> distinct(2, 2)
    1.5

    Args:
        draws: number of draws.
        size: number of values.

    """
    if size <= 1:
        return min(draws, size)
    return size * -math.expm1(draws * math.log1p(-1 / size))


def part_of(rows: int, devices: int) -> int:
    """Return the most rows that one of the devices has."""
    return math.ceil(rows / devices)


def memory_of(work: StepWork, *, batch: int, devices: int) -> Memory:
    """Return the memory of one device.

    Dense weights have a gradient, optimiser state, and a place in the buffer that is summed over
    devices. Fetched rows and their gradients are held until the end of a step.

    Args:
        work: of the model.
        batch: rows of a step, over all devices.
        devices: N.

    """
    rows = part_of(batch, devices)
    fetched = sum(2 * t.distinct(rows) * t.row_bytes for t in work.tables) if devices > 1 else 0.0
    copies = 2 + work.dense_states + (devices > 1)
    return Memory(
        tables=sum(part_of(t.rows, devices) * t.row_bytes for t in work.tables),
        state=sum(part_of(t.rows, devices) * t.state for t in work.tables),
        dense=work.dense_parameters * FLOAT * copies,
        activations=rows * work.activations_of(batch),
        exchange=fetched,
    )


def traffic_of(work: StepWork, *, batch: int, devices: int) -> Traffic:
    """Return the bytes that one device sends per step.

    A device owns 1/N of the ids that it looks up, and exchanges the others: all-to-all. Dense
    gradients are summed by a ring, which sends 2 (N − 1) / N of them (Patarasuk & Yuan 2009).
    Item vectors of a retriever go to all others, and the gradients of all are summed.

    Args:
        work: of the model.
        batch: rows of a step, over all devices.
        devices: N.

    """
    rows, others = part_of(batch, devices), (devices - 1) / devices
    asked = [(t, t.distinct(rows) * others) for t in work.tables]
    vectors = sum(count * table.row_bytes for table, count in asked)
    summed = work.dense_parameters + 2 * work.heads
    return Traffic(
        ids=sum(count * ID for _, count in asked),
        vectors=vectors,
        gradients=vectors,
        dense=2 * others * summed * FLOAT,
        candidates=(rows * (devices - 1) + 2 * others * batch) * work.compared * FLOAT,
    )


def seconds_of(
    work: StepWork, device: Device, *, batch: int, devices: int, bfloat16: bool = False
) -> Seconds:
    """Return the seconds of a step.

    The backward pass has twice the operations of the forward pass. A fetched row is read by its
    owner, read again and written with its state by the optimiser, and written and read where it was
    asked for; each look-up reads its row and writes a gradient.

    Args:
        work: of the model.
        device: and its links.
        batch: rows of a step, over all devices.
        devices: N.
        bfloat16: whether matrix products are in bfloat16.

    """
    rows = part_of(batch, devices)
    rate = (device.bfloat16_tflops if bfloat16 else device.tflops) * 1e12
    moved = 0.0
    for table in work.tables:
        looked_up = rows * sum(one.per_row for one in table.lookups)
        moved += table.distinct(rows) * (5 * table.row_bytes + 2 * table.state)
        moved += 2 * looked_up * table.width * FLOAT
    sent = traffic_of(work, batch=batch, devices=devices).total
    return Seconds(
        compute=3 * rows * work.operations_of(batch) / (rate * COMPUTE),
        memory=moved / (device.bandwidth_gbs * 1e9 * MEMORY),
        network=sent / (link_of(device, devices) * 1e9 * NETWORK),
    )


def link_of(device: Device, devices: int) -> float:
    """Return the rate in GB/s at which a device sends to all others, evenly.

    Bytes to other nodes take the network, the rest the links within the node, at the same time.

    >>> from crosstower.fitting.plan.devices import device_of
    >>> link_of(device_of("a100"), 8), round(link_of(device_of("a100"), 16), 1)
    (300.0, 46.9)

    Args:
        device: and its links.
        devices: N.

    """
    if devices <= device.per_node:
        return device.link_gbs
    away = (devices - device.per_node) / (devices - 1)
    return min(device.network_gbs / away, device.link_gbs / max(1 - away, 1e-9))


def speed_of(seconds: Seconds, batch: int) -> float:
    """Return rows per second."""
    return batch / seconds.total


def fewest_devices(
    work: StepWork, device_bytes: float, *, batch: int, most: int = 4096
) -> int | None:
    """Return the fewest devices, doubling, whose memory is enough; None if `most` are too few."""
    counts: Sequence[int] = [2**n for n in range(most.bit_length())]
    for devices in counts:
        if memory_of(work, batch=batch, devices=devices).total <= device_bytes:
            return devices
    return None
