"""Questions to a funnel: who asks, with which columns, what is to be found and not to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.encoders.partial import PartialEncoder
from crosstower.data.progress import OnProgress
from crosstower.data.reading import source_of, training_source, undivided
from crosstower.data.sources.source import FilteredSource, Source
from crosstower.data.split import SPLITS
from crosstower.errors import DataError, RunError
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.leaks import leak_notes, raw_at
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.evaluation_queries import (
    EvaluationQueries,
    evaluation_queries,
    queries_from_rows,
)
from crosstower.retrieval.data.items import ItemTable
from crosstower.retrieval.data.positive_rows import PositiveRows, read_positives
from crosstower.retrieval.data.retrieval_data import QueryEncoder
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.evaluate import earlier_of
from crosstower.retrieval.files import FOLDER, ID, read
from crosstower.retrieval.inference import query_vectors
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run
from crosstower.values.arrays import Indices

_TEST = SPLITS.index("test")


@dataclass(frozen=True)
class FunnelQueries:
    """Q questions: answers and histories, raw query columns `[Q]`, vectors `[Q, D]`."""

    source: str
    questions: EvaluationQueries
    queries: pl.DataFrame
    vectors: NDArray[np.float32]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Return Q."""
        return len(self.questions)

    def sampled(self, count: int, seed: int) -> FunnelQueries:
        """Return at most `count` of them, drawn without replacement, and say so in a note."""
        if count >= len(self):
            return self
        kept = sample_of(len(self), count, seed)
        questions = self.questions
        note = f"a sample of {count:,} of {len(self):,} queries, seed {seed}"
        return FunnelQueries(
            self.source,
            replace(
                questions,
                asked=questions.asked.gather(kept),
                rows=questions.rows[kept],
                users=questions.users[kept],
                relevant=pairs_of(questions.relevant, kept),
                seen=pairs_of(questions.seen, kept),
            ),
            self.queries[kept],
            self.vectors[kept],
            (*self.notes, note),
        )

    def history(self, question: int) -> Indices:
        """Return the places of what the asker of a question has had."""
        return self.questions.earlier.pairs(self.questions.users[[question]])[1]


def sample_of(total: int, count: int, seed: int) -> Indices:
    """Return `count` of `total` places, ascending."""
    random = np.random.default_rng(seed)
    return np.sort(random.choice(total, min(count, total), replace=False))


def pairs_of(pairs: tuple[Indices, Indices], kept: Indices) -> tuple[Indices, Indices]:
    """Return the (question, item) pairs of some questions, ascending, numbered anew."""
    place = np.searchsorted(kept, pairs[0]).clip(max=max(len(kept) - 1, 0))
    mine = kept[place] == pairs[0]
    return place[mine], pairs[1][mine]


def run_questions(funnel: Funnel, columns: Sequence[str], on_progress: OnProgress) -> FunnelQueries:
    """Return the test questions of the retrieval run, made from its rows again.

    Args:
        funnel: an open funnel.
        columns: data columns of the rows to give to the query beside the retrieval recipe's.
        on_progress: called with the number of rows read.

    Raises:
        RunError: the run was trained on a data frame, or its rows have changed since.
        DataError: a column is missing.

    """
    run = funnel.retriever.run
    if run.recipe.data.path is None:
        raise RunError(
            f"{run.folder}: was trained on a data frame, whose test questions cannot be made"
            " again; give rows to ask about (data)"
        )
    source = training_source(run.recipe.data)
    rows = _positives(funnel.retriever, run.recipe, source, on_progress)
    section = retrieval_section_of(run.recipe)
    by_user = section.user is not None
    questions = evaluation_queries(rows, _TEST, by_user=by_user, seen=section.seen_rule)
    _check_same(run, questions)
    tested = rows.frame[ROW].to_numpy()[rows.split == _TEST]
    notes = leak_notes(run.recipe, funnel.ranking.recipe, source, tested)
    return _asked(funnel, _Found(source, rows, questions, notes), columns)


