import pytest
import torch

from crosstower.layout import RESERVED_CODES, UNSEEN, CodeField, ListField
from crosstower.nn.embedding import EmbeddingStore

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
