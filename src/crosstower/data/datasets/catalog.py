"""Public data sets by name: downloaded once, verified, and converted to Parquet."""

from __future__ import annotations

import logging
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pooch

from crosstower.errors import DataError, did_you_mean
from crosstower.storage.files import new_folder

_TIMEOUT_SECONDS = 30
_BLOCK_BYTES = 1 << 18
_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
_ADULT = (
    "age", "workclass", "fnlwgt", "education", "educational-num", "marital-status", "occupation",
    "relationship", "race", "gender", "capital-gain", "capital-loss", "hours-per-week",
    "native-country", "income",
)  # fmt: skip


class ProgressBar(Protocol):
    """A progress bar as `pooch` drives it, in bytes; `total` is 0 where it is unknown."""

    total: int

    def update(self, advance: int) -> None:
        """Advance by some bytes."""
        ...

    def reset(self) -> None:
        """Go back to the start."""
        ...

    def close(self) -> None:
        """End."""
        ...


@dataclass(frozen=True)
class Dataset:
    """A public data set.

    `sha256` is the checksum of the archive; `convert` makes tables by file name from the open
    archive.
    """

    description: str
    url: str
    sha256: str
    terms: str
    convert: Callable[[zipfile.ZipFile], dict[str, pl.DataFrame]]


def dataset_names() -> list[str]:
    """Return the names of all data sets."""
    return list(_DATASETS)


def describe(name: str) -> Dataset:
    """Return a data set's description, origin and terms.

    Raises:
        DataError: the data set is unknown.

    """
    if name not in _DATASETS:
        raise DataError(
            f"no data set '{name}'{did_you_mean(name, dataset_names())};"
            f" allowed: {', '.join(dataset_names())} and world:NAME"
        )
    return _DATASETS[name]


def get(
    name: str,
    folder: str | Path,
    *,
    url: str | None = None,
    progress: ProgressBar | None = None,
) -> Path:
    """Return the folder `folder/name` with the Parquet files of a data set.

    The archive is downloaded unless the folder exists; an interrupted download leaves nothing.

    Args:
        name: one of `dataset_names()`.
        folder: where data sets live.
        url: a mirror of the archive.
        progress: shows how much has arrived.

    Raises:
        DataError: the data set is unknown, there is no connection, or the archive has another
            checksum or content than expected.

    """
    dataset = describe(name)
    final = Path(folder) / name
    if final.is_dir():
        return final
    url = url or dataset.url
    with tempfile.TemporaryDirectory() as place:
        archive = _download(url, dataset.sha256, Path(place), progress)
        tables = _convert(archive, dataset, url)
    with new_folder(final) as aside:
        for file, table in tables.items():
            table.write_parquet(aside / f"{file}.parquet")
    return final


def _download(url: str, sha256: str, folder: Path, progress: ProgressBar | None) -> Path:
    if not url.startswith(("https://", "http://")):
        raise DataError(f"{url}: expected an address that starts with https://")
    bar: Any = progress or False  # pooch declares neither this nor its downloaders right
    downloader: Any = pooch.HTTPDownloader(bar, _BLOCK_BYTES, timeout=_TIMEOUT_SECONDS)
    pooch.get_logger().setLevel(logging.WARNING)  # it would print where the archive goes
    try:
        return Path(pooch.retrieve(url, sha256, "archive.zip", folder, downloader=downloader))
    except OSError as error:
        raise DataError(
            f"{url}: cannot be downloaded: {_cause(error)}; check the connection (HTTPS_PROXY sets"
            " a proxy) and try again"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{url}: is not the expected archive: its SHA-256 checksum is not {sha256}; try again,"
            " or upgrade with: pip install -U crosstower"
        ) from error


def _cause(error: BaseException) -> BaseException:
    """Return the innermost error, which HTTP libraries wrap several times."""
    links = (*error.args, getattr(error, "reason", None), error.__cause__)
    inner = next((link for link in links if isinstance(link, BaseException)), None)
    return error if inner is None else _cause(inner)


def _convert(archive: Path, dataset: Dataset, url: str) -> dict[str, pl.DataFrame]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return dataset.convert(opened)
    except (zipfile.BadZipFile, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{url}: is not the expected archive: {str(error).strip()}; upgrade with: pip install"
            " -U crosstower"
        ) from error


