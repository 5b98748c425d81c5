import pytest
import torch

from crosstower.data.layout import CodeField, Head, Layout
from crosstower.models.registry import build
from crosstower.recipe.training import Training
from crosstower.training.optimizers import build_optimizers
from crosstower.training.optimizers.adagrad import Adagrad
from crosstower.training.optimizers.ftrl import FTRL
from crosstower.training.optimizers.lazy_adam import LazyAdam
from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad

LAYOUT = Layout((CodeField("a", 9, "a"),), ("x",), (), (Head("click", "binary"),))


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(LAYOUT, {"name": "wide_deep"})


def test_every_parameter_has_one_optimiser_of_its_role() -> None:
    wide_deep = model()
    optimizers = build_optimizers(wide_deep, Training())
    owned = [p for o in optimizers for g in o.param_groups for p in g["params"]]
    assert sorted(map(id, owned)) == sorted(map(id, wide_deep.parameters()))
    kinds = {type(o): [p for g in o.param_groups for p in g["params"]] for o in optimizers}
    assert [id(p) for p in kinds[FTRL]] == [id(p) for p in wide_deep.wide.parameters()]
    assert [id(p) for p in kinds[LazyAdam]] == [id(wide_deep.input.embed.tables["16"])]


EMBEDDING_OPTIMIZERS = {
    "lazy_adam": LazyAdam,
    "rowwise_adagrad": RowwiseAdagrad,
    "adagrad": Adagrad,
}


@pytest.mark.parametrize("name", EMBEDDING_OPTIMIZERS)
def test_the_embedding_optimiser_can_be_chosen(name: str) -> None:
    kinds = [type(o) for o in build_optimizers(model(), Training(embedding_optimizer=name))]
    assert set(kinds) & set(EMBEDDING_OPTIMIZERS.values()) == {EMBEDDING_OPTIMIZERS[name]}


def test_the_dense_optimiser_can_be_chosen() -> None:
    kinds = [type(o) for o in build_optimizers(model(), Training(optimizer="adagrad"))]
    assert kinds == [torch.optim.Adagrad, LazyAdam, FTRL]


def test_each_embedding_optimiser_has_a_rate_of_its_own() -> None:
    rates = {
        name: next(
            o
            for o in build_optimizers(model(), Training(embedding_optimizer=name))
            if type(o) is kind
        )
        for name, kind in EMBEDDING_OPTIMIZERS.items()
    }
    found = {name: o.param_groups[0]["lr"] for name, o in rates.items()}
    assert found == {"lazy_adam": 1e-3, "rowwise_adagrad": 0.02, "adagrad": 0.02}


@pytest.mark.parametrize(("heads", "rate"), [((), 0.01), (LAYOUT.heads, 1e-3)])
def test_the_embeddings_of_a_retriever_have_a_larger_rate(heads: tuple, rate: float) -> None:
    layout = Layout((*LAYOUT.codes, CodeField("b", 9, "b")), (), (), heads)
    two = build(layout, {"name": "two_tower", "item": ["b"]})
    (tables,) = [o for o in build_optimizers(two, Training()) if type(o) is LazyAdam]
    assert tables.param_groups[0]["lr"] == rate
    given = build_optimizers(two, Training(embedding_learning_rate=0.5))[-1]
    assert given.param_groups[0]["lr"] == 0.5


def test_biases_do_not_decay() -> None:
    dense = build_optimizers(model(), Training(weight_decay=0.3))[0]
    decay = {p.ndim > 1: g["weight_decay"] for g in dense.param_groups for p in g["params"]}
    assert decay == {True: 0.3, False: 0.0}
