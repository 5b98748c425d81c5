"""Vectors of a run that differ from those of a bundle with the same query tower."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crosstower.errors import BundleError, RunError
from crosstower.retrieval.query_tower import query_difference
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.vectors.vector_file import ItemVectors, write_vectors
from crosstower.training.run import Run

_LEAST = 1e-6  # of the largest number of a vector; float32 rounds by less


@dataclass(frozen=True)
class VectorExport:
    """Numbers of items: with a changed vector, unchanged, and not in the bundle.

    The vectors of unchanged items are not written.
    """

    changed: int
    unchanged: int
    new: int


def export_vectors(run: Run | str | Path, bundle: Bundle | str | Path, out: Path) -> VectorExport:
    """Write the item vectors of a run that differ from those of a bundle, or are not in it.

    Args:
        run: a retrieval run whose query tower is that of the bundle.
        bundle: of the server.
        out: the Parquet file.

    Raises:
        RunError: the run ranks, is damaged, or has another query tower.
        BundleError: the bundle is damaged, or only ranks.
        DataError: the file cannot be written.

    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    facts = bundle.manifest.retrieval
    if facts is None:
        raise BundleError(f"{bundle.folder}: only ranks, so it has no item vectors")
    before, after = bundle.retriever(), Retriever.open(run)
    if (why := query_difference(after, before)) is not None:
        raise RunError(
            f"{after.run.folder}: its query tower is not that of {bundle.folder}: {why}; vectors of"
            " two models cannot be compared: make a new bundle"
        )
    places = before.catalogue.places_of(after.catalogue.ids)
    known, new_items = np.flatnonzero(places >= 0), np.flatnonzero(places < 0)
    old, new = before.vectors[places[known]], after.vectors[known]
    least = _LEAST * np.maximum(np.abs(old).max(axis=1, initial=0.0), 1.0)
    changed = known[np.abs(new - old).max(axis=1, initial=0.0) > least]
    written = np.sort(np.concatenate([changed, new_items]))
    ids = after.catalogue.ids.gather(written).to_list()
    write_vectors(out, ItemVectors(ids, after.vectors[written], facts.weights))
    return VectorExport(len(changed), len(known) - len(changed), len(new_items))
