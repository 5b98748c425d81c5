"""State that training has learned from its rows, from which the next training run continues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import ConfigDict
from pydantic_core import PydanticSerializationError, to_jsonable_python

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_files import load_encoder
from crosstower.errors import DataError, RunError, first_line
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.kinds.coded import Coded
from crosstower.storage.documents import read_document
from crosstower.values.codes import Vocabulary
from crosstower.values.vocabulary_fit import begun

DOCUMENT, SEEN = "learned.json", "seen-{:03d}.parquet"
LEARNED_FILES = (DOCUMENT, "seen-*.parquet")
"""Files in the folder of an encoder that only the next training run needs."""


@dataclass(frozen=True)
class Learned:
    """The state of all columns after one or more training runs.

    Args:
        trainings: number of training runs so far.
        memories: state from which learners continue, by column.
        seen: `value`, `count`, `last` by table.

    """

    trainings: int
    memories: Mapping[str, Any]
    seen: Mapping[str, pl.DataFrame]


class _Document(FrozenModel):
    model_config = ConfigDict(
        ser_json_inf_nan="constants"
    )  # a null would be no number to continue from

    format: Literal[1] = 1
    trainings: int
    memories: dict[str, Any]
    tables: tuple[str, ...]


def save_learned(learned: Learned, folder: Path) -> None:
    """Write into the folder of the encoder; the JSON document comes last.

    Raises:
        DataError: the memory of an own kind's learner is not plain data.

    """
    for place, frame in enumerate(learned.seen.values()):
        frame.write_parquet(folder / SEEN.format(place))
    memories = {name: _plain(name, memory) for name, memory in learned.memories.items()}
    document = _Document(trainings=learned.trainings, memories=memories, tables=tuple(learned.seen))
    (folder / DOCUMENT).write_text(document.model_dump_json(indent=1), encoding="utf-8")


def _plain(name: str, memory: Any) -> Any:
    try:
        return to_jsonable_python(memory)
    except PydanticSerializationError as error:
        raise DataError(
            f"column '{name}': memory of its learner must return numbers, text, lists and dicts"
            f" of them, got {type(memory).__name__} ({error})"
        ) from None


def load_learned(folder: Path) -> tuple[Encoder, Learned]:
    """Return the encoder in a folder, and the state from which training continues.

    A run of an earlier version has counted nothing: each of its values counts as seen `min_count`
    times.

    Raises:
        RunError: a file is missing or damaged.

    """
    encoder = load_encoder(folder)
    if not (folder / DOCUMENT).is_file():
        return encoder, Learned(1, {}, dict(_uncounted(encoder)))
    document = read_document(
        folder / DOCUMENT, _Document, newest=1, error=RunError, again="train again"
    )
    seen = {name: _read(folder / SEEN.format(place)) for place, name in enumerate(document.tables)}
    return encoder, Learned(document.trainings, document.memories, seen)


def _uncounted(encoder: Encoder) -> Iterator[tuple[str, pl.DataFrame]]:
    for name, table in encoder.tables.items():
        column = encoder.schema.columns[name]
        if isinstance(table, Vocabulary) and isinstance(column, Coded):
            counts = pl.DataFrame({"value": table.values})
            yield name, begun(counts.with_columns(count=pl.lit(column.min_count)))


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=["value", "count", "last"])
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = first_line(error)
        raise RunError(f"{path}: damaged: {reason}; train the run again") from error
