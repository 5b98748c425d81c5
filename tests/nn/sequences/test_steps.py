"""Which values a value may read."""

import torch

from crosstower.nn.sequences.steps import Steps, newest


def test_histories_in_one_row_do_not_read_each_other() -> None:
    present = torch.tensor([[True, True, True, True, False]])
    steps = Steps.of(present, torch.tensor([[0, 0, 2, 2, 4]]))
    assert steps.place.tolist() == [[0, 1, 0, 1, 0]]
    read = [torch.nonzero(row).flatten().tolist() for row in steps.allowed[0]]
    assert read == [[0], [0, 1], [2], [2, 3], [4]]
    assert steps.distance()[4].tolist() == [4, 3, 2, 1, 0]


def test_the_newest_output_of_an_empty_history_is_zero() -> None:
    outputs = torch.arange(12.0).reshape(2, 3, 2) + 1
    present = torch.tensor([[True, True, False], [False, False, False]])
    assert newest(outputs, present).tolist() == [[3.0, 4.0], [0.0, 0.0]]
