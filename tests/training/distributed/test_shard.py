"""Several processes train as one does: every model, every loss, every optimiser of tables."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstower.models.registry import model_names
from crosstower.recipe.training import Training
from crosstower.training.distributed.shard import Fused, fused_optimizer
from crosstower.training.run import Run

from ...fixtures.equality import EVERY, MODELS, ON_THREE, clicks, steps_of
from ...fixtures.exchanges import CHECKS

pytestmark = pytest.mark.slow


def test_processes_have_the_losses_of_one(together: Path) -> None:
    folder = together / "equal"
    alone = json.loads((folder / "alone.json").read_bytes())
    for size, names in ((2, EVERY), (3, ON_THREE)):
        several = json.loads((folder / f"equal-{size}.json").read_bytes())
        assert several["checks"] == [check.__name__ for check in CHECKS]
        assert list(several["losses"]) == names
        for name in names:
            expected, found = alone["losses"][name], several["losses"][name]
            assert len(found) == steps_of(name)
            assert found == pytest.approx(expected, rel=0, abs=1e-6), (name, size)
            assert sum(found[-5:]) < sum(found[:5]), name
        assert_equal_metrics(several["metrics"], alone["metrics"])
        assert_ordinary_run(folder / f"rank-{size}", folder / "rank-1")


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
