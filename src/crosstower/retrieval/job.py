"""Training of a retriever: pairs, sampled candidates, lists from the whole catalogue."""

from __future__ import annotations

import re
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.prepared_folder import PreparedFolder, Shards
from crosstower.data.progress import OnProgress
from crosstower.data.sources.source import Source
from crosstower.data.split import splits_of
from crosstower.data.statistics import DatasetStats
from crosstower.errors import RecipeError
from crosstower.evaluation.metrics.ranked_lists import mean_metrics
from crosstower.evaluation.metrics.registry import direction_of, monitored
from crosstower.losses.registry import retrieval_loss_of
from crosstower.models.two_tower import TwoTower
from crosstower.nn.trained_pooling import trains_every_position
from crosstower.nn.world import ALONE, World
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.baselines.fit_baselines import (
    baseline_names,
    omission_words,
    omitted_baselines,
    write_baselines,
)
from crosstower.retrieval.data.order import check_no_future
from crosstower.retrieval.data.pair_graph import check_graph, connect
from crosstower.retrieval.data.pairs import PairBatches
from crosstower.retrieval.data.positions import PositionBatches
from crosstower.retrieval.data.prepared_pairs import load_pairs, store_pairs
from crosstower.retrieval.data.retrieval_data import RetrievalData, prepare_retrieval
from crosstower.retrieval.data.spectral_start import check_spectral_start, start_from_spectrum
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.data.user_batches import UserBatches
from crosstower.retrieval.inference import evaluation_lists, hard_lists
from crosstower.retrieval.merged_lists import write_merged_lists
from crosstower.retrieval.objective import RetrievalObjective
from crosstower.retrieval.run_files import lists_frame, write_catalogue
from crosstower.retrieval.sources.checks import check_quotas, check_sources
from crosstower.retrieval.sources.source_files import write_sources
from crosstower.storage.files import write_parquet
from crosstower.training.run import REFIT, TEST

SMALLEST_BATCH = 128
"""Smallest default batch: its items are the negatives of one another."""


def retrieval_monitor(recipe: Recipe) -> tuple[str, bool]:
    """Return the metric of the valid queries to monitor, and whether higher is better.

    Raises:
        RecipeError: there is no such metric.

    """
    ks, allowed = retrieval_section_of(recipe).k, monitored("list")
    k = 10 if 10 in ks else ks[-1]
    monitor = recipe.training.monitor or f"retrieval.ndcg@{k}"
    found = re.fullmatch(r"retrieval\.(\w+)@(\d+)", monitor)
    if not found or found[1] not in allowed or int(found[2]) not in ks:
        raise RecipeError(
            f"training.monitor: expected retrieval.METRIC@K with a metric of {', '.join(allowed)}"
            f" and a K of {', '.join(map(str, ks))}, got '{monitor}'"
        )
    return monitor, direction_of(found[1]) == "higher"


