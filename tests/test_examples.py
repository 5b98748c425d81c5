"""Every recipe in examples/ is read; those whose data is at hand are trained, for an epoch.

Recipes of simulated worlds are small and are trained until they have learned what there is.

CROSSTOWER_DATA names the folder of the data sets, as `crosstower data get NAME --out` fills it;
`data` beside the examples and `shared/data` beside the project are looked at as well.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from crosstower.blending.blend_run import blend_run
from crosstower.blending.utility import load_utility
from crosstower.data.datasets.worlds.restaurants import CUISINES, TAGS, restaurant_table
from crosstower.fitting.fit import fit
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.yaml_reader import read_yaml
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import COUNT, ID
from crosstower.training.history import history
from crosstower.training.run import Run

from .fixtures.processes import must_succeed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "examples").glob("*.yaml"))
ROWS, MOST_USERS = 15_000, 1_000
USERS = {"movielens-100k": 300}  # each has a hundred rows
CATALOGUES = ("items.parquet", "movies.parquet")
# The catalogues make some baselines slow, and a metric of a world needs few of them.
OVERRIDES = {
    "feed": ["data.rows=30000", "evaluation.baselines=[]"],
    "watch_next": ["training.epochs=30", "evaluation.baselines=[]"],
    "restaurant_search": [
        "data.rows=60000",
        "training.epochs=2",
        "retrieval.baselines=[popularity]",
    ],
} | {
    path.stem: ["training.epochs=1", "retrieval.baselines=[popularity]"]
    for path in RECIPES
    if "retrieval:" in path.read_text() and "world:" not in path.read_text()
}


def data_folder() -> Path | None:
    places = [os.environ.get("CROSSTOWER_DATA"), ROOT / "data", ROOT.parent / "shared" / "data"]
    return next((Path(p) for p in places if p and Path(p).is_dir()), None)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_an_example_is_a_valid_recipe(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_an_example_trains_on_its_data(path: Path, tmp_path: Path) -> None:
    overrides = OVERRIDES.get(path.stem, [])
    if not read_yaml(path.read_text())["data"]["path"].startswith("world:"):
        path, overrides = on_fewer_rows(path, tmp_path), ["training.epochs=1", *overrides]
    run = fit(path, overrides=overrides, out=tmp_path / "run", quiet=True)
    if run.recipe.retrieval is None:
        model = run.recipe.model["name"]
        for task, models in run.metrics["tasks"].items():
            if "auc" in models[model]:
                best = models.get("Best possible", {}).get("auc", {}).get("mean")
                limit = 0.6 if best is None else best - 0.03
                assert models[model]["auc"]["mean"] > limit, task
    else:
        found = run.metrics["retrieval"]
        assert found["two_tower"]["recall@20"]["mean"] > 2 / len(pl.read_parquet(items_of(run)))


def on_fewer_rows(path: Path, tmp_path: Path) -> Path:
    """Return the recipe on the rows of some users, or on the first rows; skip it without data."""
    name = read_yaml(path.read_text())["data"]["path"]
    folder = data_folder()
    if folder is None or not (folder / Path(name).parent.name).is_dir():
        pytest.skip(f"{name}: not at hand; set CROSSTOWER_DATA to its folder")
    given = folder / Path(name).parent.name
    fewer = tmp_path / "data" / given.name
    fewer.mkdir(parents=True)
    for file in given.glob("*.parquet"):
        frame = pl.read_parquet(file)
        user = next((c for c in ("user", "user_id") if c in frame.columns), None)
        if user is not None:
            users = USERS.get(given.name, MOST_USERS)
            frame = frame.filter(pl.col(user).rank("dense") <= users)
        elif file.name not in CATALOGUES:
            frame = frame.head(ROWS)
        frame.write_parquet(fewer / file.name)
    text = path.read_text().replace("../data/", f"{tmp_path}/data/")
    (tmp_path / path.name).write_text(text)
    return tmp_path / path.name


@pytest.fixture(scope="module")
def multi_hot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the recipe of MLPerf's DLRM-DCNv2 beside few rows of its shape."""
    folder = tmp_path_factory.mktemp("multi_hot")
    words = ["multi_hot_log", "--out", str(folder / "data" / "multi_hot_log")]
    words = [*words, "--rows", "10000", "--scale", "200000"]
    subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=ROOT, check=True)
    text = (ROOT / "examples" / "dlrm_dcnv2.yaml").read_text()
    path = folder / "dlrm_dcnv2.yaml"
    path.write_text(text.replace("../data/", f"{folder}/data/"))
    return path


SMALL = [
    *("model.embedding_dim=8", "model.numbers_hidden=[16,8]", "model.rank=16"),
    *("model.hidden=[32,16]", "training.batch_size=128", "training.evaluate_every=30"),
    *("training.learning_rate=0.02", "training.embedding_learning_rate=0.05"),
    "training.precision=float32",
]


def test_dlrm_dcnv2_trains_on_rows_of_its_shape(multi_hot: Path, tmp_path: Path) -> None:
    """MLPerf's columns, lists and optimisers; tables and layers are small."""
    overrides = [*SMALL, "training.epochs=2"]
    run = fit(multi_hot, overrides=overrides, out=tmp_path / "run", quiet=True)
    lengths = (3, 2, 2, 6, 7, 3, 8, 6, 9, 5, 12, 100, 27, 10, 3)
    assert tuple(field.length for field in run.encoder.layout.lists) == lengths
    records = history(run, "dcn_v2", 0)
    assert [r["step"] for r in records] == [30, 60, 79, 90, 120, 150, 158]
    assert run.metrics["training"]["dcn_v2"]["0"]["monitor"] == "click.auc"
    assert run.metrics["tasks"]["click"]["dcn_v2"]["auc"]["mean"] > 0.6


