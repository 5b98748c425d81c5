from pathlib import Path

import numpy as np
import pytest
from pydantic import Field

from crosstower.errors import QueryError, RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.open import Index, IndexHeader, open_index, save_index
from crosstower.retrieval.index.registry import INDEXES, IndexItems, build_engine, register_index

ITEMS = IndexItems(["a", "b", "c"], np.eye(3, dtype=np.float32))


@pytest.fixture(autouse=True)
def halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of one's own, which scales vectors and keeps nothing but its file."""
    INDEXES.load()
    monkeypatch.setattr(INDEXES, "entries", dict(INDEXES.entries))
    monkeypatch.setattr(INDEXES, "modules", dict(INDEXES.modules))

    @register_index("scaled")
    class Scaled(ExactIndex):
        class Options(FrozenModel):
            scale: float = Field(default=0.5, gt=0)

        @staticmethod
        def from_items(items: IndexItems, options: "Scaled.Options") -> ExactIndex:
            return Scaled.build(items.ids, items.vectors * options.scale, items.attributes)


def test_an_engine_of_ones_own_is_built_saved_and_opened(tmp_path: Path) -> None:
    index = build_engine("scaled", ITEMS, {"scale": 0.25})
    query = np.array([[0.0, 4.0, 1.0]])
    assert index.search(query, 1).scores.tolist() == [[1.0]]
    save_index(index, tmp_path / "index", kind="scaled", width=3, model="m")
    assert IndexHeader.read(tmp_path / "index") == IndexHeader("scaled", 3, "m")


def test_a_header_is_added_to_files_that_have_none(tmp_path: Path) -> None:
    class Bare:
        def save(self, folder: Path) -> None:
            folder.mkdir()

    save_index(Bare(), tmp_path / "index", kind="bare", width=3)  # type: ignore[arg-type]
    assert IndexHeader.read(tmp_path / "index") == IndexHeader("bare", 3, None)
    with pytest.raises(RunError, match=r"index: no index engine 'bare'.*import its module"):
        open_index(tmp_path / "index")


def test_wrong_options_and_engines_are_explained() -> None:
    with pytest.raises(QueryError, match=r"index scaled\.scale: expected a number greater than 0"):
        build_engine("scaled", ITEMS, {"scale": 0})
    with pytest.raises(QueryError, match=r"index exact\.scale: unknown key; allowed: storage"):
        build_engine("exact", ITEMS, {"scale": 1})
    with pytest.raises(QueryError, match="no index engine 'scald'; did you mean 'scaled'"):
        Index.build(ITEMS.ids, ITEMS.vectors, kind="scald")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null"])
def test_a_damaged_header_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(RunError, match=r"index\.json: damaged: .*; build the index again"):
        open_index(tmp_path)


def test_vectors_of_another_width_are_refused(tmp_path: Path) -> None:
    save_index(build_engine("exact", ITEMS), tmp_path / "index", kind="exact", width=3)
    with pytest.raises(RunError, match="vectors of width 3, the model's have 8"):
        open_index(tmp_path / "index", width=8)