class RetrievalJob:
    """The training job of a retriever: pairs in, model and results out.

    Args:
        recipe: with a `retrieval` section.
        world: whose processes train together.

    Raises:
        RecipeError: a section does not fit the others; names the section.

    """

    data: RetrievalData
    batch_size: int

    def __init__(self, recipe: Recipe, world: World = ALONE) -> None:
        self.world = world
        self.recipe, section = recipe, retrieval_section_of(recipe)
        self.monitor = retrieval_monitor(recipe)
        self._loss = retrieval_loss_of(section)
        tower_columns_of(recipe)
        check_sources(recipe)
        check_graph(recipe, world)
        check_spectral_start(recipe)
        if recipe.model["name"] != "two_tower":
            raise RecipeError(
                f"model.name: {recipe.model['name']} does not retrieve; a retrieval recipe takes:"
                " two_tower"
            )
        if self._loss.cosines and recipe.model.get("normalise") is False:
            raise RecipeError(f"model.normalise: {self._loss.name} compares cosines; leave it true")
        self.tested = "test" in splits_of(recipe.data.split)
        self.outputs = (TEST,) if self.tested else ()
        self.outputs += (REFIT,) if recipe.training.refit else ()

    def read(
        self,
        source: Source,
        *,
        spill: Path,
        encoder: Encoder | EncoderFit,
        on_progress: OnProgress,
    ) -> None:
        """Read and encode the rows."""
        del spill  # pairs and items stay in memory
        data = prepare_retrieval(self.recipe, source, encoder=encoder, on_progress=on_progress)
        self._take(data)
        if self._every_position():
            check_no_future(self.recipe, data.rows)

    def store(self, folder: Path) -> Shards:
        """Write the positives and the items, raw and encoded."""
        return store_pairs(self.data, folder)

    def load(self, stored: PreparedFolder) -> None:
        """Take positives and items from files, instead of reading and encoding them."""
        self._take(load_pairs(self.recipe, stored))

    def _take(self, data: RetrievalData) -> None:
        self.data = data
        baseline_names(self.recipe, len(self.data.items))  # refuse one before the training
        settings, pairs = self.recipe.training, len(self.data.learned)
        self.batch_size = settings.batch_size_for(pairs, smallest=SMALLEST_BATCH)
        check_quotas(self.recipe, len(self.data.items))

    @property
    def encoder(self) -> Encoder:
        """The fitted encoder."""
        return self.data.encoder

    @property
    def facts(self) -> DatasetStats:
        """Statistics of the data, and the omitted baselines."""
        facts = self.data.facts
        omitted = omission_words(omitted_baselines(self.recipe, len(self.data.items)))
        return facts.model_copy(update={"notes": (*facts.notes, *omitted)})

    def notes(self) -> list[str]:
        """Return nothing: the facts say everything about the pairs."""
        return []

    def batches(self, seed: int) -> PairBatches | UserBatches:
        """Return the training batches; by user if the history is a set, or read at each place."""
        place = {"seed": seed, "rank": self.world.rank, "processes": self.world.size}
        if self.data.query_encoder().unordered:
            section = retrieval_section_of(self.recipe)
            folds, whole = section.history.folds, self._loss.negatives == "all"
            return UserBatches(self.data, self.batch_size, folds=folds, by_user=whole, **place)
        kind = PositionBatches if self._every_position() else PairBatches
        return kind(self.data, self.batch_size, **place)

    def _every_position(self) -> bool:
        """Return whether the encoder of the history gives a query per position."""
        lists = {field.name: field.pooling for field in self.encoder.layout.lists}
        history = self.data.sides.history
        return history is not None and trains_every_position(lists[history])

    def start_model(self, model: nn.Module, world: World) -> None:
        """Write the spectrum of the training pairs into a new model, if the recipe asks for it."""
        if retrieval_section_of(self.recipe).start == "spectral":
            start_from_spectrum(_retriever(model), self.data, world)

    def prepare_model(self, model: nn.Module) -> None:
        """Give a model with `graph_layers` the graph of the training rows."""
        connect(_retriever(model), self.data)

    def objective(self) -> RetrievalObjective:
        """Return the objective of the recipe."""

        def top_lists(model: TwoTower, k: int) -> Any:
            return hard_lists(model, self.data, k, world=self.world)

        return RetrievalObjective(
            retrieval_section_of(self.recipe),
            self.data.item_batch,
            batch_size=self.batch_size,
            top_lists=top_lists,
            user_rows=torch.from_numpy(self.data.train.lengths()),
            world=self.world,
        )

    def validate(self, model: nn.Module, precision: str) -> dict[str, float]:
        """Return the metrics of the valid queries over the whole catalogue."""
        ks, data = retrieval_section_of(self.recipe).k, self.data
        shown = evaluation_lists(
            _retriever(model),
            self.recipe,
            data,
            "valid",
            ks[-1],
            precision=precision,
            world=self.world,
        )

        def metrics() -> dict[str, float]:
            found = mean_metrics(shown, data.evaluation["valid"].relevant, data.counts, ks)
            return {f"retrieval.{name}": float(value) for name, value in found.items()}

        return self.world.first(metrics)

    def with_valid(self) -> RetrievalJob:
        """Return the job whose training rows are the train and valid rows together."""
        joint = copy(self)
        joint.data = self.data.with_valid()
        return joint

    def conclude(self, model: nn.Module, folder: Path, refit: nn.Module | None = None) -> None:
        """Write the list of each test query, if there are test rows."""
        if not self.tested:
            return
        ks = retrieval_section_of(self.recipe).k
        tested = _retriever(model if refit is None else refit)
        shown = evaluation_lists(tested, self.recipe, self.data, "test", ks[-1], world=self.world)
        self.world.first(lambda: write_parquet(lists_frame(shown), folder / TEST))

    def save(self, folder: Path) -> None:
        """Write items, users with their histories, the test queries, and the sources."""
        write_catalogue(folder, self.recipe, self.data)
        write_sources(folder, self.recipe, self.data)

    def finish(self, folder: Path, on_progress: OnProgress) -> None:
        """Write the lists of the baselines and of all sources, if there are test rows."""
        if self.tested:
            write_baselines(folder, self.recipe, self.data, on_progress)
            write_merged_lists(folder, self.recipe, self.data, on_progress)


def _retriever(model: nn.Module) -> TwoTower:
    if not isinstance(model, TwoTower):
        raise RecipeError(f"model.name: a {type(model).__name__} does not retrieve; use two_tower")
    return model