def test_two_processes_train_dlrm_dcnv2_to_the_same_metrics(
    multi_hot: Path, tmp_path: Path
) -> None:
    overrides = [*SMALL, "training.epochs=1"]
    alone = fit(multi_hot, overrides=overrides, out=tmp_path / "one", quiet=True)
    options = [word for override in overrides for word in ("-o", override)]
    command = ["-m", "crosstower", "fit", str(multi_hot), *options, "--out", str(tmp_path / "two")]
    must_succeed(command, 2)
    together = Run.open(tmp_path / "two")
    one, two = (history(run, "dcn_v2", 0) for run in (alone, together))
    assert [r["step"] for r in one] == [r["step"] for r in two] == [30, 60, 79]
    for before, after in zip(one, two, strict=True):
        assert after["train_loss"] == pytest.approx(before["train_loss"], abs=1e-6)
        assert after["valid"] == pytest.approx(before["valid"], abs=1e-4)
    same, tested = (run.metrics["tasks"]["click"]["dcn_v2"] for run in (alone, together))
    assert tested["auc"]["mean"] == pytest.approx(same["auc"]["mean"], abs=1e-4)


def test_the_utility_of_the_feed_finds_a_blend(tmp_path: Path) -> None:
    overrides = ["data.rows=30000", "training.epochs=2", "evaluation.baselines=[]"]
    run = fit(ROOT / "examples" / "feed.yaml", overrides=overrides, out=tmp_path / "r", quiet=True)
    utility = load_utility(ROOT / "examples" / "utilities" / "feed.yaml")
    # Two training epochs and few rows a user: the shares asked for leave no room to miss them.
    result = blend_run(run, tune=utility.model_copy(update={"trials": 20, "k": 3}))
    shares = {n: s.mean for n, s in result.orders[0].metrics.items() if n.startswith("share.")}
    assert min(shares.values()) > 0.3


def items_of(run: Run) -> Path:
    return run.folder / "retrieval" / "items.parquet"


def test_restaurants_that_are_found_fit_the_question(tmp_path: Path) -> None:
    """The world knows how relevant each restaurant is; clicks alone were learned from."""
    overrides = ["training.epochs=8", "retrieval.baselines=[popularity]"]
    recipe = ROOT / "examples" / "restaurant_search.yaml"
    run = fit(recipe, overrides=overrides, out=tmp_path / "run", quiet=True)
    retriever, table = Retriever.open(run), restaurant_table()
    random = np.random.default_rng(0)
    found, possible, popular, needed = [], [], [], []
    counts = retriever.items[COUNT].to_numpy()
    for _ in range(60):
        favourite, need = random.choice(CUISINES), random.choice(TAGS)
        asker = {
            "asker_latitude": 48.86 + random.normal(0, 0.03),
            "asker_longitude": 2.35 + random.normal(0, 0.045),
            "budget": int(random.integers(1, 5)),
        }
        words = f"where can I eat {favourite} with {need} options?"
        ids = retriever.search(words, k=10, query=asker)["item_id"].to_numpy()
        truth = relevance(table, favourite, need, asker)
        found.append(truth[ids].mean())
        possible.append(np.sort(truth)[-10:].mean())
        popular.append(truth[retriever.items[ID].to_numpy()[np.argsort(-counts)[:10]]].mean())
        needed.append(table[ids]["tags"].list.contains(need).mean())
    assert np.mean(found) > 0.6 * np.mean(possible)
    assert np.mean(found) > 2 * np.mean(popular)
    assert np.mean(needed) > 0.55  # of all restaurants 0.3 have it


def test_near_me_is_a_filter(tmp_path: Path) -> None:
    overrides = ["data.rows=40000", "training.epochs=2", "retrieval.baselines=[popularity]"]
    recipe = ROOT / "examples" / "restaurant_search.yaml"
    run = fit(recipe, overrides=overrides, out=tmp_path / "run", quiet=True)
    where = "distance_km(latitude, longitude, 48.86, 2.35) < 1.5 and 'vegan' in tags"
    asked = "which restaurants near me serve vegan food?"
    near = Retriever.open(run).search(asked, k=10, where=where)
    assert near.height == 10
    north = (near["latitude"] - 48.86) * 111.2
    east = (near["longitude"] - 2.35) * 111.2 * np.cos(np.radians(48.86))
    assert ((north**2 + east**2).sqrt() < 1.51).all()
    assert near["tags"].list.contains("vegan").all()


def relevance(table: pl.DataFrame, favourite: str, need: str, asker: dict) -> np.ndarray:
    """How well each restaurant fits, as the world has it."""
    north = (table["latitude"].to_numpy() - asker["asker_latitude"]) * 111.2
    east = (table["longitude"].to_numpy() - asker["asker_longitude"]) * 111.2
    distance = np.hypot(north, east * np.cos(np.radians(48.86)))
    return expit(
        -0.5
        + 1.5 * (table["cuisine"].to_numpy() == favourite)
        + 1.0 * table["tags"].list.contains(need).to_numpy()
        - 0.3 * distance
        - 0.5 * np.abs(table["price_level"].to_numpy() - asker["budget"])
    )
