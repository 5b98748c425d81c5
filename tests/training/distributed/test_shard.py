"""Several processes train as one does: every model, every loss, every optimiser of tables."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstower.models.registry import model_names
from crosstower.recipe.training import Training
from crosstower.training.distributed.shard import Fused, fused_optimizer
from crosstower.training.run import Run

from ...fixtures.equality import MODELS, RETRIEVERS, STEPS, clicks
from ...fixtures.exchanges import CHECKS
from ...fixtures.processes import FIXTURES, must_succeed

pytestmark = pytest.mark.slow

pytest.importorskip("torchrec")

ON_THREE = ["dcn_v2", "dcn_v2, clipped", "wide_deep, concat", "mlp, pairwise", "sampled_softmax"]


def trained(names: list[str], size: int, folder: Path) -> dict[str, Any]:
    (folder / "cases.json").write_text(json.dumps(names))
    must_succeed([str(FIXTURES / "equality.py"), str(folder)], size)
    return json.loads((folder / f"losses-{size}.json").read_text())


def test_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    names = [*MODELS, *RETRIEVERS]
    alone = trained(names, 1, tmp_path)
    for size, several in ((2, names), (3, ON_THREE)):
        together = trained(several, size, tmp_path)
        assert together["checks"] == [check.__name__ for check in CHECKS]
        for name in several:
            expected, found = alone["losses"][name], together["losses"][name]
            assert len(found) == STEPS
            assert found == pytest.approx(expected, rel=0, abs=1e-6), (name, size)
            assert sum(found[-5:]) < sum(found[:5]), name
        assert_equal_metrics(together["metrics"], alone["metrics"])
        assert_ordinary_run(tmp_path / f"rank-{size}", tmp_path / "rank-1")


def assert_equal_metrics(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_equal_metrics(found[key], expected[key])
    else:
        assert found == (None if expected is None else pytest.approx(expected, rel=0, abs=1e-4))


def assert_ordinary_run(folder: Path, alone: Path) -> None:
    """The run of several processes has the files and the predictions of one process's."""
    files = [{str(p.relative_to(f)) for p in f.rglob("*")} for f in (folder, alone)]
    assert files[0] == files[1]
    rows = clicks().head(20)
    found, expected = (Run.open(f).predict(rows)["click__prediction"] for f in (folder, alone))
    assert found.to_list() == pytest.approx(expected.to_list(), rel=0, abs=1e-4)


def test_every_model_is_among_the_cases() -> None:
    trained = {section["name"] for section, _ in MODELS.values()}
    assert trained == {n for n in model_names() if "." not in n}


def test_adagrad_without_a_norm_is_fused() -> None:
    plain = Training(embedding_optimizer="rowwise_adagrad", clip_norm=None)
    assert fused_optimizer(plain) == Fused("rowwise_adagrad", 1e-8)
    others = [{"clip_norm": 1.0}, {"embedding_weight_decay": 0.1}, {"freeze": "query_tower"}]
    others.append({"embedding_optimizer": "lazy_adam"})
    for other in others:
        assert fused_optimizer(plain.model_copy(update=other)) is None
