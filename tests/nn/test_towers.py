from dataclasses import replace

import numpy as np
import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Layout, ListField
from crosstower.data.request_batch import Request
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.towers import SHORTEST, Tower, unit_vectors

LAYOUT = Layout(
    (CodeField("user", 6, "user"), CodeField("item", 7, "item", 4), CodeField("wide", 9, "w", 0)),
    ("age", "age is missing", "price"),
    (ListField("history", 7, "item", 3),),
    (),
    ("age", "age", "price"),
)
BATCH = Batch(
    torch.tensor([[3, 4, 0], [5, 6, 1]]).int(),
    torch.tensor([[0.5, 1.0, -2.0], [0.0, 0.0, 3.0]]),
    {"history": torch.tensor([[4, 5, 0], [0, 0, 0]]).int()},
    torch.empty(2, 0),
)


def tower(columns: list[str], **options: object) -> tuple[EmbeddingStore, Tower]:
    torch.manual_seed(0)
    store = EmbeddingStore(LAYOUT.codes, LAYOUT.lists, dim=2)
    chosen = {"hidden": (), "dim": 5, "dropout": 0.0, "normalise": False, **options}
    return store, Tower(store, LAYOUT, columns, **chosen)  # type: ignore[arg-type]


def test_a_tower_reads_its_columns_in_order_and_nothing_else() -> None:
    store, query = tower(["user", "age", "history"])
    out = query(store, BATCH)
    items = store.tables["4"]
    history = torch.stack([(items[4] + items[5]) / 2, torch.zeros(4)])
    x = torch.cat([store.tables["2"][[3, 5]], history, BATCH.numbers[:, :2]], 1)
    torch.testing.assert_close(out, x @ query.head.weight.T + query.head.bias)


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "gru"])
def test_each_row_is_the_one_that_it_is_alone(pooling: str) -> None:
    layout = replace(LAYOUT, lists=(replace(LAYOUT.lists[0], pooling=pooling),))
    torch.manual_seed(0)
    store = EmbeddingStore(layout.codes, layout.lists, dim=2, dropout=0.0)
    columns = ["user", "age", "history"]
    query = Tower(store, layout, columns, hidden=(9,), dim=5, dropout=0.0, normalise=True)
    batch = Batch(
        torch.randint(0, 6, (33, 3)).int(),
        torch.randn(33, 3),
        {"history": torch.randint(0, 7, (33, 3)).int().sort(1, descending=True).values},
        torch.empty(33, 0),
    )
    found = query.each(store, batch)
    alone = torch.cat([query(store, batch[row : row + 1]) for row in range(33)])
    assert torch.equal(found, alone)
    torch.testing.assert_close(found, query(store, batch))


def test_columns_of_the_other_side_do_not_matter() -> None:
    store, item = tower(["item", "price"])
    changed = Batch(
        torch.tensor([[0, 4, 7], [0, 6, 7]]).int(),
        torch.tensor([[9.0, 9.0, -2.0], [9.0, 9.0, 3.0]]),
        {"history": torch.ones(2, 3).int()},
        torch.empty(2, 0),
    )
    assert torch.equal(item(store, BATCH), item(store, changed))


def test_normalised_vectors_have_length_one() -> None:
    store, query = tower(["user", "age"], normalise=True, hidden=(8,))
    assert query(store, BATCH).norm(dim=1).tolist() == pytest.approx([1.0, 1.0])


def test_towers_share_the_table_of_the_store() -> None:
    store, query = tower(["history"])
    query(store, BATCH).sum().backward()
    gradient = store.tables["4"].grad
    assert gradient is not None
    assert sorted(gradient.coalesce().indices()[0].tolist()) == [4, 5]  # padding has no gradient
    assert "tables" not in " ".join(query.state_dict())


def test_columns_lists_what_towers_can_be_given() -> None:
    assert LAYOUT.columns() == ["user", "item", "age", "price", "history"]


def test_a_tower_of_shared_columns_runs_on_one_row() -> None:
    store, query = tower(["user", "age", "history"], hidden=(3,))
    whole = Batch(BATCH.codes[[0, 0, 0]], BATCH.numbers[[0, 0, 0]], {}, torch.empty(3, 0))
    lists = {"history": BATCH.lists["history"][:1]}
    shared = frozenset({"user", "age", "history", "more"})
    request = Request(whole.codes, whole.numbers, lists, whole.labels, shared)
    out = query(store, request)
    assert out.shape == (1, 5)
    torch.testing.assert_close(out, query(store, BATCH)[:1])
    fewer = Request(whole.codes, whole.numbers, lists, whole.labels, frozenset({"user", "history"}))
    torch.testing.assert_close(query(store, fewer), out.expand(3, -1))


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-8, 1e-3, 1.0, 1e6])
def test_no_length_of_a_row_makes_a_huge_gradient(length: float) -> None:
    x = torch.tensor([[length, 0.0], [3.0, 4.0]], requires_grad=True)
    unit = unit_vectors(x)
    (unit * torch.tensor([[0.6, 0.8]])).sum().backward()
    assert x.grad is not None
    expected = torch.tensor([1.0, 0.0]) * min(length / SHORTEST, 1.0)
    torch.testing.assert_close(unit, torch.stack([expected, torch.tensor([0.6, 0.8])]))
    assert x.grad[0].norm() <= 1.0 / SHORTEST * 1.001
    torch.testing.assert_close(x.grad[1], torch.zeros(2), atol=1e-6, rtol=0)


def test_normalising_is_the_closed_form_where_rows_have_a_length() -> None:
    """The Jacobian of x / ‖x‖ is (I - u uᵀ) / ‖x‖, in float64."""
    random = np.random.default_rng(0)
    x, g = random.normal(size=(5, 4)), random.normal(size=(5, 4))
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    u = x / norm
    given = torch.tensor(x, requires_grad=True)
    unit_vectors(given).backward(torch.tensor(g))
    np.testing.assert_allclose(given.grad, (g - u * (u * g).sum(1, keepdims=True)) / norm)
