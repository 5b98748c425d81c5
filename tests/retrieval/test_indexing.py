"""An index built for a run, measured, used and replaced."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from crosstower.errors import QueryError, RunError, ServeError
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.pgvector_session import URL
from crosstower.retrieval.indexing import build_index
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

from ..fixtures.postgres import PASSWORD


@pytest.fixture
def copy(film_run: Run, tmp_path: Path) -> Run:
    """The run in a folder of its own, to write into."""
    shutil.copytree(film_run.folder, tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.mark.parametrize("kind", ["exact", "ann"])
def test_an_index_is_built_measured_used_and_replaced(copy: Run, kind: str) -> None:
    retriever = Retriever.open(copy)
    plain = retriever.recommend(9)["item_id"].to_list()
    for storage in ("float32", "bfloat16"):
        facts = build_index(retriever, kind=kind, options={"storage": storage})
        assert facts.recall > 0.9
        assert facts.queries_per_second > 0
        assert (facts.items, facts.width) == (60, 8)
        found = Retriever.open(copy)
        assert type(found.index).__name__ == {"exact": "ExactIndex", "ann": "AnnIndex"}[kind]
        assert len(set(found.recommend(9)["item_id"]) & set(plain)) >= 9
    assert not [p for p in copy.folder.iterdir() if p.name.startswith(".")]


@pytest.mark.filterwarnings("ignore")
def test_an_index_in_milvus_serves_the_run(copy: Run, tmp_path: Path) -> None:
    retriever = Retriever.open(copy)
    plain = retriever.recommend(9, where="year > 1970")["item_id"].to_list()
    facts = build_index(retriever, kind="milvus", options={"uri": str(tmp_path / "films.db")})
    assert facts.recall == 1.0
    found = Retriever.open(copy).recommend(9, where="year > 1970")
    assert found["item_id"].to_list() == plain
    with pytest.raises(QueryError, match=r"index exact\.uri: unknown key.*allowed: storage"):
        build_index(retriever, kind="exact", options={"uri": "x"})
    with pytest.raises(QueryError, match=r"index milvus\.uri: missing"):
        build_index(retriever, kind="milvus")
    with pytest.raises(QueryError, match="index: no index engine 'milvis'; did you mean 'milvus'"):
        build_index(retriever, kind="milvis")


def test_an_index_in_postgresql_serves_the_run(
    copy: Run, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(URL, raising=False)
    retriever = Retriever.open(copy)
    plain = retriever.recommend(9, where="year > 1970")["item_id"].to_list()
    facts = build_index(retriever, kind="pgvector", options={"url": postgres, "ef_search": 50})
    assert facts.recall == 1.0
    assert facts.options["ef_search"] == 50
    assert PASSWORD not in str(facts)
    with pytest.raises(ServeError, match="no password supplied"):  # none was stored
        Retriever.open(copy).recommend(9)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    found = Retriever.open(copy).recommend(9, where="year > 1970")
    assert found["item_id"].to_list() == plain
    with pytest.raises(QueryError, match=r"index pgvector\.m: .*greater than or equal to 2"):
        build_index(retriever, kind="pgvector", options={"url": postgres, "m": 1})


def test_an_index_of_another_model_is_refused(copy: Run) -> None:
    ExactIndex.build(["a"], np.ones((1, 3))).save(copy.folder / "index")
    with pytest.raises(RunError, match=r"width 3, the model's have 8.*another model"):
        Retriever.open(copy).recommend(1)


def test_an_index_cut_short_is_refused(copy: Run) -> None:
    build_index(Retriever.open(copy))
    path = copy.folder / "index" / "vectors.npy"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunError, match=r"vectors\.npy: damaged"):
        Retriever.open(copy).recommend(1)