def other_questions(
    funnel: Funnel, data: Any, columns: Sequence[str], on_progress: OnProgress
) -> FunnelQueries:
    """Return questions about other rows, whose users have had what the run's rows gave them.

    Raises:
        DataError: a column is missing, no row is a positive, an item is not in the catalogue, or
            nothing is to be found.

    """
    run = funnel.retriever.run
    source = source_of(run.recipe.data, data)
    recipe = undivided(run.recipe)
    rows, section = (
        _positives(funnel.retriever, recipe, source, on_progress),
        retrieval_section_of(recipe),
    )
    questions = queries_from_rows(
        rows,
        np.arange(len(rows.user)),
        earlier_of(run, rows),
        by_user=section.user is not None,
        seen=section.seen_rule,
    )
    if not len(questions):
        raise DataError(
            f"{source.name}: nothing to find: its users have had all of its items before; give rows"
            " that the run has not seen, or set retrieval.exclude_seen: false"
        )
    notes: list[str] = []
    if _is_path_of(data, funnel.ranking.recipe):
        notes.append("the ranking run was made of these rows: ranked lists look too good")
    return _asked(funnel, _Found(source, rows, questions, notes), columns)


def _is_path_of(data: Any, recipe: Recipe) -> bool:
    """Return whether data are given by the path, however written, that a recipe reads."""
    path = recipe.data.path
    if path is None or not isinstance(data, str | Path):
        return False
    return Path(data).resolve() == Path(path).resolve()


def _positives(
    retriever: Retriever, recipe: Recipe, source: Source, on_progress: OnProgress
) -> PositiveRows:
    table = ItemTable(retriever.items[ID], retriever.catalogue.attributes, pl.DataFrame())
    return read_positives(recipe, source, tower_columns_of(recipe), on_progress, items=table)


@dataclass(frozen=True)
class _Found:
    """Questions about the positives of a source."""

    source: Source
    rows: PositiveRows
    questions: EvaluationQueries
    notes: list[str]


def _asked(funnel: Funnel, found: _Found, columns: Sequence[str]) -> FunnelQueries:
    """Add the raw columns and the vectors of the queries."""
    run, questions = funnel.retriever.run, found.questions
    frame = found.rows.take(questions.rows)
    vectors = query_vectors(
        funnel.retriever.model,
        QueryEncoder(run.encoder, tower_columns_of(run.recipe), funnel.retriever.items[ID]),
        PartialEncoder(run.encoder, tower_columns_of(run.recipe).query).encode(frame),
        questions.users,
        questions.earlier,
    )
    skipped = [f"{n:,} rows left out for '{name}'" for name, n in found.rows.skipped.items()]
    return FunnelQueries(
        source=found.source.name,
        questions=questions,
        queries=_queries(funnel, found.source, frame, columns),
        vectors=vectors.numpy(),
        notes=(*skipped, *found.notes, *_had(questions)),
    )


def _had(questions: EvaluationQueries) -> list[str]:
    return [questions.counts.words()] if questions.counts is not None else []


def _queries(
    funnel: Funnel, source: Source, frame: pl.DataFrame, columns: Sequence[str]
) -> pl.DataFrame:
    """Return the raw columns of the queries: those that a query always has, and others named."""
    funnel.rows.check_more(columns)
    where = retrieval_section_of(funnel.retriever.run.recipe).where
    positives = source if where is None else FilteredSource(source, where)
    known = [frame[raw_name(name)].alias(name) for name in funnel.rows.known]
    more = raw_at(positives, frame[ROW].to_numpy(), columns)
    queries = pl.DataFrame(known).with_columns(more.get_columns())
    funnel.rows.check_had(queries.columns, source.columns())
    return queries


def _check_same(run: Run, questions: EvaluationQueries) -> None:
    """Refuse rows whose questions are not those that the training stored."""
    stored = read(run.folder / FOLDER / "questions.parquet")
    flat = stored.with_row_index("question").explode("relevant")
    same = stored.height == len(questions) and stored["asked"].equals(questions.asked)
    pairs = (flat["question"].to_numpy(), flat["relevant"].to_numpy())
    if not same or not all(
        np.array_equal(a, b) for a, b in zip(pairs, questions.relevant, strict=True)
    ):
        raise RunError(
            f"{run.folder}: the rows have changed since this run was trained; put the data back,"
            " or train again"
        )
