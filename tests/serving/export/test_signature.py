import numpy as np
import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.request_batch import Request
from crosstower.errors import QueryError
from crosstower.serving.export.sample import sample
from crosstower.serving.export.signature import Signature, model_inputs, signature_of

from .conftest import LAYOUT, SHARED

SIGNATURE = signature_of(LAYOUT, SHARED)


def test_a_signature_says_names_types_shapes_and_order() -> None:
    signature = signature_of(LAYOUT, SHARED)
    assert signature.input_names == [
        "codes", "numbers", "lists.seen", "lists.tags.all", "lists.numbers", "lists.path",
        "lists.had", "ages.had",
    ]  # fmt: skip
    assert [i.shape for i in signature.inputs] == [
        ("candidates", 3), ("candidates", 3), (1, 4), ("candidates", 3), ("candidates", 2),
        ("candidates", 4), (1, 4), (1, 4),
    ]  # fmt: skip
    assert signature.inputs[0].fields == ("user", "item", "codes")
    assert signature.inputs[0].sizes == (9, 12, 7)
    assert signature.inputs[1].fields == ("age", "price", "price is missing")
    assert signature.output_names == ["logits.click", "logits.codes"]
    assert [o.kind for o in signature.outputs] == ["binary", "regression"]
    names = signature.input_names + signature.output_names
    assert len(set(names)) == len(names)  # whatever a column or a task is called
    assert Signature.model_validate_json(signature.model_dump_json()) == signature


@pytest.mark.parametrize("shared", [frozenset[str](), SHARED])
def test_arrays_are_those_of_the_signature(shared: frozenset[str]) -> None:
    request = sample(LAYOUT, 6, shared=SHARED)
    arrays = model_inputs(request, shared)
    for given in signature_of(LAYOUT, shared).inputs:
        array = arrays[given.name]
        assert array.shape == tuple(6 if n == "candidates" else n for n in given.shape)
        assert array.dtype == given.dtype
        assert array.flags.c_contiguous
    assert (arrays["lists.seen"] == request.lists["seen"].numpy()).all()
    assert (arrays["lists.tags.all"] == request.lists["tags.all"].numpy()).all()
    np.testing.assert_array_equal(arrays["codes"], request.codes.numpy())


def whole(rows: int) -> Batch:
    one = sample(LAYOUT, rows)
    return Batch(one.codes, one.numbers, one.lists, one.labels)


def test_rows_that_may_differ_in_what_is_shared_are_refused() -> None:
    with pytest.raises(
        QueryError, match=r"3 rows: .* may differ in age, had, seen, user; .*--user"
    ):
        model_inputs(whole(3), SHARED)
    fewer = sample(LAYOUT, 3, shared=SHARED - {"age"})
    with pytest.raises(QueryError, match="may differ in age; "):
        model_inputs(fewer, SHARED)


def test_one_row_is_always_of_one_user() -> None:
    assert model_inputs(whole(1), SHARED)["lists.seen"].shape == (1, 4)


def test_a_request_may_share_more_than_the_export() -> None:
    request = sample(LAYOUT, 5, shared=SHARED | {"tags.all"})
    assert isinstance(request, Request)
    tags = model_inputs(request, SHARED)["lists.tags.all"]
    assert tags.shape == (5, 3)
    assert (tags == tags[0]).all()
    assert torch.equal(torch.from_numpy(tags[:1]), request.lists["tags.all"])
