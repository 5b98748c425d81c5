import torch

from crosstower.data.batch import Batch


def batch() -> Batch:
    return Batch(
        torch.arange(8).reshape(4, 2).int(),
        torch.arange(4.0)[:, None],
        {"tags": torch.arange(12).reshape(4, 3).int()},
        torch.tensor([[0.0], [1.0], [float("nan")], [1.0]]),
    )


def test_rows_are_chosen_in_the_order_given() -> None:
    chosen = batch()[torch.tensor([2, 0])]
    assert len(chosen) == 2
    assert chosen.codes.tolist() == [[4, 5], [0, 1]]
    assert chosen.numbers.tolist() == [[2.0], [0.0]]
    assert chosen.lists["tags"].tolist() == [[6, 7, 8], [0, 1, 2]]
    assert chosen.labels.isnan().tolist() == [[True], [False]]


def test_parts_make_the_whole() -> None:
    whole = batch()
    again = Batch.concatenate([whole[:1], whole[1:3], whole[3:]])
    assert torch.equal(again.codes, whole.codes)
    assert torch.equal(again.lists["tags"], whole.lists["tags"])
    assert torch.equal(again.labels.nan_to_num(9), whole.labels.nan_to_num(9))


def test_moving_to_the_same_device_copies_nothing() -> None:
    whole = batch()
    moved = whole.to("cpu")
    assert moved.codes.data_ptr() == whole.codes.data_ptr()
    assert moved.lists["tags"].data_ptr() == whole.lists["tags"].data_ptr()
