"""Bundles of index engines and column kinds of one's own, served."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

import crosstower as ct
from crosstower.funnel.online.request import FunnelRequest
from crosstower.recipe.kinds.registry import COLUMNS
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.registry import INDEXES, IndexItems
from crosstower.serving.bundle.live import Live


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (COLUMNS, INDEXES):
        registry.load()
        monkeypatch.setattr(registry, "entries", dict(registry.entries))
        monkeypatch.setattr(registry, "modules", dict(registry.modules))


class Wrapped:
    """An engine that is no `ExactIndex`, and keeps one."""

    class Options(ct.FrozenModel):
        pass

    def __init__(self, inner: ExactIndex) -> None:
        self.inner = inner

    @staticmethod
    def from_items(items: IndexItems, options: Options) -> "Wrapped":
        return Wrapped(ExactIndex.build(items.ids, items.vectors, items.attributes))

    @staticmethod
    def load(folder: str | Path) -> "Wrapped":
        return Wrapped(ExactIndex.load(Path(folder) / "inner"))

    def search(self, queries: Any, k: int, **conditions: Any) -> ct.retrieval.Hits:
        return self.inner.search(queries, k, **conditions)

    def add(self, ids: Any, vectors: Any, attributes: pl.DataFrame | None = None) -> None:
        self.inner.add(ids, vectors, attributes)

    def remove(self, ids: Any) -> None:
        self.inner.remove(ids)

    def save(self, folder: str | Path) -> None:
        Path(folder).mkdir()
        self.inner.save(Path(folder) / "inner")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["wrapped", "milvus"])
def test_an_index_of_any_engine_is_served(film_run: ct.Run, tmp_path: Path, kind: str) -> None:
    ct.retrieval.register_index("wrapped")(Wrapped)
    options = {"uri": str(tmp_path / "items.db")} if kind == "milvus" else {}
    made = ct.make_bundle(film_run, tmp_path / "own", index=kind, index_options=options)
    assert made.manifest.index == kind
    asked = FunnelRequest(user=9, k=5, where="year > 1970", exclude=(3,))
    answers = []
    for bundle in (ct.make_bundle(film_run, tmp_path / "exact"), ct.Bundle.open(tmp_path / "own")):
        funnel = Live.open(bundle).funnel
        assert funnel is not None
        answers.append(funnel.recommend(asked).places.tolist())
    assert answers[0] == answers[1]


class Initial(ct.Categorical):
    kind: Literal["initial"] = "initial"  # type: ignore[assignment]

    def clean(self, raw: pl.Series) -> pl.Series:
        return raw.str.head(1)


def test_a_column_kind_of_ones_own_is_served(tmp_path: Path) -> None:
    ct.register_column("initial")(Initial)
    genre = np.random.default_rng(0).choice(["action", "comedy", "drama"], 300)
    rows = pl.DataFrame({"genre": genre, "click": (genre == "drama").astype(np.int64)})
    recipe = ct.Recipe.model_validate(
        {
            "schema": {"columns": {"genre": "initial"}, "tasks": {"click": "binary"}},
            "model": {"name": "mlp", "embedding_dim": 2, "hidden": [4]},
            "training": {"epochs": 1, "precision": "float32"},
            "evaluation": {"baselines": []},
        }
    )
    run = ct.fit(recipe, data=rows, out=tmp_path / "run", quiet=True)
    live = Live.open(ct.make_bundle(run, tmp_path / "bundle"))
    given = [{"genre": "drama"}, {"genre": "action"}, {"genre": None}]
    found = live.needs_rows.rank(FunnelRequest(k=3), given)
    served = dict(zip(found.places.tolist(), found.predictions["click"], strict=True))
    expected = run.predict(pl.DataFrame(given))["click__prediction"]
    assert [served[place] for place in range(3)] == pytest.approx(expected.to_list(), abs=1e-6)
