"""A retrieval run opened to recommend, search, and find similar items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import QueryError, RunError, notify
from crosstower.models.two_tower import TwoTower
from crosstower.recipe.arguments import count_of
from crosstower.recipe.own_columns import attribute_names
from crosstower.recipe.schema import Text
from crosstower.retrieval.data.tower_columns import (
    TowerColumns,
    retrieval_section_of,
    tower_columns_of,
)
from crosstower.retrieval.history_ages import ages_of, now_in_seconds
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.index import Hits, ItemIndex
from crosstower.retrieval.index.open import open_index
from crosstower.retrieval.inference import ItemEncoder
from crosstower.retrieval.online.online_retriever import OnlineRetriever
from crosstower.retrieval.online.request import RetrievalRequest, RetrievalState, history_of
from crosstower.retrieval.online.users import OnlineUsers
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.popular_items import PopularItems, PopularOrder
from crosstower.retrieval.queries import NO_ITEMS, Queries
from crosstower.retrieval.run_files import COUNT, FOLDER, ID, SEEN_TIMES, read, read_segments
from crosstower.retrieval.similar import similar_items
from crosstower.retrieval.sources.merge import SourceRanks
from crosstower.retrieval.sources.quotas import Sources
from crosstower.retrieval.sources.source_files import open_sources
from crosstower.retrieval.unknown_user import COUNTED
from crosstower.training.run import INDEX, HasStages, Run
from crosstower.values.ids import Id

_NAMED = 10_000  # ids that a misspelt one is compared with


@dataclass(frozen=True)
class Retriever:
    """A trained retriever: one model of a retrieval run, from `Retriever.open`.

    >>> import crosstower as ct
    >>> retriever = ct.Retriever.open("runs/items")
    >>> retriever
    Retriever('runs/items': two_tower, seed 0; items by film)
    >>> retriever.recommend(7, k=3).columns
    ['rank', 'item_id', 'score']
    >>> retriever.similar("heat", k=3).height
    3

    Args:
        run: the run of the retriever.
        name: one of the run's models.
        seed: one of the run's seeds.
        index_folder: folder of its index; without one, an exact index in memory is used.

    """

    run: Run
    name: str
    seed: int
    index_folder: Path

    def __repr__(self) -> str:
        """Return one line: run, model, seed, and the column of the items."""
        item = retrieval_section_of(self.run.recipe).item
        return f"Retriever('{self.run.place}': {self.name}, seed {self.seed}; items by {item})"

    @staticmethod
    def open(
        run: Run | HasStages | str | Path, *, model: str | None = None, seed: int | None = None
    ) -> Retriever:
        """Open the retriever of a run, or of a bundle.

        The index of `crosstower index RUN` belongs to the first seed; another seed, or a run
        without an index, gets an exact index in memory.

        Args:
            run: a retrieval run, its folder, or an open bundle.
            model: one of the run's models; the main one if None.
            seed: one of the run's seeds; the first if None.

        Raises:
            RunError: there is no run, it is a ranking run, it has no such model or seed, or it is
                damaged.
            BundleError: the bundle only ranks.

        """
        run = Run.of_stage(run, "retrieval")
        if run.recipe.retrieval is None:
            raise RunError(
                f"{run.folder}: a ranking run, without a retrieval section; use: crosstower predict"
            )
        name, number = run.chosen(model, seed)
        folder = INDEX if number == run.info.seeds[0] else f"{INDEX}-{number}"
        retriever = Retriever(run, name, number, run.folder / folder)
        _ = retriever.model  # damaged weights are an error now, not of the first query
        return retriever

    @cached_property
    def model(self) -> TwoTower:
        """The network.

        Raises:
            RunError: its weights are damaged, or it does not retrieve.

        """
        model = self.run.model(self.name, seed=self.seed)
        if not isinstance(model, TwoTower):
            raise RunError(f"{self.run.folder}: {type(model).__name__} is not a retrieval model")
        return model

    @cached_property
    def items(self) -> pl.DataFrame:
        """The item table: raw attributes, and the columns `ID` and `COUNT` of `files`."""
        return read(self.run.folder / FOLDER / "items.parquet")

    @cached_property
    def catalogue(self) -> Catalogue:
        """Ids and attributes of all items, by position."""
        return Catalogue(self.items[ID], self.items.drop(ID, COUNT))

    @cached_property
    def sources(self) -> Sources | None:
        """The sources of candidates; None if the recipe names none.

        Raises:
            RunError: a file is missing or damaged.

        """
        return open_sources(self.run)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Item vectors `[N, D]`, by position."""
        return self.vectors_of(self.items, f"{self.run.folder}: items")

    def vectors_of(self, items: pl.DataFrame, name: str) -> NDArray[np.float32]:
        """Return the vectors `[n, D]` of raw items; `name` names them in messages.

        Raises:
            DataError: a cell is bad.

        """
        return self.item_encoder.vectors(items, name)

    @cached_property
    def index(self) -> ItemIndex:
        """The index of the run, or an exact one in memory."""
        if self.index_folder.is_dir():
            return open_index(self.index_folder, width=self.model.dim)
        return ExactIndex.build(self.catalogue.ids, self.vectors, self.catalogue.attributes)

    def recommend(
        self,
        user: str | int | None = None,
        *,
        k: int = 10,
        where: str | None = None,
        query: Mapping[str, Any] | None = None,
        history: Sequence[str | int] | None = None,
        history_times: Sequence[datetime | str] | None = None,
    ) -> pl.DataFrame:
        """Return the best items for a user: rank, item_id, score and the item's attributes.

        If the recipe has sources, the items are those of their merge, and the column `sources`
        tells which sources found each item.

        Args:
            user: an id; an unknown user has an empty history, with a `CrosstowerWarning`. If the
                query has no other information, popular items are returned: those of the segment,
                if the recipe has segments and the query gives one.
            k: number of items; fewer only if fewer exist, or if the sources find fewer.
            where: a condition on attributes, such as "year >= 2000".
            query: data columns of the query, such as {"device": "tv"}; they replace those of the
                user's last row.
            history: ids of items, oldest first, in place of the user's history; ids of unknown
                items are ignored, with a `CrosstowerWarning`.
            history_times: of the items of `history`: datetimes or ISO 8601 texts, oldest first.
                They count for a history with `times`; if None, its events are as of now.

        Raises:
            QueryError: the recipe has no users, or the query, an id, a time or the condition is
                wrong.

        """
        state = self._state(user, query, history, history_times, k=k, where=where)
        self.online.begin(state, self.online.read(state.request.query))
        self.online.find([state])
        if state.error is not None:
            raise state.error
        found = state.retrieved
        popular = found.fallback is not None and len(found.places) > 0
        notify(state.user.notices(user, COUNTED if popular else None))
        scores = found.scores if self.sources is not None else found.scores.astype(np.float32)
        return self._frame(Hits(self.catalogue, found.places[None], scores[None]), found.sources)

    def _state(
        self,
        user: str | int | None,
        query: Mapping[str, Any] | None,
        history: Sequence[str | int] | None = None,
        history_times: Sequence[datetime | str] | None = None,
        *,
        k: int = 1,
        where: str | None = None,
    ) -> RetrievalState[RetrievalRequest]:
        """Return a request that has not begun."""
        count_of("k", k, error=QueryError)
        items = history_of(history)
        ages = ages_of(history_times, items, now_in_seconds())
        request = RetrievalRequest(user, dict(query or {}), k, where, items, ages)
        return RetrievalState(request, where=where, size=k)

    @cached_property
    def online(self) -> OnlineRetriever:
        """The path of requests."""
        users = OnlineUsers(self.queries, self.online_items, self.queries.own_columns)
        return OnlineRetriever(
            retrieval_section_of(self.run.recipe),
            self.queries,
            users,
            self.online_items,
            popular=self.popular_items,
            sources=self.sources,
        )

    @cached_property
    def online_items(self) -> OnlineItems:
        """The items and the index, to search by place."""
        return OnlineItems(self.catalogue, self.index, lambda: self.vectors)

    @cached_property
    def _exact_items(self) -> OnlineItems:
        """The items and the vectors of the model, independent of the index."""
        exact = ExactIndex.build(self.catalogue.ids, self.vectors)
        return OnlineItems(self.catalogue, exact, lambda: self.vectors)

    @cached_property
    def popular_items(self) -> PopularItems:
        """The items by their number of training rows, also per segment."""
        return PopularItems(self.online_items, self.popular_order)

    @cached_property
    def popular_order(self) -> PopularOrder:
        """The items of the run by their number of training rows, also per segment."""
        return PopularOrder(self.items[COUNT].to_numpy(), read_segments(self.run.folder))

    def popular(
        self,
        k: int,
        *,
        where: str | None = None,
        excluded: NDArray[np.int64] = NO_ITEMS,
        segment: Id | None = None,
    ) -> Hits:
        """Return the items with most training rows; the scores are the numbers of rows."""
        places, counts = self.popular_items.best(k, where=where, excluded=excluded, segment=segment)
        return Hits(self.catalogue, places[None], counts[None])

    def search(
        self,
        text: str,
        *,
        k: int = 10,
        where: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> pl.DataFrame:
        """Return the best items for a text, with the columns of `recommend`.

        Args:
            text: the query.
            k: number of items; fewer only if fewer exist.
            where: a condition on attributes.
            query: other data columns of the query.

        Raises:
            QueryError: the recipe's queries have no text column, or several.

        """
        vector = self.query(None, self.text_query(text, query))[0]
        return self._frame(self.index.search(vector, k, where=where))

    def text_query(self, text: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a query with a text in its text column.

        Raises:
            QueryError: the recipe's queries have no text column, or several.

        """
        names = self.text_sources
        if len(names) != 1:
            found = f"several: {', '.join(names)}" if names else "none"
            raise QueryError(
                f"search: needs a recipe with one text column in the query, this one has {found};"
                " give texts by --query"
            )
        return {names[0]: text, **(query or {})}

    def similar(self, item: str | int, *, k: int = 10, where: str | None = None) -> pl.DataFrame:
        """Return the items most similar to an item, by the cosine of their vectors.

        Args:
            item: an id.
            k: number of items.
            where: a condition on attributes.

        Raises:
            QueryError: there is no such item, the model knows nothing of it, or k is below 1.

        """
        known = self.catalogue.ids.head(_NAMED)
        places, cosines = similar_items(
            self._exact_items, self.item_encoder, item, k=k, where=where, known=known
        )
        return self._frame(Hits(self.catalogue, places[None], cosines[None]))

    def query(
        self,
        user: str | int | None,
        query: Mapping[str, Any] | None,
        *,
        history: Sequence[str | int] | None = None,
        history_times: Sequence[datetime | str] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the vector `[1, D]` of a query, and the positions of the history.

        Arguments and errors as `recommend`.
        """
        state = self._state(user, query, history, history_times)
        vector = self.online.vector(state, state.request.query)
        notify(state.user.notices(None, None))
        return vector, state.user.history

    @cached_property
    def queries(self) -> Queries:
        """The encoder of queries."""
        return Queries(self.run, self.model, self.catalogue.ids)

    @property
    def users(self) -> pl.DataFrame:
        """Each user's history, and the query columns of the last row."""
        return self.queries.users

    @property
    def keeps_times(self) -> bool:
        """Whether the run has the times of the events in its users' histories."""
        return self.queries.user is not None and SEEN_TIMES in self.users.columns

    @cached_property
    def _sides(self) -> TowerColumns:
        return tower_columns_of(self.run.recipe)

    @cached_property
    def item_encoder(self) -> ItemEncoder:
        """The encoder of raw items as vectors."""
        return ItemEncoder(self.model, self.run.encoder, self._sides.item)

    @property
    def text_sources(self) -> list[str]:
        """The text columns of a query."""
        columns = self.run.recipe.schema_.columns
        texts = {n: c for n, c in columns.items() if n in self._sides.query}
        return [c.source or n for n, c in texts.items() if isinstance(c, Text)]

    def _frame(self, hits: Hits, sources: SourceRanks | None = None) -> pl.DataFrame:
        found = hits.frame().drop("query")
        if sources is not None:
            found = found.with_columns(sources.series())
        places = self.catalogue.places_of(found["item_id"])
        shown = attribute_names(self._attributes, found.columns)
        attributes = self.catalogue.attributes[places].select(self._attributes).rename(shown)
        return pl.concat([found, attributes], how="horizontal")

    @cached_property
    def _attributes(self) -> list[str]:
        """Attributes in the order shown: those of the item tower, then the others, not the id."""
        own = self.item_encoder.columns
        names = [*own, *(n for n in self.catalogue.attributes.columns if n not in own)]
        return [name for name in names if name != retrieval_section_of(self.run.recipe).item]
