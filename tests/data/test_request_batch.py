import torch

from crosstower.data.request_batch import Request


def request(rows: int = 4) -> Request:
    return Request(
        torch.arange(rows * 2).reshape(rows, 2).int(),
        torch.randn(rows, 1),
        {"history": torch.tensor([[5, 6, 0]]), "tags": torch.arange(rows * 2).reshape(rows, 2)},
        torch.empty(rows, 0),
        frozenset({"user", "history"}),
    )


def test_chosen_candidates_keep_the_list_of_the_user() -> None:
    whole = request()
    for rows in (slice(1, 3), torch.tensor([1, 2])):
        some = whole[rows]
        assert len(some) == 2
        assert some.shared == whole.shared
        assert torch.equal(some.codes, whole.codes[1:3])
        assert torch.equal(some.numbers, whole.numbers[1:3])
        assert torch.equal(some.lists["tags"], whole.lists["tags"][1:3])
        assert torch.equal(some.lists["history"], whole.lists["history"])


def test_on_another_device_it_is_still_a_request() -> None:
    moved = request().to("meta")
    assert moved.shared == {"user", "history"}
    tensors = [moved.codes, moved.numbers, moved.labels, *moved.lists.values()]
    assert {t.device.type for t in tensors} == {"meta"}
