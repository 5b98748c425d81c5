"""Dataset folders of Hugging Face, as `Dataset.save_to_disk` writes them.

Datasets that are stored as Parquet files need nothing of this: they are folders of files.
"""

from __future__ import annotations

import json
from typing import Any

from crosstower.errors import DataError
from crosstower.values.addresses.address import Place
from crosstower.values.addresses.remote import exists, read_text

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
"""Files that make a folder a dataset, and one of a folder with several."""


def is_dataset(folder: Place) -> bool:
    """Return whether a folder is a dataset that was saved to disk.

    Raises:
        OSError: the store cannot be reached, or refuses.

    """
    return exists(folder / STATE) and exists(folder / INFO)


def dataset_files(folder: Place) -> list[Place]:
    """Return the Arrow files of a dataset, in its order.

    Raises:
        DataError: the dataset is damaged, or selects rows by an index.
        OSError: a file cannot be read.

    """
    state = _read(folder / STATE)
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise DataError(
            f"{folder}: selects rows of a dataset by an index; save it again after"
            " dataset.flatten_indices()"
        )
    try:
        return [folder / str(file["filename"]) for file in state["_data_files"]]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{folder / STATE}: names no data files; save the dataset again with save_to_disk"
        ) from error


def refuse_splits(folder: Place) -> None:
    """Raise a DataError that names the datasets of a folder with several.

    Raises:
        DataError: always.
        OSError: a file cannot be read.

    """
    splits = _read(folder / SPLITS).get("splits") or ["none"]
    raise DataError(
        f"{folder}: holds the datasets {', '.join(map(str, splits))}; name one, such as"
        f" {folder}/{splits[0]}, or each as data.path, data.valid and data.test"
    )


def _read(file: Place) -> dict[str, Any]:
    try:
        plain = json.loads(read_text(file))
    except ValueError as error:
        raise DataError(f"{file}: damaged: {error}; save the dataset again") from error
    return plain if isinstance(plain, dict) else {}
