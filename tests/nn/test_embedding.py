from typing import Any

import pytest
import torch

from crosstower.data.layout import RESERVED_CODES, UNSEEN, CodeField, ListField
from crosstower.data.ragged import Ragged
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.table_rows import LocalRows

CODES = (
    CodeField("user", 10, "user"),
    CodeField("cross", 100, "cross", 0),
    CodeField("city", 6, "city", 2),
    CodeField("friend", 10, "user"),
)


def test_fields_of_one_width_share_a_table_with_offsets() -> None:
    store = EmbeddingStore(CODES, (), dim=4)
    assert {w: tuple(t.shape) for w, t in store.tables.items()} == {"4": (10, 4), "2": (6, 2)}
    assert store.output_width == 4 + 2 + 4
    out = store(torch.tensor([[5, 99, 4, 7]]), {})
    expected = torch.cat([store.tables["4"][5], store.tables["4"][7], store.tables["2"][4]])
    torch.testing.assert_close(out[0], expected)


def test_tables_of_one_width_do_not_overlap() -> None:
    fields = [CodeField("a", 5, "a"), CodeField("b", 7, "b")]
    store = EmbeddingStore(fields, (), dim=3)
    codes = torch.tensor([[a, b] for a in range(5) for b in range(7)])
    out = store(codes, {}).detach()
    torch.testing.assert_close(out[:, :3], store.tables["3"][codes[:, 0]].detach())
    torch.testing.assert_close(out[:, 3:], store.tables["3"][5 + codes[:, 1]].detach())


def test_reserved_codes_start_at_zero_and_others_small() -> None:
    store = EmbeddingStore([CodeField("a", 2000, "a"), CodeField("b", 2000, "b")], (), dim=16)
    table = store.tables["16"].detach()
    for start in (0, 2000):
        assert not table[start : start + RESERVED_CODES].any()
    assert table[RESERVED_CODES:2000].std() == pytest.approx(0.05, rel=0.05)
    assert not store(torch.tensor([[UNSEEN, UNSEEN]]), {}).any()


@pytest.mark.parametrize(
    ("pooling", "reduce"),
    [("mean", lambda r: r.mean(0)), ("sum", lambda r: r.sum(0)), ("max", lambda r: r.amax(0))],
)
def test_pooling_leaves_padding_out(pooling: str, reduce: object) -> None:
    store = EmbeddingStore((), [ListField("tags", 9, "tags", 4, pooling)], dim=5)  # type: ignore[arg-type]
    torch.nn.init.normal_(store.tables["5"])  # the padding row as well
    tags = torch.tensor([[4, 7, 8, 0], [3, 0, 0, 0], [0, 0, 0, 0]])
    out = store(torch.empty(3, 0, dtype=torch.int32), {"tags": tags})
    table = store.tables["5"]
    torch.testing.assert_close(out[0], reduce(table[[4, 7, 8]]))  # type: ignore[operator]
    torch.testing.assert_close(out[1], table[3])
    assert not out[2].any()


def test_a_list_can_share_a_table_with_a_code() -> None:
    store = EmbeddingStore(
        [CodeField("item", 9, "item", 3)], [ListField("history", 9, "item", 2)], dim=7
    )
    out = store(torch.tensor([[5]]), {"history": torch.tensor([[5, 0]])})
    torch.testing.assert_close(out[0, :3], out[0, 3:])


def test_gradients_are_sparse_and_only_of_touched_rows() -> None:
    store = EmbeddingStore(CODES, (), dim=4)
    store(torch.tensor([[5, 99, 4, 7], [5, 3, 4, 7]]), {}).sum().backward()
    gradient = store.tables["4"].grad
    assert gradient is not None
    assert gradient.is_sparse
    assert set(gradient.coalesce().indices()[0].tolist()) == {5, 7}
    assert gradient.to_dense()[5].tolist() == [2.0] * 4


def test_without_fields_the_output_is_empty() -> None:
    store = EmbeddingStore((), (), dim=4)
    assert store(torch.empty(3, 0, dtype=torch.int32), {}).shape == (3, 0)


HISTORIES = [
    ListField(pooling, 9, "item", 6, pooling)
    for pooling in ("mean", "sum", "max", "attention", "gru", "transformer", "bsarec", "hstu")
]
HISTORIES.append(ListField("target", 9, "item", 6, "target", target="item"))


def store_of_histories() -> EmbeddingStore:
    torch.manual_seed(0)
    return EmbeddingStore([CodeField("item", 9, "item")], HISTORIES, dim=4).eval()


def test_one_list_for_all_rows_is_that_list_in_each() -> None:
    store, codes = store_of_histories(), torch.tensor([[3], [4], [5]])
    once = {f.name: torch.tensor([[4, 7, 8, 0, 0, 0]]) for f in HISTORIES}
    each = {name: values.repeat(3, 1) for name, values in once.items()}
    torch.testing.assert_close(store(codes, once), store(codes, each))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The tensor attributes self.pools")  # torch's, of its own GRU
