import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosstower.retrieval.data.histories import Histories, sets, tails


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=40), st.integers(1, 6))
def test_histories_are_the_rows_of_each_user_in_order(rows: list, length: int) -> None:
    user = np.array([u for u, _ in rows], dtype=np.int64)
    item = np.array([i for _, i in rows], dtype=np.int64)
    found = Histories.of(user, item, users=5)
    expected = [[i for u, i in rows if u == who] for who in range(5)]
    parts = [found.items[found.starts[u] : found.starts[u + 1]].tolist() for u in range(5)]
    assert parts == expected
    assert found.lengths().tolist() == [len(e) for e in expected]
    queries = np.array([3, -1, 0, 3])
    row, history = found.pairs(queries)
    wanted = [(r, i) for r, u in enumerate(queries) if u >= 0 for i in expected[u]]
    assert list(zip(row.tolist(), history.tolist(), strict=True)) == wanted
    starts, ends = torch.from_numpy(found.starts[:-1]), torch.from_numpy(found.starts[1:])
    last = tails(torch.from_numpy(found.items + 3), starts, ends, length=length)
    for who in range(5):
        kept = [i + 3 for i in expected[who][-length:]]
        assert last[who].tolist() == kept + [0] * (length - len(kept))
    unpadded = sets(torch.from_numpy(found.items + 3), starts, ends, length=length)
    for who in range(5):
        distinct = sorted({i + 3 for i in expected[who][-length:]})
        assert unpadded[who : who + 1].values.tolist() == distinct
