"""Contents of `run.json` in a run folder."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from crosstower.data.statistics import DatasetStats
from crosstower.recipe.frozen import FrozenModel

FORMAT = 2


class RunInfo(FrozenModel):
    """Contents of `run.json`. `models` are the model sections by name, the main model first.

    `tables` says that the rows were tables of Python, which the recipe cannot name. `warm_start` is
    the folder of the run that training starts from.
    """

    format: Literal[2] = FORMAT
    created: str
    models: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    facts: DatasetStats
    environment: dict[str, str]
    tables: bool = False
    modules: dict[str, str] = Field(default={})
    warm_start: str | None = None