def test_an_exported_store_pools_lists_of_any_number_and_length() -> None:
    """Eager pooling cuts the padding that all lists share; an export cannot look at values."""
    store, rows = store_of_histories(), torch.export.Dim("rows", min=2)
    lists = {f.name: torch.randint(1, 9, (5, 6)) for f in HISTORIES}
    shapes = {"codes": {0: rows}, "lists": {name: {0: rows} for name in lists}}
    with torch.no_grad():
        example = (torch.randint(3, 9, (5, 1)), lists)
        exported = torch.export.export(store, example, dynamic_shapes=shapes).module()
        short = torch.tensor([[4, 7, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0]])
        given = torch.tensor([[3], [4], [5]]), {f.name: short for f in HISTORIES}
        torch.testing.assert_close(exported(*given), store(*given))


def test_frozen_fields_share_frozen_rows_and_pooling() -> None:
    codes = [CodeField("item", 9, "item"), CodeField("genre", 6, "genre")]
    lists = [
        ListField("history", 9, "item", 3, "attention"),
        ListField("tags", 7, "tags", 3, "attention"),
    ]
    store = EmbeddingStore(codes, lists, dim=4)
    store.freeze(["history", "price"])
    rows = {"history": torch.tensor([[4, 5, 0]]), "tags": torch.tensor([[3, 0, 0]])}
    store(torch.tensor([[7, 4]]), rows).sum().backward()
    gradient = store.tables["4"].grad
    assert gradient is not None
    assert set(gradient._indices()[0].tolist()) == {9 + 4, 9 + 6 + 3}  # of genre and of tags
    trained = {name: store.is_trained(name) for name in store.names}
    assert trained == {"item": False, "genre": True, "history": False, "tags": True}
    assert all(p.grad is None for p in store.pools["0"].parameters())
    assert any(p.grad is not None for p in store.pools["1"].parameters())


def test_pooling_of_its_own_over_frozen_rows_is_trained() -> None:
    lists = [
        ListField("history", 9, "item", 3),
        ListField("similar", 9, "item", 3, "attention"),
    ]
    store = EmbeddingStore([], lists, dim=4)
    store.freeze(["history"])
    assert not store.tables["4"].requires_grad
    assert (store.is_trained("history"), store.is_trained("similar")) == (False, True)


def test_ragged_lists_of_one_table_are_one_look_up_and_one_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lists = (
        ListField("liked", 9, "item", 3, "sum"),
        ListField("seen", 9, "item", 4, "sum"),
        ListField("tags", 6, "tags", 2, "mean"),
        ListField("words", 7, "words", 3, "sum"),
    )
    store = EmbeddingStore([CodeField("item", 9, "item")], lists, dim=4)
    torch.nn.init.normal_(store.tables["4"])
    padded = {
        "liked": torch.tensor([[3, 4, 0], [0, 0, 0], [5, 5, 6]]),
        "seen": torch.tensor([[3, 0, 0, 0], [4, 5, 6, 7], [8, 3, 0, 0]]),
        "tags": torch.tensor([[3, 4], [5, 0], [0, 0]]),
        "words": torch.tensor([[3, 3, 6], [4, 0, 0], [5, 6, 0]]),
    }
    lengths = {field.name: field.length for field in lists}
    ragged = {name: _ragged(rows, lengths[name]) for name, rows in padded.items()}
    codes = torch.tensor([[3], [8], [4]])
    slopes = torch.randn(3, store.output_width, generator=torch.Generator().manual_seed(0))
    gradients = []
    outputs = []
    for given in (padded, ragged):
        outputs.append(store(codes, given))
        (outputs[-1] * slopes).sum().backward()
        gradient = store.tables["4"].grad
        assert gradient is not None
        gradients.append(gradient.to_dense())
        store.zero_grad()
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(gradients[1], gradients[0])

    calls: list[str] = []
    bag = LocalRows.bag

    def counted(self: LocalRows, *args: Any, mode: str, **options: Any) -> torch.Tensor:
        calls.append(mode)
        return bag(self, *args, mode=mode, **options)

    monkeypatch.setattr(LocalRows, "bag", counted)
    store(codes, ragged)
    assert sorted(calls) == ["mean", "sum"]


def test_ragged_lists_may_be_shared_by_all_rows() -> None:
    lists = (ListField("liked", 9, "item", 3, "sum"), ListField("words", 7, "words", 3, "sum"))
    store = EmbeddingStore([CodeField("item", 9, "item")], lists, dim=4)
    torch.nn.init.normal_(store.tables["4"])
    shared = _ragged(torch.tensor([[3, 4, 0]]), 3)
    own = _ragged(torch.tensor([[3, 3, 6], [4, 0, 0]]), 3)
    each = _ragged(torch.tensor([[3, 4, 0], [3, 4, 0]]), 3)
    codes = torch.tensor([[3], [8]])
    found = store(codes, {"liked": shared, "words": own})
    torch.testing.assert_close(found, store(codes, {"liked": each, "words": own}))


def _ragged(rows: torch.Tensor, length: int) -> Ragged:
    kept = rows != 0
    return Ragged.of(rows[kept].int().numpy(), kept.sum(1).numpy(), length)
