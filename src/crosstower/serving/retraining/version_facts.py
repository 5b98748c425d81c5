"""Facts about the training rows of a version, as a file next to its bundle."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from crosstower.errors import ServeError
from crosstower.recipe.frozen import FrozenModel
from crosstower.storage.documents import read_document

FACTS = "facts.json"


class VersionFacts(FrozenModel):
    """The training rows of a version.

    `rows` counts the new impressions, and `until` is the time of the last one. `trained_until` is
    the time, by stage, before which rows were trained on; later rows validated and tested. `items`
    is the number of the last change of an item that the bundle has.
    """

    rows: int
    until: datetime
    trained_until: dict[str, datetime]
    items: int


def read_facts(folder: Path) -> VersionFacts:
    """Return the facts of a version.

    Raises:
        ServeError: they are missing or damaged.

    """
    again = "roll back to another version with: crosstower rollback"
    return read_document(folder / FACTS, VersionFacts, newest=1, error=ServeError, again=again)
