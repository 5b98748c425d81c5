"""Several processes train as one does: every model, every optimiser of tables."""

import json
from pathlib import Path

import pytest

from crosstower.models.registry import model_names
from crosstower.nn.world import ALONE
from crosstower.recipe.training import Training
from crosstower.training.distributed.shard import Fused, fused_optimizer

from ...fixtures.equality import MODELS, STEPS, train
from ...fixtures.processes import FIXTURES, must_succeed

pytest.importorskip("torchrec")

ON_THREE = ["dcn_v2", "dcn_v2, lazy_adam", "wide_deep, concat", "two_tower"]


def losses_of(names: list[str], size: int, folder: Path) -> dict[str, list[float]]:
    folder.mkdir()
    (folder / "cases.json").write_text(json.dumps(names))
    must_succeed([str(FIXTURES / "equality.py"), str(folder)], size)
    return json.loads((folder / f"losses-{size}.json").read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    folder = tmp_path_factory.mktemp("alone")
    return {name: train(name, ALONE, folder) for name in MODELS}


@pytest.mark.parametrize(("size", "names"), [(2, list(MODELS)), (3, ON_THREE)])
def test_processes_have_the_losses_of_one(
    size: int, names: list[str], alone: dict[str, list[float]], tmp_path: Path
) -> None:
    together = losses_of(names, size, tmp_path / "together")
    for name in names:
        assert len(together[name]) == STEPS
        assert together[name] == pytest.approx(alone[name], rel=0, abs=1e-6), name
        assert together[name][-1] < together[name][0], name


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
