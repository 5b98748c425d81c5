from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.fitting.comparing.compare import compare
from crosstower.fitting.comparing.retrievers import compare_retrievers
from crosstower.training.run import Run

from ...fixtures.compared import RETRIEVES, frame, run_of


def test_retrievers_are_compared_by_query(retrievers: tuple[Run, Run]) -> None:
    found = compare(retrievers)
    (task,) = found.tasks
    assert task.name == "retrieval"
    stored = retrievers[1].metrics["retrieval"]["two_tower"]
    assert set(task.metrics["two"]) == {
        f"{m}@5" for m in ("recall", "ndcg", "mrr", "hit_rate", "map")
    }
    for name, summary in task.metrics["two"].items():
        assert summary.mean == pytest.approx(stored[name]["mean"])
    assert {t.method for t in task.tests["two"]} == {"bootstrap over users"}
    value = task.metrics["two"]["ndcg@5"].mean - task.metrics["one"]["ndcg@5"].mean
    assert next(t.value for t in task.tests["two"] if t.metric == "ndcg@5") == pytest.approx(value)


def test_retrievers_of_other_queries_are_refused(
    retrievers: tuple[Run, Run], tmp_path: Path
) -> None:
    one = retrievers[0]
    fewer = run_of(RETRIEVES, tmp_path / "fewer", "training.epochs=1", data=frame().head(600))
    with pytest.raises(RunError, match=r"fewer: its .* are not those of one"):
        compare_retrievers({"one": one, "fewer": fewer})
    ks = run_of(RETRIEVES, tmp_path / "ks", "retrieval.k=[3]", "training.epochs=1")
    with pytest.raises(RunError, match="no list length in common"):
        compare_retrievers({"one": one, "ks": ks})
