"""The true value of the lists: that of the simulator, and none is above the best."""

import numpy as np
import polars as pl
import pytest

from crosstower.cli.demo.homes import homes_recipes
from crosstower.cli.demo.homes_value import METRIC, STAGES, HomesValue, homes_value
from crosstower.data.datasets.worlds.holiday_catalogue import holiday_homes_table
from crosstower.data.datasets.worlds.holiday_homes import holiday_revenue
from crosstower.data.progress import no_progress
from crosstower.fitting.fit import fit
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.queries import FunnelQueries, queries_of_run
from crosstower.storage.files import write_parquet

Found = tuple[FunnelQueries, HomesValue]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("homes")
    write_parquet(holiday_homes_table(), folder / "homes.parquet")
    recipes = homes_recipes(folder / "homes.parquet", rows=2_000, seed=0)
    short = {"training.epochs": 1}
    runs = [fit(r, overrides=short, out=folder / r.name, quiet=True) for r in recipes]
    funnel = Funnel.open(*runs, candidates=40)
    return queries_of_run(funnel, (), no_progress), homes_value(funnel, no_progress)


def test_every_stage_has_a_value_per_user_and_none_is_above_the_best(found: Found) -> None:
    queries, value = found
    assert value.users == queries.evaluation.ids.to_list()
    assert [stage.name for stage in value.stages] == list(value.values) == list(STAGES)
    for stage, worth in zip(value.stages, value.values.values(), strict=True):
        assert worth.shape == value.best.shape == (len(queries),)
        assert (worth <= value.best + 1e-9).all()
        assert stage.metrics[METRIC].mean == pytest.approx(worth.mean())
    assert [lift.over for lift in value.lifts] == list(STAGES[:-1])


def test_the_best_list_is_that_of_the_simulator(found: Found) -> None:
    queries, value = found
    homes = holiday_homes_table()
    for query in range(3):
        seen = queries.evaluation.seen[1][queries.evaluation.seen[0] == query]
        others = homes.filter(~pl.col("home_id").is_in(seen.tolist()))
        search = queries.columns[[query]].select("user_id", "guests", "budget")
        revenue = holiday_revenue(search.join(others, how="cross"))
        np.testing.assert_allclose(value.best[query], np.sort(revenue)[-10:].sum())
