"""Arrays mapped from their files."""

from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.retrieval.index import nearest_items
from crosstower.retrieval.index.exact import ExactIndex

from .test_exact import ATTRIBUTES, IDS, VECTORS


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> ExactIndex:
    monkeypatch.setattr(nearest_items, "_MOST_ITEMS", 64)
    monkeypatch.setattr(nearest_items, "_QUERY_BLOCK", 3)
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


@pytest.mark.parametrize("name", ["vectors.npy", "items.parquet", "index.json"])
def test_a_file_cut_short_is_refused(tmp_path: Path, index: ExactIndex, name: str) -> None:
    index.save(tmp_path / "index")
    path = tmp_path / "index" / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match=rf"{name}: damaged"):
        ExactIndex.load(tmp_path / "index")
