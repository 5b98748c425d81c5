"""The passes over the rows of a ranker by Daft: each piece on its own, the results merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl

from crosstower.data.counters.counted_source import CountedSource
from crosstower.data.daft_runner import Runner, map_pieces
from crosstower.data.encoded_shards import Shard, ShardWriter
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.progress import no_progress
from crosstower.data.source_pieces import PIECE_ROWS, Matches, pieces_of, rows_of
from crosstower.data.sources.source import Source
from crosstower.data.split import SPLITS
from crosstower.data.statistics import DatasetCounter
from crosstower.errors import RecipeError
from crosstower.ranking.row_passes import ENCODING, LEARNING, TARGETED, RowReading, encode, learn
from crosstower.recipe.schema import Schema

R = TypeVar("R")


@dataclass
class EncodedPieces:
    """Encoded rows of one or several pieces: shards and targets by split, and the counts.

    Args:
        shards: by split, in the order of the rows.
        targets: of valid and test rows.
        census: counts of the rows.

    """

    shards: dict[str, list[Shard]] = field(default_factory=lambda: {s: [] for s in SPLITS})
    targets: dict[str, list[pl.DataFrame]] = field(
        default_factory=lambda: {split: [] for split in TARGETED}
    )
    census: DatasetCounter = field(default_factory=DatasetCounter)

    def merge(self, other: EncodedPieces) -> None:
        """Append the next piece."""
        for split, shards in other.shards.items():
            self.shards[split] += shards
        for split, frames in other.targets.items():
            self.targets[split] += frames
        self.census.merge(other.census)


class DaftPasses:
    """Goes over the rows of a ranker by Daft.

    Args:
        reading: of all rows.
        runner: of Daft.

    Raises:
        DataError: Daft is not installed, or a file cannot be read.

    """

    def __init__(self, reading: RowReading, runner: Runner | None) -> None:
        self._reading = reading
        self._runner: Runner | None = runner
        if isinstance(reading.source, CountedSource):
            _ = reading.source.history.counts  # read once, not by each worker
        self._pieces = pieces_of(
            reading.source, partial(map_pieces, rows_of, runner=runner), rows=PIECE_ROWS
        )

    def learn(self, fit: EncoderFit) -> None:
        """Learn an encoder from the training rows.

        Raises:
            RecipeError: a column is of an own kind whose learner cannot be merged.

        """
        _check_mergeable(fit)
        for part in self._each(LEARNING, partial(_learned, schema=fit.schema)):
            fit.merge(part)

    def encode(self, encoder: Encoder, extras: Sequence[str], folder: Path) -> EncodedPieces:
        """Write all rows into shards in a folder that the workers see.

        Args:
            encoder: of the rows.
            extras: raw columns that evaluation needs.
            folder: has a folder of shards per split afterwards.

        """
        whole = EncodedPieces()
        work = partial(_encoded, encoder=encoder, extras=extras, folder=folder)
        for part in self._each(ENCODING, work):
            whole.merge(part)
        return whole

    def _each(self, stage: str, work: Callable[[RowReading, int], R]) -> Iterator[R]:
        """Yield the results of all pieces; keep how joins and counters matched."""
        reading = replace(self._reading, on_progress=no_progress, ahead=False)
        pieces, matches = list(enumerate(self._pieces)), list[Matches]()
        results = map_pieces(partial(_done, reading, work), pieces, self._runner)
        for number, (result, found) in enumerate(results, start=1):
            yield result
            self._reading.on_progress(stage, number, len(pieces))
            if matches:
                matches[0].merge(found)
            else:
                matches.append(found)
        for whole in matches:
            whole.put(self._reading.source)


def _done(
    reading: RowReading, work: Callable[[RowReading, int], R], piece: tuple[int, Source]
) -> tuple[R, Matches]:
    number, source = piece
    return work(replace(reading, source=source), number), Matches.of(source)


def _learned(reading: RowReading, _number: int, *, schema: Schema) -> EncoderFit:
    fit = EncoderFit(schema)
    learn(reading, fit)
    fit.pack()
    return fit


def _encoded(
    reading: RowReading, number: int, *, encoder: Encoder, extras: Sequence[str], folder: Path
) -> EncodedPieces:
    writers = {s: ShardWriter(folder / s, prefix=f"{number:06d}-") for s in SPLITS}
    targets, census = encode(reading, encoder, extras, writers)
    shards = {split: list(writer.finish()) for split, writer in writers.items()}
    return EncodedPieces(shards, targets, census)


def _check_mergeable(fit: EncoderFit) -> None:
    names = fit.unmerged()
    if names:
        column = fit.schema.columns[names[0]]
        raise RecipeError(
            f"data.engine: daft merges what each piece of the rows has taught, but the learner of"
            f" column '{names[0]}' (kind '{column.kind}') has no method merge(other); add it, or"
            " set data.engine: local"
        )
