"""Retrievers: training, item indexes, baselines and evaluation.

Names are imported on first use: `crosstower.Retriever` and `crosstower.Index` open and build most
of what a user needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crosstower.retrieval.baselines.baseline import histories_of as histories_of
    from crosstower.retrieval.baselines.bm25 import Bm25 as Bm25
    from crosstower.retrieval.baselines.bspm import Bspm as Bspm
    from crosstower.retrieval.baselines.ease import Ease as Ease
    from crosstower.retrieval.baselines.graph_filter import GraphFilter as GraphFilter
    from crosstower.retrieval.baselines.implicit_als import ImplicitAls as ImplicitAls
    from crosstower.retrieval.baselines.item_knn import ItemKnn as ItemKnn
    from crosstower.retrieval.baselines.popularity import Popularity as Popularity
    from crosstower.retrieval.baselines.top_items import recommend as recommend
    from crosstower.retrieval.baselines.transitions import TransitionGraph as TransitionGraph
    from crosstower.retrieval.index.ann import AnnIndex as AnnIndex
    from crosstower.retrieval.index.catalogue import Catalogue as Catalogue
    from crosstower.retrieval.index.exact import ExactIndex as ExactIndex
    from crosstower.retrieval.index.index import Hits as Hits
    from crosstower.retrieval.index.index import ItemIndex as ItemIndex
    from crosstower.retrieval.index.milvus import MilvusIndex as MilvusIndex
    from crosstower.retrieval.index.pgvector import PgvectorIndex as PgvectorIndex
    from crosstower.retrieval.index.registry import IndexItems as IndexItems
    from crosstower.retrieval.index.registry import register_index as register_index
    from crosstower.retrieval.indexing import IndexFacts as IndexFacts
    from crosstower.retrieval.indexing import build_index as build_index
    from crosstower.retrieval.sources.candidate_source import CandidateSource as CandidateSource
    from crosstower.retrieval.sources.registry import register_source as register_source
    from crosstower.retrieval.tower_vectors import item_vectors as item_vectors
    from crosstower.retrieval.tower_vectors import user_vectors as user_vectors

_MODULES = {
    "AnnIndex": "index.ann",
    "Bm25": "baselines.bm25",
    "Bspm": "baselines.bspm",
    "CandidateSource": "sources.candidate_source",
    "Catalogue": "index.catalogue",
    "Ease": "baselines.ease",
    "ExactIndex": "index.exact",
    "GraphFilter": "baselines.graph_filter",
    "Hits": "index.index",
    "ImplicitAls": "baselines.implicit_als",
    "IndexFacts": "indexing",
    "IndexItems": "index.registry",
    "ItemIndex": "index.index",
    "ItemKnn": "baselines.item_knn",
    "MilvusIndex": "index.milvus",
    "PgvectorIndex": "index.pgvector",
    "Popularity": "baselines.popularity",
    "TransitionGraph": "baselines.transitions",
    "build_index": "indexing",
    "histories_of": "baselines.baseline",
    "item_vectors": "tower_vectors",
    "recommend": "baselines.top_items",
    "register_index": "index.registry",
    "register_source": "sources.registry",
    "user_vectors": "tower_vectors",
}

__all__ = [
    "AnnIndex",
    "Bm25",
    "Bspm",
    "CandidateSource",
    "Catalogue",
    "Ease",
    "ExactIndex",
    "GraphFilter",
    "Hits",
    "ImplicitAls",
    "IndexFacts",
    "IndexItems",
    "ItemIndex",
    "ItemKnn",
    "MilvusIndex",
    "PgvectorIndex",
    "Popularity",
    "TransitionGraph",
    "build_index",
    "histories_of",
    "item_vectors",
    "recommend",
    "register_index",
    "register_source",
    "user_vectors",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
