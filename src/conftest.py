"""Runs for the examples of docstrings: `clicks` and `clicks-mlp` rank, `items` retrieves."""

import shutil
import tempfile
from pathlib import Path

import pytest

_FILMS = ("alien", "brazil", "cube", "dune", "eden", "fargo", "gilda", "heat", "ikiru", "jaws")
_NEEDS_A_FOLDER = ("runs/", "ct.fit(", "mkdtemp(")


@pytest.fixture(autouse=True)
def folder_of_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an example that writes files or opens a run a folder of its own, with the runs in it."""
    examples = getattr(getattr(request.node, "dtest", None), "examples", [])
    source = "".join(example.source for example in examples)
    if not any(words in source for words in _NEEDS_A_FOLDER):
        return
    folder: Path = request.getfixturevalue("tmp_path")
    if "runs/" in source:
        shutil.copytree(request.getfixturevalue("trained"), folder, dirs_exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on the impressions in `june.parquet`; those in `july.parquet` are of other pairs."""
    import polars as pl  # noqa: PLC0415 - most examples need none of it

    import crosstower as ct  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("trained")
    seen = [(user, (user + 3 * place) % len(_FILMS)) for place in range(9) for user in range(60)]
    rows = pl.DataFrame(
        {
            "user": [user for user, _ in seen],
            "film": [_FILMS[film] for _, film in seen],
            "time": [*range(len(seen))],
            "propensity": [1 / len(_FILMS)] * len(seen),
            "click": [int(film % 2 == user % 2 or film == 3) for user, film in seen],
        }
    )
    rows.head(360).write_parquet(folder / "june.parquet")
    rows.tail(180).write_parquet(folder / "july.parquet")
    columns = {"user": ct.Categorical(), "film": ct.Categorical()}
    data, training = ct.Data(path=str(folder / "june.parquet")), ct.Training(epochs=2)
    items = ct.Recipe(
        data=data.model_copy(update={"split": ct.TimeSplit(column="time")}),
        schema=ct.Schema(columns=columns),
        model={"name": "two_tower", "item": ["film"], "dim": 4},
        training=training,
        retrieval=ct.Retrieval(user="user", item="film", time="time", where="click == 1", k=(3,)),
    )
    ct.fit(items, out=folder / "runs" / "items", quiet=True)
    for name, model in (("clicks", "wide_deep"), ("clicks-mlp", "mlp")):
        clicks = ct.Recipe(
            data=data,
            schema=ct.Schema(columns=columns, tasks={"click": ct.Binary()}),
            model={"name": model},
            training=training,
            evaluation=ct.Evaluation(baselines=(), importance=None, group="user"),
        )
        ct.fit(clicks, out=folder / "runs" / name, quiet=True)
    return folder
