"""Jobs to copy rows."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.sources.source import open_source
from crosstower.serving.batch_jobs.output import OutputFolder
from crosstower.serving.batch_jobs.partitions import partitions_of

from .copying import FACTS, Copy, Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"id": range(100)}).write_parquet(path)
    partitions = partitions_of(open_source(path), size=27)
    output = OutputFolder(tmp_path / "out", FACTS)
    output.folder.mkdir()
    return Job(Copy(str(path)), partitions, output)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers import the faults."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
