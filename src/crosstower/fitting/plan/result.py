"""A plan: memory and sent bytes per device, and the total speed."""

from __future__ import annotations

from crosstower.recipe.frozen import FrozenModel


class PlannedTable(FrozenModel):
    """A table of weights and its part on each device.

    >>> PlannedTable(name="tables.16", rows=100, width=16, lookups=2.0, bytes_per_device=640).rows
    100
    """

    name: str
    rows: int
    width: int
    lookups: float
    """Per row of data."""
    bytes_per_device: float
    """Weights and optimiser state."""


class Plan(FrozenModel):
    """A plan; sizes are bytes, per device."""

    device: str
    devices: int
    nodes: int
    batch_size: int
    ids: int
    tables: tuple[PlannedTable, ...]
    memory: dict[str, float]
    memory_available: float
    bytes_per_step: dict[str, float]
    seconds_per_step: dict[str, float] | None
    """By part; None on processors, for which `python -m benchmarks scale` measures."""
    rows_per_second: float | None
    advice: tuple[str, ...]
    source: str

    @property
    def memory_needed(self) -> float:
        """Sum of the parts of the memory."""
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether the memory of each device is enough."""
        return self.memory_needed <= self.memory_available