def _lines(archive: zipfile.ZipFile, member: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """Return a member whose fields are separated by '::' or '|', all as text."""
    # Only named members are read, so a path inside the archive cannot lead elsewhere.
    text = archive.read(member).decode("latin-1")
    separator = "::" if member.endswith(".dat") else "|"
    fields = [line.split(separator) for line in text.splitlines() if line]
    if any(len(row) != len(columns) for row in fields):
        raise ValueError(f"{member}: expected {len(columns)} fields per line")
    frame = pl.DataFrame(fields, schema=list(columns), orient="row")
    return frame.with_columns(pl.when(pl.all() == "").then(None).otherwise(pl.all()).name.keep())


def _whole(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    return frame.with_columns(pl.col(c).cast(pl.Int64) for c in columns)


def _movielens_100k(archive: zipfile.ZipFile) -> dict[str, pl.DataFrame]:
    names = ["user_id", "movie_id", "rating", "timestamp"]
    ratings = pl.read_csv(
        archive.read("ml-100k/u.data"), separator="\t", has_header=False, new_columns=names
    )
    users = _lines(
        archive, "ml-100k/u.user", ("user_id", "age", "gender", "occupation", "zip_code")
    )
    facts = ("movie_id", "movie_title", "release_date", "video_release_date", "IMDb_URL")
    movies = _lines(archive, "ml-100k/u.item", (*facts, *_GENRES))
    return {
        "ratings": ratings,
        "users": _whole(users, "user_id", "age"),
        "movies": _whole(movies, "movie_id", *_GENRES),
    }


def _movielens_1m(archive: zipfile.ZipFile) -> dict[str, pl.DataFrame]:
    rating_columns = ("user_id", "movie_id", "rating", "timestamp")
    ratings = _lines(archive, "ml-1m/ratings.dat", rating_columns)
    users = _lines(
        archive, "ml-1m/users.dat", ("user_id", "gender", "age", "occupation", "zip_code")
    )
    movies = _lines(archive, "ml-1m/movies.dat", ("movie_id", "movie_title", "genres"))
    return {
        "ratings": _whole(ratings, *rating_columns),
        "users": _whole(users, "user_id", "age", "occupation"),
        "movies": _whole(movies, "movie_id"),
    }


def _adult(archive: zipfile.ZipFile) -> dict[str, pl.DataFrame]:
    members = ("adult.data", "adult.test")
    text = b"\n".join(archive.read(m) for m in members).decode()
    # The test member starts with a line of its own and ends its labels with a full stop.
    lines = [line.rstrip(".") for line in text.splitlines() if line and not line.startswith("|")]
    fields = [[f.strip() for f in line.split(",")] for line in lines]
    if any(len(row) != len(_ADULT) for row in fields):
        raise ValueError(f"{', '.join(members)}: expected {len(_ADULT)} fields per line")
    frame = pl.DataFrame(fields, schema=list(_ADULT), orient="row")
    known = frame.with_columns(pl.when(pl.all() == "?").then(None).otherwise(pl.all()).name.keep())
    numbers = ("age", "fnlwgt", "educational-num", "capital-gain", "capital-loss", "hours-per-week")
    return {"adult": _whole(known, *numbers)}


_DATASETS = {
    "movielens-100k": Dataset(
        "100,000 ratings of 1,682 films by 943 people (GroupLens, 1998)",
        "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        "research only, no redistribution; cite Harper and Konstan 2015",
        _movielens_100k,
    ),
    "movielens-1m": Dataset(
        "1,000,209 ratings of 3,883 films by 6,040 people (GroupLens, 2003)",
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        "research only, no redistribution; cite Harper and Konstan 2015",
        _movielens_1m,
    ),
    "adult": Dataset(
        "income above 50,000 a year of 48,842 people (UCI, 1994 census)",
        "https://archive.ics.uci.edu/static/public/2/adult.zip",
        "7537312dd56c2b98035880805ce99e68183a30ee468aa5329d6df0fbb3cc21bb",
        "CC BY 4.0; cite Becker and Kohavi 1996",
        _adult,
    ),
}
