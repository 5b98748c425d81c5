from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import RunError
from crosstower.evaluation.metrics.paired_tests import auc_test
from crosstower.evaluation.metrics.summary import Summary
from crosstower.fitting.comparing.compare import compare
from crosstower.fitting.comparing.rankers import compare_rankers
from crosstower.fitting.comparing.result import Comparison
from crosstower.training.history import read_predictions
from crosstower.training.run import Run

from ...fixtures.compared import RANKS, frame, run_of


@pytest.fixture
def compared(rankers: tuple[Run, Run, Run]) -> Comparison:
    return compare(rankers)


def test_the_metrics_are_those_of_the_reports(
    rankers: tuple[Run, Run, Run], compared: Comparison
) -> None:
    assert compared.runs == ("good", "bad", "blind<b>")
    for task in compared.tasks:
        for run in rankers:
            stored = run.metrics["tasks"][task.name]["mlp"]
            for name, summary in task.metrics[run.folder.name].items():
                if name in stored:
                    assert summary.mean == pytest.approx(stored[name]["mean"], rel=1e-6)
                    sd = stored[name]["sd"]
                    assert summary.sd == (sd if sd is None else pytest.approx(sd, rel=1e-6))


def test_the_tests_are_of_the_same_rows(
    rankers: tuple[Run, Run, Run], compared: Comparison
) -> None:
    click = compared.tasks[0]
    good, bad, _ = (read_predictions(run, "mlp", 0) for run in rankers)
    y = good["click"].to_numpy()
    means = [
        Summary(click.metrics[name]["auc"].mean, click.metrics[name]["auc"].sd)
        for name in ("bad", "good")
    ]
    wanted = auc_test(
        y, bad["click__prediction"].to_numpy(), good["click__prediction"].to_numpy(), *means
    )
    found = click.tests["bad"][0]
    assert (found.value, found.low, found.p) == (wanted.value, wanted.low, wanted.p)
    assert found.adjusted >= found.p
    assert [t.metric for t in click.tests["bad"]] == ["auc", "log_loss", "ndcg@10"]
    assert click.tests["bad"][2].method == "bootstrap over user_id"
    assert click.tests["blind<b>"][0].verdict == "worse"
    watched = compared.tasks[1].tests["bad"]
    assert [t.metric for t in watched] == ["rmse", "mae", "ndcg@10"]


def test_runs_of_other_columns_are_compared_by_their_labels(compared: Comparison) -> None:
    assert "The fingerprints of the rows differ, as with other columns" in compared.notes[0]


@pytest.mark.slow
def test_a_run_does_not_differ_from_a_copy(rankers: tuple[Run, Run, Run], tmp_path: Path) -> None:
    same = run_of(RANKS, tmp_path / "same", seeds=2)
    for task in compare([rankers[0], same]).tasks:
        assert all((t.value, t.p) == (0.0, 1.0) for t in task.tests["same"])
        assert all(t.verdict == "not significant" for t in task.tests["same"])


@pytest.mark.slow
def test_rankers_of_other_rows_are_refused(rankers: tuple[Run, Run, Run], tmp_path: Path) -> None:
    good = rankers[0]
    moved = run_of(RANKS, tmp_path / "moved", "data.split={kind: random, seed: 1}")
    with pytest.raises(RunError, match="moved: its test rows are not those of good"):
        compare_rankers({"good": good, "moved": moved})
    same = read_predictions(good, "mlp", 0).height
    given = {"train": frame().head(700), "valid": frame()[700:800], "test": frame().tail(same)}
    other = run_of(RANKS, tmp_path / "other", "training.epochs=1", data=given)
    with pytest.raises(RunError, match="the labels of 'click' differ"):
        compare_rankers({"good": good, "other": other})


def test_only_common_tasks_are_compared(rankers: tuple[Run, Run, Run], tmp_path: Path) -> None:
    good = rankers[0]
    renamed = frame().rename({"click": "like", "watch_time": "seconds"})
    text = RANKS.replace("click:", "like:").replace("watch_time:", "seconds:")
    like = run_of(text, tmp_path / "like", "training.epochs=1", data=renamed)
    with pytest.raises(RunError, match="no task in common"):
        compare_rankers({"good": good, "like": like})
    one = run_of(RANKS, tmp_path / "one", "schema.tasks={click: binary}", "training.epochs=1")
    _, notes = compare_rankers({"good": good, "one": one})
    assert "left out: watch_time." in notes[-1]


@pytest.mark.slow
def test_weighted_metrics_are_compared_if_all_runs_have_the_weights(
    rankers: tuple[Run, Run, Run], tmp_path: Path
) -> None:
    text = RANKS.replace("click: binary", "click: {kind: binary, sample_weight: heavy}")
    data = frame().with_columns(heavy=pl.int_range(pl.len()) % 4)
    good, bad = (
        run_of(text, tmp_path / name, f"training.learning_rate={rate}", data=data)
        for name, rate in (("heavy", 0.02), ("slow", 1e-6))
    )
    click = compare([good, bad]).tasks[0]
    for run in (good, bad):
        stored = run.metrics["tasks"]["click"]["mlp"]["weighted_auc"]["mean"]
        found = click.metrics[run.folder.name]["weighted_auc"].mean
        assert found == pytest.approx(stored, rel=1e-6)
        assert found != click.metrics[run.folder.name]["auc"].mean
    assert "weighted_auc" not in compare([rankers[0], good]).tasks[0].metrics["heavy"]
