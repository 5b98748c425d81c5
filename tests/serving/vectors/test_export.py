"""Changed vectors of a run, against those of a bundle with the same query tower."""

from pathlib import Path

import numpy as np
import pytest

from crosstower.errors import BundleError, RunError
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle import make_bundle
from crosstower.serving.vectors.export import VectorExport, export_vectors
from crosstower.serving.vectors.vector_file import read_vectors

from ...fixtures.live_films import LiveFilms
from ...retrieval.test_query_tower import changed_run, plus


def test_the_changed_vectors_are_written(live_films: LiveFilms, tmp_path: Path) -> None:
    """Items of one genre, whose embedding has changed."""
    own = Retriever.open(live_films.retrieval)
    code = own.run.encoder.tables["genre"].encode(own.items["genre"].head(1))[0]
    (rows,) = [part for part in own.model.embed.code_rows()["tables.8"] if part.table == "genre"]
    row = rows.start + int(code)
    run = changed_run(live_films.retrieval, tmp_path / "run", plus("embed.tables.8", row))
    out = tmp_path / "vectors.parquet"
    assert export_vectors(run, live_films.bundle, out) == VectorExport(10, 20, 0)
    found = read_vectors(out)
    assert set(found.ids) == {f"f{i:02d}" for i in range(0, 30, 3)}
    assert live_films.bundle.manifest.retrieval is not None
    assert found.weights == live_films.bundle.manifest.retrieval.weights
    other = Retriever.open(run)
    places = other.catalogue.places_of(found.ids)
    np.testing.assert_array_equal(found.vectors, other.vectors[places])
    assert export_vectors(live_films.retrieval, live_films.bundle.folder, out).changed == 0
    assert read_vectors(out).ids == []


def test_another_query_tower_is_refused(live_films: LiveFilms, tmp_path: Path) -> None:
    run = changed_run(live_films.retrieval, tmp_path / "run", plus("query_tower.head.weight"))
    with pytest.raises(RunError, match=r"query tower is not that of .*make a new bundle"):
        export_vectors(run, live_films.bundle, tmp_path / "out.parquet")
    with pytest.raises(RunError, match="a ranking run"):
        export_vectors(live_films.ranking, live_films.bundle, tmp_path / "out.parquet")
    ranks = make_bundle([live_films.ranking], tmp_path / "ranks")
    with pytest.raises(BundleError, match="only ranks"):
        export_vectors(live_films.retrieval, ranks, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
