"""Some columns encoded alone, as in the whole."""

import pytest
import torch

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.sources.source import open_source
from crosstower.recipe.schema import Categorical, Numeric, Text

from .test_encoder import DISTANCE, FULL, PLACES, ROWS, fitted, learn


@pytest.fixture
def encoder() -> Encoder:
    return learn(FULL, ROWS, labels=True)


def test_one_side_is_encoded_alone_and_widened() -> None:
    columns = {
        "words": Text(max_len=5),
        "lat": Numeric(),
        "km": DISTANCE,
        "more": Categorical(),
        "tag": Categorical(source="words"),
    }
    encoder, whole = fitted(columns, PLACES)
    side = PartialEncoder(encoder, ["lat", "more"])
    cleaner = Cleaner(side.schema)
    frame = cleaner.clean(next(open_source(PLACES).chunks(cleaner.sources())))
    wide = side.widen(side.encode(frame))
    names = [f.name for f in encoder.layout.codes]
    assert torch.equal(wide.codes[:, names.index("more")], whole.codes[:, names.index("more")])
    assert (wide.codes[:, names.index("tag")] == 1).all()  # missing
    place = encoder.layout.numbers.index("lat")
    assert torch.equal(wide.numbers[:, place], whole.numbers[:, place])
    assert wide.numbers.shape == whole.numbers.shape
    assert wide.lists == {}
